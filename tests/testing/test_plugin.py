"""The pytest plugin as a project has it: fixtures, the shadow check, a crash at every commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

import stent.testing.crashes
import stent.testing.engines
import stent.testing.fixtures
import stent.testing.shadow  # noqa: F401 - all here, so that pytester does not import each of them again and again

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow  # each is a session of pytest

Run: TypeAlias = Callable[..., pytest.RunResult]

HEAD = """
import asyncio
from pathlib import Path
import pytest
from stent import Stent
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run the tests in a text with the plugin; the result."""

    def run(text: str, *options: str) -> pytest.RunResult:
        name = pytester.path.name.rstrip("0123456789")
        pytester.makepyfile(**{name: HEAD + text})
        pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
        return pytester.runpytest_inprocess(
            "-p", "stent.testing.plugin", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", *options
        )

    return run


def test_the_fixtures_share_one_engine_a_test(run: Run) -> None:
    done = run(
        """
@Stent.durable
async def monthly(n: int) -> int:
    await Stent.sleep("30d")
    return n

async def test_one(stent, stent_executor, stent_worker, stent_backend) -> None:
    assert 1 == await monthly(1)
    run = await stent_executor.dispatch(monthly, 2)
    await stent_worker.crash()
    assert 2 == (await stent.wait_for(run)).unwrap()
    assert "completed" == await Stent(stent_backend).state_of(run)
    assert 2 == len(stent.runs())

async def test_two(stent) -> None:
    assert [] == stent.runs()
""",
        "--stent-shadow=here",
    )
    done.assert_outcomes(passed=2)


ORDER = """
@Stent.durable
async def pay(n: int) -> int:
    return n

@Stent.durable
async def order() -> int:
    return await pay(1)
"""

UNSTABLE = """
@Stent.durable
async def pay(n: int) -> int:
    return n

amounts = iter(range(100))

@Stent.durable
async def unstable() -> int:
    return await pay(next(amounts))

async def test_it(stent) -> None:
    await unstable()
"""


def test_an_orchestrator_that_does_not_replay_fails_its_test_with_the_report(run: Run) -> None:
    done = run(UNSTABLE, "--stent-shadow=here")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*unstable behaves in another way on a replay in this process*", "*pay(1)*"])


def test_the_shadow_check_can_be_left_out_for_the_session_and_for_a_test(run: Run) -> None:
    run(UNSTABLE, "--stent-shadow=off").assert_outcomes(passed=1)
    run(UNSTABLE.replace("async def test", "@pytest.mark.stent(shadow='off')\nasync def test")).assert_outcomes(
        passed=1
    )


UNSORTED = """
@Stent.durable
async def pay(name: str) -> str:
    return name

NAMES = tuple(sorted(("ada", "grace", "edsger", "barbara", "donald", "tony", "leslie", "frances"), key=hash))

@Stent.durable
async def unsorted() -> list[str]:
    return [await pay(name) for name in NAMES]

@Stent.durable
async def in_order() -> list[str]:
    return [await pay(name) for name in sorted(NAMES)]

async def test_unsorted(stent) -> None:
    await unsorted()

async def test_sorted(stent) -> None:
    await in_order()

async def test_nested(stent) -> None:
    @Stent.durable
    async def nested() -> str:
        return await pay("ada")

    await nested()
"""
"""By their hashes, and no set: the order of a set may differ under one seed too, with the way in which it was made.
That two seeds give eight names one order is one in forty thousand."""


def test_the_order_of_a_set_is_found_by_the_other_process(run: Run) -> None:
    """It is told when it is known: as an error of the test, which has passed by then."""
    done = run(UNSORTED)
    done.assert_outcomes(passed=3, errors=1)
    assert pytest.ExitCode.TESTS_FAILED == done.ret
    done.stdout.fnmatch_lines(["*ERROR at teardown of test_unsorted*"])
    done.stdout.fnmatch_lines(["*unsorted behaves in another way in another process*"])
    done.stdout.fnmatch_lines(["1 x its function is defined in a function*"])


def test_what_the_workers_of_xdist_find_is_told_by_the_controller(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(HEAD + UNSORTED)
    pytester.makeini("[pytest]\nasyncio_mode = auto")
    done = pytester.runpytest_subprocess("-p", "stent.testing.plugin", "-n", "2")
    done.assert_outcomes(passed=3, errors=1)
    assert pytest.ExitCode.TESTS_FAILED == done.ret
    done.stdout.fnmatch_lines(["*unsorted behaves in another way in another process*"])


def test_a_helper_that_dies_is_no_silence(run: Run) -> None:
    """A module may end the process that imports it."""
    dying = """
import os, sys
if "stent.testing.helper" in sys.modules:  # only the process of the shadow check has it
    os._exit(3)

async def test_it(stent) -> None:
    await order()
"""
    done = run(ORDER + dying)
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*the process of the shadow check has died*"])


FRAGILE = """
@Stent.durable
async def charge(n: int) -> int:
    return n

@Stent.durable
async def twice(n: int) -> int:
    return await charge(n) + await charge(n)

async def test_robust(stent) -> None:
    assert 4 == await twice(2)

seen = []

@Stent.durable
async def count() -> int:
    seen.append(1)
    return len(seen)

@Stent.durable
async def fragile() -> int:
    return await count() + await charge(0)

async def test_fragile(stent) -> None:
    seen.clear()
    assert 1 == await fragile()
