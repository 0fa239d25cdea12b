"""`stent check` finds what would not replay in the source, in helpers too, and lets pass what replays."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from stent.check.lint import check
from stent.check.source import find_target
from stent.errors import UnregisteredFunctionError, UsageError

HEAD = """\
import asyncio
from stent import Stent

@Stent.durable
async def pay(value): return value
"""

Check = Callable[..., list[tuple[str, int]]]


@pytest.fixture
def found(tmp_path: Path) -> Check:
    """Checks a program: (code, line below the head) of each finding."""

    def check_program(body: str, target: str = "app", **others: str) -> list[tuple[str, int]]:
        (tmp_path / "app.py").write_text(HEAD + body)
        for name, text in others.items():
            place = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            place.parent.mkdir(exist_ok=True)
            place.write_text(text)
        report = check(find_target(target, [tmp_path]))
        return [(each.rule.code, each.line - HEAD.count("\n")) for each in report.findings]

    return check_program


def flow(*lines: str, head: str = "", parameters: str = "") -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"{head}\n@Stent.durable\nasync def flow({parameters}):\n{body}\n"


@pytest.mark.parametrize(
    ("head", "line", "code"),
    [
        ("import time", "await pay(time.time())", "DET101"),
        ("from time import monotonic as tick", "await pay(tick())", "DET101"),
        ("from datetime import datetime as dt", "await pay(dt.now())", "DET101"),
        ("import time", "await pay(time.gmtime())", "DET101"),
        ("import time", "time.sleep(1); await pay(1)", "DET102"),
        ("import random", "await pay(random.random())", "DET103"),
        ("import random", "await pay(random.Random().random())", "DET103"),
        ("import uuid", "await pay(uuid.uuid4())", "DET103"),
        ("import os", "await pay(os.environ['A'])", "DET104"),
        ("", "await pay(open('x').read())", "DET105"),
        ("from pathlib import Path", "await pay(Path('x').read_text())", "DET105"),
        ("from pathlib import Path\nHERE = Path('x')", "await pay(HERE.exists())", "DET105"),
        ("import requests", "await pay(requests.get('x').text)", "DET106"),
        ("import subprocess", "await pay(subprocess.run(['x']))", "DET107"),
        ("import threading", "threading.Thread(target=print).start(); await pay(1)", "DET108"),
        ("", "await asyncio.to_thread(print); await pay(1)", "DET108"),
        ("", "await pay(id(pay))", "DET202"),
        ("", "await pay(hash('a') % 3)", "DET202"),
        ("", "await pay(sorted([1, 2], key=id))", "DET202"),
        ("", "pay(1)", "DET301"),
        ("", "never = pay(1); await pay(2)", "DET301"),
        ("", "Stent.sleep(1); await pay(2)", "DET301"),
        ("@Stent.durable\nasync def continue_as_new(): ...", "continue_as_new(); await pay(2)", "DET301"),
        ("COUNT = 0", "global COUNT; COUNT += 1; await pay(COUNT)", "DET203"),
        ("SEEN = []", "SEEN.append(1); await pay(1)", "DET203"),
        ("import itertools\nIDS = itertools.count()", "await pay(next(IDS))", "DET203"),
        ("class Settings: count = 0", "Settings.count += 1; await pay(1)", "DET203"),
    ],
)
def test_each_kind_is_found_under_its_code(found: Check, head: str, line: str, code: str) -> None:
    assert [(code, head.count("\n") + 4)] == found(flow(line, head=head))


@pytest.mark.parametrize(
    "lines",
    [
        ("for name in names:", "    await pay(name)"),
        ("await asyncio.gather(*[pay(name) for name in names])",),
        ("await pay(list(names))",),
        ("await pay(','.join(names))",),
        ("await pay(names.pop())",),
        ("await pay(next(iter(names)))",),
        ("await pay(f'{names}')",),
        ("await pay(*names)",),
        ("await Stent.map(pay, [name for name in names])",),
        ("await pay(list({'a', 'b'} | names))",),
        ("return list(names)",),
        ("for name in {'a', 'b'}:", "    await pay(name)"),
        ("for name in set(['a', 'b']):", "    await pay(name)"),
    ],
)
def test_the_order_of_a_set_that_reaches_a_durable_call_or_the_result(found: Check, lines: tuple[str, ...]) -> None:
    assert [("DET201", 4)] == found(flow(*lines, "await pay(1)", parameters="names: set[str]"))


def test_the_order_of_a_set_is_followed_through_names(found: Check) -> None:
    body = flow("found = []", "for name in names:", "    found.append(name)", "first = found[0]", "await pay(first)")
    assert [("DET201", 8)] == found(body.replace("flow()", "flow(names: set[str])"))


def test_the_order_of_a_set_is_followed_through_names_in_any_order(found: Check) -> None:
    names = "abcdefgh"
    lines = [f"{name} = {before}" for before, name in pairwise(names)]
    body = flow(
        "a = 0",
        "for _ in range(9):",
        *[f"    {line}" for line in reversed(lines)],
        "    a = list(names)",
        "await pay(h)",
    )
    assert [("DET201", 14)] == found(body.replace("flow()", "flow(names: set[str])"))


@pytest.mark.parametrize(
    "lines",
    [
        ("for name in sorted(names):", "    await pay(name)"),
        ("await pay(len(names)); await pay(max(names)); await pay('a' in names)",),
        ("await pay(names)",),
        ("for number in {1, 2, 3}:", "    await pay(number)"),
        ("for number in set(range(3)):", "    await pay(number)"),
        ("for name in dict.fromkeys(['a', 'b']):", "    await pay(name)"),
        ("found = [name for name in names]", "await pay(sorted(found))"),
        ("for name in names:", "    str(name)", "await pay(1)"),
        ("await pay(id(names) == id(names))",),
        ("await pay(hash(7) % 3)",),
        ("later = pay(1)", "await later"),
        ("seen = []", "seen.append(1)", "await pay(seen)"),
        ("await asyncio.sleep(1); await pay(Stent.now()); await pay(Stent.random().random())",),
        ("return await pay(1)",),
    ],
)
def test_what_replays_is_let_pass(found: Check, lines: tuple[str, ...]) -> None:
    assert [] == found(flow(*lines, parameters="names: set[str]"))


def test_a_helper_in_another_file_of_the_package_is_followed(found: Check) -> None:
    others = {
        "shop____init__": "",
        "shop__prices": "from .inner import now\n",
        "shop__inner": "import time\ndef now(): return time.time()\n",
    }
    assert [("DET101", 2 - HEAD.count("\n"))] == found(
        flow("await pay(prices.now())", head="from shop import prices"), **others
    )


def test_a_method_and_what_makes_an_object_are_followed(found: Check) -> None:
    methods = "    def __init__(self): self.at = time.time()\n    def open(self): return time.time()"
    head = f"import time\nclass Shop:\n{methods}"
    assert [("DET101", 3), ("DET101", 4)] == found(flow("shop = Shop()", "await pay(shop.open())", head=head))


def test_an_activity_may_do_all_of_it(found: Check) -> None:
    assert [] == found("import time\n@Stent.durable\nasync def work(): return time.time(), id(work)\n")


def test_a_declared_role_decides(found: Check) -> None:
    body = "import time\n@Stent.durable(role='{}')\nasync def work(): return time.time()\n"
    assert [("DET101", 3)] == found(body.format("orchestrator"))
    assert [] == found(body.format("activity"))


def test_one_function_can_be_checked_alone(found: Check) -> None:
    body = flow("await pay(id(1))") + flow("await pay(id(2))").replace("flow", "other")
    assert [("DET202", 4)] == found(body, "app:flow")
    with pytest.raises(UnregisteredFunctionError, match="did you mean flow"):
        found(body, "app:flo")


def test_a_waiver_with_a_reason_allows_its_code_on_its_line(found: Check) -> None:
    waived = "await pay(id(1))  # stent: ok[DET202] compared within this turn only"
    assert [] == found(flow(waived))
    assert [] == found(flow("# stent: ok[DET101, DET202] looked at", "await pay(id(1))"))
    assert [("DET202", 4)] == found(flow("await pay(id(1))  # stent: ok[DET202]"))
    assert [("DET202", 4)] == found(flow("await pay(id(1))  # stent: ok[DET101] another one"))


def test_a_name_of_ones_own_is_not_the_libraries(found: Check) -> None:
    body = flow("await pay(time())", head="def time(): return 7")
    body += flow("def open(name): return name", "await pay(open('x'))")
    assert [] == found(body)


def test_an_error_class_of_a_package_may_be_handled(found: Check) -> None:
    body = flow("try: await pay(1)", "except requests.ConnectionError: pass", head="import requests")
    assert [] == found(body)


def test_a_file_that_is_no_python_is_named_with_its_line(found: Check) -> None:
    with pytest.raises(UsageError, match=r"app\.py:6 cannot be read"):
        found("def (:\n")


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnregisteredFunctionError, match="there is no module, file or folder 'nowhere'"):
        find_target("nowhere", [tmp_path])


def test_columns_count_characters_and_begin_with_one(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HEAD + flow("await pay('é', id(1))"), encoding="utf-8")
    (finding,) = check(find_target(str(tmp_path / "app.py"), [])).findings
    assert (20, 25) == (finding.column, finding.end_column)
    assert finding.text(tmp_path).splitlines()[2:4] == ["    await pay('é', id(1))", "                   ^^^^^"]
