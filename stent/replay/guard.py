"""What an orchestrator may not use, found in its code and in the user's helpers before it first runs.

Rules of this file:
- a finding names the user's line, what is wrong with it, and what to write instead;
- only what is certain is reported: the object itself is recognised, not its name in the source;
- nothing is replaced behind the user's back: `from time import time` would slip through any patch.

The loop refuses what it sees at run time (`stent.replay.loop`), the matcher whatever slipped through everything.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import reduce
from typing import Any

from stent.errors import ForbiddenInOrchestratorError
from stent.history.events import Site
from stent.registry import Function
from stent.replay.walker import Reference, references

_TIME = ("reads the clock", "use Stent.now(): the same on every replay")
_SLEEP = ("blocks the worker", 'use await Stent.sleep("1s") or asyncio.sleep()')
_CHANCE = ("is different on every replay", "use Stent.random() or Stent.uuid4(): the same on every replay")
_ENVIRONMENT = ("reads the environment, which may be another one on replay", "read it in a durable function of its own")
_FILES = ("does I/O, which a replay would do again", "put it into a durable function of its own")
_THREADS = ("starts work that replay cannot see", "put it into a durable function of its own")

_FORBIDDEN: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            "time.time",
            "time.time_ns",
            "time.monotonic",
            "time.monotonic_ns",
            "time.perf_counter",
            "time.perf_counter_ns",
            "time.localtime",
            "time.gmtime",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
        ),
        _TIME,
    ),
    "time.sleep": _SLEEP,
    **dict.fromkeys(
        (
            "random.random",
            "random.randint",
            "random.randrange",
            "random.choice",
            "random.choices",
            "random.sample",
            "random.shuffle",
            "random.uniform",
            "random.gauss",
            "random.betavariate",
            "random.SystemRandom",
            "uuid.uuid1",
            "uuid.uuid4",
            "os.urandom",
            "secrets.token_bytes",
            "secrets.token_hex",
            "secrets.token_urlsafe",
            "secrets.randbelow",
            "secrets.choice",
        ),
        _CHANCE,
    ),
    **dict.fromkeys(("os.environ", "os.getenv", "os.getcwd", "os.getpid", "socket.gethostname"), _ENVIRONMENT),
    **dict.fromkeys(
        (
            "builtins.open",
            "io.open",
            "builtins.input",
            "os.open",
            "os.listdir",
            "os.scandir",
            "os.walk",
            "os.system",
            "os.popen",
            "socket.socket",
            "socket.create_connection",
            "subprocess.run",
            "subprocess.Popen",
            "subprocess.call",
            "subprocess.check_call",
            "subprocess.check_output",
            "sqlite3.connect",
            "urllib.request.urlopen",
            "asyncio.open_connection",
            "asyncio.create_subprocess_exec",
            "asyncio.create_subprocess_shell",
        ),
        _FILES,
    ),
    **dict.fromkeys(
        (
            "threading.Thread",
            "threading.Timer",
            "asyncio.to_thread",
            "asyncio.run_coroutine_threadsafe",
            "concurrent.futures.ThreadPoolExecutor",
            "concurrent.futures.ProcessPoolExecutor",
            "multiprocessing.Process",
        ),
        _THREADS,
    ),
}
_FORBIDDEN_PACKAGES: dict[str, tuple[str, str]] = dict.fromkeys(
    ("requests", "httpx", "aiohttp", "urllib3", "psycopg", "psycopg2", "asyncpg", "redis", "boto3", "botocore"), _FILES
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One use of something that an orchestrator may not use."""

    what: str
    why: str
    fix: str
    site: Site

    def __str__(self) -> str:
        return f"{self.site}: {self.what} {self.why}; {self.fix}"


def findings(function: Function) -> list[Finding]:
    """Everything in the code of an orchestrator that would not replay, in the order of the walk."""
    known = _known_objects()
    found: list[Finding] = []
    for reference in references(function.body):
        rule = known.get(id(reference.value))
        if rule is None:
            rule = _package_rule(reference)
        if rule is not None:
            name, (why, fix) = rule
            finding = Finding(name, why, fix, reference.site)
            if finding not in found:
                found.append(finding)
    return found


def check(function: Function) -> None:
    """Raise ForbiddenInOrchestratorError if anything is found."""
    found = findings(function)
    if found:
        first = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ForbiddenInOrchestratorError(
            f"{function.display_name}() is an orchestrator; {first.what} at {first.site} {first.why}{more}",
            fix=first.fix,
            site=str(first.site),
            findings=[str(finding) for finding in found],
        )


def _known_objects() -> dict[int, tuple[str, tuple[str, str]]]:
    """Forbidden objects by identity, for the modules that are imported by now."""
    known: dict[int, tuple[str, tuple[str, str]]] = {}
    for dotted, rule in _FORBIDDEN.items():
        value = _find(dotted)
        if value is not None:
            known.setdefault(id(value), (dotted.removeprefix("builtins."), rule))  # io.open is builtins.open
    return known


def _find(dotted: str) -> Any:
    parts = dotted.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:length]))
        if module is not None:
            return reduce(_static_attribute, parts[length:], module)
    return None


def _static_attribute(value: Any, name: str) -> Any:
    return vars(value).get(name) if value is not None and hasattr(value, "__dict__") else None


def _package_rule(reference: Reference) -> tuple[str, tuple[str, str]] | None:
    module = getattr(reference.value, "__module__", None)
    if not isinstance(module, str) or not callable(reference.value):
        return None
    rule = _FORBIDDEN_PACKAGES.get(module.partition(".")[0])
    return (reference.text, rule) if rule is not None else None