"""


def test_a_crash_at_every_commit_finds_what_may_not_run_twice(run: Run) -> None:
    run(FRAGILE, "--stent-shadow=off").assert_outcomes(passed=2)
    done = run(FRAGILE, "--stent-shadow=off", "--stent-crash-everywhere")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*crash before commit * of *: without it the test passes*"])
    done.stdout.fnmatch_lines(["charge(2), crash before commit *test_robust*"])
    done.stdout.fnmatch_lines(["charge(2), crash at the end of body 2 *test_robust*"])


TORN = """
steps = []

@Stent.durable
async def step(name: str) -> str:
    steps.append(name)
    assert steps != ["left", "left", "right"], "right was not done when left was done again"
    return name

@Stent.durable
async def both() -> list[str]:
    return await asyncio.gather(step("left"), step("right"))

async def test_it(stent) -> None:
    steps.clear()
    assert ["left", "right"] == await both()
"""


def test_a_crash_at_the_end_of_a_body_finds_what_no_crash_at_a_commit_does(run: Run) -> None:
    done = run(TORN, "--stent-shadow=off", "--stent-crash-everywhere")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*crash at the end of body 1 of 2: without it the test passes*"])


COUNTING = """
seen = []

@Stent.durable
async def ticket(name: str) -> int:
    seen.append(name)
    return len(seen)

@Stent.durable
async def same(name: str) -> str:
    return name

@Stent.durable
async def order() -> str:
    await ticket("a")
    return await same("b")

async def test_it(stent) -> None:
    seen.clear()
    assert "b" == await order()
"""


def test_bodies_that_gave_something_else_the_second_time_are_called_not_idempotent(run: Run) -> None:
    done = run(COUNTING, "--stent-shadow=off", "--stent-crash-everywhere")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["ticket('a') is not idempotent: it gave 1, then 2, crash before commit *"])
    done.stdout.fnmatch_lines(["same('b'), crash before commit *"])
    done.stdout.no_fnmatch_line("*same('b') is not*")


HIDING = """
import time

@Stent.durable
async def pay(n: int) -> int:
    return n

@Stent.durable
async def hides() -> int:
    getattr(time, "time")()
    return await pay(1)

async def test_it(stent) -> None:
    assert 1 == await hides()
"""


def test_a_first_execution_is_watched_unless_it_is_not_to_be(run: Run) -> None:
    done = run(HIDING, "--stent-shadow=off")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*STN102*hides() is an orchestrator; time.time at *reads the clock*"])
    run(HIDING, "--stent-shadow=off", "--stent-watch=off").assert_outcomes(passed=1)
    marked = HIDING.replace("async def test", "@pytest.mark.stent(watch=False)\nasync def test")
    run(marked, "--stent-shadow=off").assert_outcomes(passed=1)


def test_a_test_can_be_kept_from_crashes(run: Run) -> None:
    text = FRAGILE.replace(
        "async def test_fragile", "@pytest.mark.stent(crash_everywhere=False)\nasync def test_fragile"
    )
    run(text, "--stent-shadow=off", "--stent-crash-everywhere").assert_outcomes(passed=2)


def test_a_stored_history_is_replayed_against_the_code(run: Run, pytester: pytest.Pytester) -> None:
    text = """
@Stent.durable
async def pay(n: int) -> int:
    return n

@Stent.durable
async def order(n: int) -> int:
    return await pay(n) + await pay(n + 1)

async def test_record(stent) -> None:
    from stent.inspect.portable import dumps
    await order(1)
    Path("order.json").write_text(dumps(stent.history(stent.runs()[0])))

def test_fits(stent_history) -> None:
    assert 6 == len(stent_history("order.json"))
"""
    run(text, "--stent-shadow=off").assert_outcomes(passed=2)
    changed = text.replace("await pay(n) +", "await pay(n + 5) +").replace("test_record", "record")
    done = run(changed)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*STN101*", "*pay(1)*"])


def test_the_plugin_brings_nothing_of_the_engine(pytester: pytest.Pytester) -> None:
    """A project that has Stent installed and does not use the fixtures does not pay for it."""
    pytester.makepyfile(
        """
        import sys

        def test_what_is_loaded():
            ours = {name for name in sys.modules if name.partition(".")[0] == "stent"}
            assert {"depth", "fixtures", "late", "plugin", "session"} == {
                name.rpartition(".")[2] for name in ours if name.startswith("stent.testing.")
            }
            assert {"stent", "stent.testing"} == {name for name in ours if not name.startswith("stent.testing.")}
            assert not {"hypothesis", "sqlalchemy", "pydantic", "structlog"} & set(sys.modules)
        """
    )
    options = ("-p", "stent.testing.plugin", "-p", "no:hypothesispytest", "-p", "no:randomly")
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=1)


def test_the_command_line_says_how_many_schedules_are_played(run: Run) -> None:
    text = """
from stent.testing import explore

def test_it() -> None:
    assert WANTED == explore(order).schedules
    assert 5 == explore(order, schedules=5).schedules

async def test_where_a_loop_runs() -> None:
    assert WANTED == explore(order).schedules
"""
    run(ORDER + text.replace("WANTED", "37"), "--stent-explore", "37").assert_outcomes(passed=2)
    run(ORDER + text.replace("WANTED", "200")).assert_outcomes(passed=2)


def test_it_works_under_xdist(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(HEAD + FRAGILE)
    pytester.makeini("[pytest]\nasyncio_mode = auto")
    done = pytester.runpytest_subprocess("-p", "stent.testing.plugin", "-n", "2", "--stent-crash-everywhere")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["charge(2), crash before commit *test_robust*"])
