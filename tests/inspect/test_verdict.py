"""One verdict a history: it fits, it does not, or it cannot be told here."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stent.errors import DivergenceError, UnregisteredFunctionError
from stent.inspect.verdict import Finding, Verdict, judge, told
from stent.registry import Function, Registry
from tests.inspect.literals import history, start
from tests.replay.driver import durable, finish, start as begin


@durable
async def work(item: int) -> Any: ...


@durable
async def program() -> Any:
    return await work(1)


def registry_of(function: Function) -> Registry:
    registry = Registry()
    registry.add(function)
    return registry


def recorded() -> Any:
    return finish(begin(program))


def test_a_history_that_the_code_fits() -> None:
    drive = recorded()
    verdict = judge(drive.history, registry_of(drive.function))
    assert ("fits", None, len(drive.history)) == (verdict.finding, verdict.error, verdict.event_count)


def test_a_history_that_the_code_does_not_fit_any_longer() -> None:
    @durable(name="shop:program")
    async def changed() -> Any:
        return await work(2)

    drive = recorded()
    verdict = judge(drive.history, registry_of(begin(changed).function))
    assert "diverged" == verdict.finding
    facts = verdict.facts()
    assert ("STN101", "arguments", 1) == (facts["code"], facts["divergence"]["kind"], facts["divergence"]["call"])
    assert "args[0]: 1 was recorded, now 2" == facts["divergence"]["difference"]


def test_a_function_that_is_not_known_here() -> None:
    verdict = judge(history(start()), Registry())
    assert "unknown" == verdict.finding
    assert isinstance(verdict.error, UnregisteredFunctionError)


def test_an_activity_has_no_program_to_replay() -> None:
    assert "activity" == judge(history(start("activity")), Registry()).finding


def test_a_verdict_can_go_to_another_process_and_says_the_same_there() -> None:
    error = DivergenceError("no", fix="yes", kind="call", expected={"seq": 1, "path": ["0"]}, stack=object(), at={1: 2})
    verdict = Verdict("a", "f", "diverged", 3, error).portable()
    assert Verdict("a", "f", "diverged", 3, error).facts() == verdict.facts()
    assert verdict.error is not None
    assert {"kind": "call", "expected": {"seq": 1, "path": ["0"]}} == verdict.error.facts
    assert (DivergenceError, "no", "yes") == (type(verdict.error), verdict.error.message, verdict.error.fix)
    assert Verdict("a", "f", "fits") == Verdict("a", "f", "fits").portable()


def test_all_verdicts_in_one_line() -> None:
    findings: list[Finding] = ["fits", "fits", "diverged"]
    assert "3 histories: 2 fit, 1 diverged" == told(Counter(findings))
    assert "1 history: 1 fit" == told(Counter(findings[:1]))
    assert "0 histories: nothing to do" == told(Counter())
