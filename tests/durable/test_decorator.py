"""`@Stent.durable`: what it takes, what it refuses, and what it leaves of the function."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from stent import RetryPolicy, Stent
from stent.durable.decorator import check_options, make_durable
from stent.errors import DuplicateFunctionError, OptionError
from stent.registry import Registry


async def greet(name: str, *, loud: bool = False) -> str:
    """Say hello."""
    return name.upper() if loud else name


def register(body: Any, **options: Any) -> Any:
    return make_durable(body, options, Registry())


def test_a_durable_function_looks_like_the_function() -> None:
    durable = register(greet)
    assert "greet" == durable.__name__
    assert "Say hello." == durable.__doc__
    assert inspect.signature(greet) == inspect.signature(durable)


def test_the_name_is_module_and_qualname_unless_given() -> None:
    assert f"{__name__}:greet" == register(greet).__stent_function__.name
    assert "hello" == register(greet, name="hello").__stent_function__.name


def test_the_options_reach_every_call() -> None:
    policy = RetryPolicy(max_attempts=5, retry_for=(ConnectionError,))
    durable = register(greet, retry_policy=policy, timeout="30s", queue="mail", priority=2, tags=("a", "b"))
    options = durable.__stent_function__.call_options
    assert (policy.to_record(), 30_000_000, "mail", 2, ("a", "b")) == (
        options.retry,
        options.timeout_us,
        options.queue,
        options.priority,
        options.tags,
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"max_concurrent": True}, "max_concurrent"),
        ({"max_concurrent": 2.5}, "max_concurrent"),
        ({"retry_policy": 3}, "retry_policy"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"queue": ""}, "queue"),
        ({"queue": "a\x00b"}, "queue"),
        ({"tags": "one"}, "tags"),
        ({"priority": "high"}, "priority"),
        ({"role": "workflow"}, "role"),
        ({"name": 7}, "name"),
        ({"retries": 3}, "retries"),
    ],
)
def test_an_option_that_means_nothing_is_refused_by_its_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        check_options(options)


@pytest.mark.parametrize("body", [staticmethod(greet), classmethod(greet), int, 7, register(greet)])
def test_what_is_no_plain_function_is_refused(body: Any) -> None:
    with pytest.raises(OptionError):
        register(body)


def test_a_generator_has_no_result_to_record() -> None:
    async def numbers() -> Any:
        yield 1

    with pytest.raises(OptionError, match="generator"):
        register(numbers)


def test_two_functions_under_one_name_are_refused_with_both_places() -> None:
    registry = Registry()

    async def other(name: str) -> str:
        return name

    make_durable(greet, {"name": "same"}, registry)
    with pytest.raises(DuplicateFunctionError, match=r"test_decorator\.py:\d+ and test_decorator\.py:\d+"):
        make_durable(other, {"name": "same"}, registry)


def test_the_same_function_defined_again_takes_the_place_of_the_first() -> None:
    registry = Registry()

    def define(answer: int) -> Any:
        async def nested() -> int:
            return answer

        return make_durable(nested, {}, registry)

    define(1)
    second = define(2)
    assert second.__stent_function__ is registry.find(second.__stent_function__.name)


def test_bare_and_with_options_are_both_decorators() -> None:
    @Stent.durable
    async def bare() -> None: ...

    @Stent.durable(priority=1)
    async def with_options() -> None: ...

    assert (0, 1) == (bare.__stent_function__.options.priority, with_options.__stent_function__.options.priority)


def test_a_positional_option_is_refused() -> None:
    with pytest.raises(OptionError):
        Stent.durable(5)  # type: ignore[call-overload]  # the mistake itself
