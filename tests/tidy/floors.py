"""Floors: an import goes to the same floor or down, and never in a circle (architecture, "Floors").

Imports for types only and imports in functions count: what a file may know does not depend on when it learns it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.tidy.imports import Import, imports_of, modules_meant
from tests.tidy.source import PACKAGE, Breach, Repository, Source

# Each module or package directly under stent/; what is not listed has no floor and is a breach.
FLOORS: Mapping[str, int] = {
    # 0: words
    "errors": 0,
    "ids": 0,
    "clock": 0,
    "codec": 0,
    "retry": 0,
    "duration": 0,
    "log": 0,
    "result": 0,
    # 1: remembers
    "history": 1,
    "registry": 1,
    # 2: decides
    "replay": 2,
    # 3: does
    "worker": 3,
    # 4: start, signal and wait; the decorator; tools over histories and over source
    "check": 4,
    "client": 4,
    "durable": 4,
    "inspect": 4,
    # 5: the facade, and the stores that it chooses from
    "app": 5,
    "backends": 5,
    # 6: faces
    "__init__": 6,
    "__main__": 6,
    "cli": 6,
    "testing": 6,
    "dashboard": 6,
}

# Neighbours on one floor that must not know each other.
STRANGERS: Mapping[tuple[str, str], str] = {
    ("history", "registry"): "history knows nothing of functions",
}


def check_floors(repository: Repository) -> Iterator[Breach]:
    """Imports that go up, modules without a floor, and strangers that meet."""
    for source in repository.sources:
        own = part_of(source.module)
        if own not in FLOORS:
            yield source.breach(1, "floors", f"stent.{own} has no floor: give it one in tests/tidy/floors.py")
            continue
        for found in imports_of(source):
            yield from check_import(source, own, found, repository)


def check_import(source: Source, own: str, found: Import, repository: Repository) -> Iterator[Breach]:
    known = {*repository.modules, *(f"{PACKAGE}.{part}" for part in FLOORS)}
    for module in modules_meant(found, known):
        part = part_of(module)
        if part not in FLOORS:
            yield source.breach(found.line, "floors", f"{module} has no floor: give it one in tests/tidy/floors.py")
        elif FLOORS[part] > FLOORS[own]:
            way = f"{own} (floor {FLOORS[own]}) imports {module} (floor {FLOORS[part]})"
            yield source.breach(found.line, "floors", f"{way}: an import goes down, never up")
        elif (own, part) in STRANGERS:
            yield source.breach(found.line, "floors", f"{own} imports {module}: {STRANGERS[own, part]}")


def part_of(module: str) -> str:
    """The module or package directly under stent/ that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def check_testing(repository: Repository) -> Iterator[Breach]:
    """`stent.testing` is for users: nobody inside imports it."""
    for source in repository.sources:
        for found in imports_of(source):
            inside = part_of(source.module) == "testing"
            if not inside and any(part_of(module) == "testing" for module in modules_meant(found, {"stent.testing"})):
                yield source.breach(found.line, "testing", "stent.testing is for users; nobody inside imports it")


def check_cycles(repository: Repository) -> Iterator[Breach]:
    """No module reaches itself through imports. Importing a submodule does not count as importing its package."""
    edges = {source.module: edges_of(source, repository) for source in repository.sources}
    by_module = {source.module: source for source in repository.sources}
    reported: set[frozenset[str]] = set()
    for start in sorted(edges):
        circle = shortest_circle(start, edges)
        if circle and frozenset(circle) not in reported:
            reported.add(frozenset(circle))
            way = " -> ".join([*circle, start])
            line = edges[start][circle[1] if len(circle) > 1 else start]
            yield by_module[start].breach(line, "cycles", f"imports in a circle: {way}")


def edges_of(source: Source, repository: Repository) -> dict[str, int]:
    """The modules of the repository that this one imports, with the line of the first import of each."""
    lines: dict[str, int] = {}
    for found in imports_of(source):
        for module in modules_meant(found, repository.modules):
            if module in repository.modules:
                lines[module] = min(found.line, lines.get(module, found.line))
    return lines


def shortest_circle(start: str, edges: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The shortest way from a module back to itself, without the return; empty if there is none."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for target in sorted(edges[way[-1]]):
            if target == start:
                return way
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []
