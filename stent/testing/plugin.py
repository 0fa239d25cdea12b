"""The pytest plugin: fixtures, the shadow check at the end of a test, and a crash at every event.

Rules of this file:
- a project that does not use it pays for nothing: what is needed is imported by the first test that needs it;
- it works under xdist: nothing is shared between processes, and what is to be told travels with the reports.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stent.testing import late
from stent.testing.depth import wanted_schedules
from stent.testing.session import ENGINE, HELPER, IS_NOT, MODES, REPEATED, helper_of, marked, shadow_mode

if TYPE_CHECKING:
    from stent.history.events import Event
    from stent.testing.engines import Engine


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stent", "durable functions")
    group.addoption(
        "--stent-shadow",
        choices=MODES,
        default="on",
        help="replay every orchestrator of a test at its end: on (here and in another process; the default), here, off",
    )
    group.addoption(
        "--stent-watch",
        choices=("on", "off"),
        default="on",
        help="refuse orchestrators what would not replay when they first run, also in libraries: on (the default), off",
    )
    group.addoption(
        "--stent-crash-everywhere",
        action="store_true",
        help="run every test with the `stent` fixture again, with a crash at every event: before and after its commit, "
        "and at the end of each body",
    )
    group.addoption(
        "--stent-explore",
        type=int,
        metavar="N",
        help="how many schedules explore() plays where it does not say (200)",
    )


def pytest_configure(config: pytest.Config) -> None:
    wanted_schedules.set(config.getoption("--stent-explore"))
    config.addinivalue_line(
        "markers",
        "stent(shadow='on', watch=True, crash_everywhere=True): how a test with the `stent` fixture is checked",
    )
    if find_spec("pytest_asyncio") is not None:
        config.pluginmanager.register(import_module("stent.testing.fixtures"), "stent.testing.fixtures")


def pytest_unconfigure(config: pytest.Config) -> None:
    """For a session that ends without its loop: the process goes with it."""
    wanted_schedules.set(None)
    helper = config.stash.get(HELPER, None)
    if helper is not None:
        helper.finish()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """After the last test: what the other process has found late, here or in the workers of xdist."""
    result = yield
    helper = session.config.stash.get(HELPER, None)
    if helper is not None:
        late.report(session.config, helper.finish())
    late.report_of_workers(session.config)
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of xdist has ended, and has said what it found."""
    late.keep(node.config, getattr(node, "workeroutput", None))


@pytest.fixture
def stent_history(request: pytest.FixtureRequest) -> Callable[[str], list[Event]]:
    """`stent_history("order.json")` replays a stored history with the code that is here, and gives its events.

    The path counts from the folder of the test, or from the root. The test fails with the report if the code does not
    fit.
    """

    def replay(path: str) -> list[Event]:
        from stent.errors import DivergenceError
        from stent.testing.shadow import check_history

        beside = request.path.parent / path
        try:
            return check_history(beside if beside.exists() else Path(request.config.rootpath, path))
        except DivergenceError as error:
            report = str(error)
        pytest.fail(report, pytrace=False)

    return replay


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """After the test, while its engine is still there: does everything that it has recorded replay?"""
    result = yield
    engine = item.stash.get(ENGINE, None)
    if engine is not None:
        _note(item, engine)
        _shadow(item, engine)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Tell what was found meanwhile; run a test of an engine again and again, if that was asked for."""
    helper = item.config.stash.get(HELPER, None)
    if helper is not None and not late.is_worker(item.config):
        late.report(item.config, helper.take())
    if not item.config.getoption("--stent-crash-everywhere") or "stent" not in getattr(item, "fixturenames", ()):
        return None
    if marked(item, "crash_everywhere") is False:
        return None
    from stent.testing.crashes import run_everywhere

    run_everywhere(item, nextitem)
    return True


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What ran twice, and what was not looked at."""
    lines = sorted(
        {
            f"{value}  ({report.nodeid})"
            for reports in terminalreporter.stats.values()
            for report in reports
            for name, value in getattr(report, "user_properties", ())
            if name == REPEATED
        },
        key=lambda line: (IS_NOT not in line, line),
    )
    if lines:
        terminalreporter.section("stent: ran more than once after a crash; is it idempotent?")
        for line in lines:
            terminalreporter.line(line)
    helper = config.stash.get(HELPER, None)
    if helper is not None and helper.skipped:
        terminalreporter.section("stent: replayed in this process only")
        for reason, count in sorted(helper.skipped.items()):
            terminalreporter.line(f"{count} x {reason}")


def _note(item: pytest.Item, engine: Engine) -> None:
    """For `--stent-crash-everywhere`: how many places for a crash there were, and what began twice."""
    if not item.config.getoption("--stent-crash-everywhere"):
        return
    from stent.testing.crashes import PASSAGE, Passage, describe

    item.stash[PASSAGE] = Passage(
        engine.commit_count, engine.ends.count, tuple(describe(again) for again in engine.doubles.repeated())
    )


def _shadow(item: pytest.Item, engine: Engine) -> None:
    from stent.testing.asking import Test
    from stent.testing.shadow import ShadowError, check

    mode = shadow_mode(item)
    if mode == "off":
        return
    store = engine.system.store
    helper = helper_of(item.config) if mode == "on" else None
    try:
        check([store.read_rows(run_id) for run_id in engine.runs()], helper, Test(item.nodeid, item.location))
    except ShadowError as error:
        report = str(error)
    else:
        return
    pytest.fail(report, pytrace=False)
