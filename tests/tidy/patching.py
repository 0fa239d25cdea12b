"""Nothing changes another module: no assignment to what was imported, by attribute, setattr or del."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.tidy.bans import Permit
from tests.tidy.names import use_of, uses
from tests.tidy.source import PACKAGE, Breach, Repository, Source, is_under

SETTERS = ("builtins.setattr", "builtins.delattr")

PERMITS = (
    Permit(
        place="stent/replay/",
        name="asyncio.tasks._GatheringFuture.__hash__",
        reason="on our loop gather's own future must hash by number, elsewhere as ever; there is no other way in",
    ),
)


def check_patching(repository: Repository) -> Iterator[Breach]:
    """Attributes of imported modules, and of anything imported from outside, are not ours to set."""
    for source in repository.sources:
        for line, dotted in changes(source):
            owner = dotted.rpartition(".")[0]
            is_ours = owner.partition(".")[0] == PACKAGE and owner not in repository.modules
            if not is_ours and not is_permitted(source, dotted):
                yield source.breach(line, "patching", f"{dotted} is changed: nothing patches another module")


def changes(source: Source) -> Iterator[tuple[int, str]]:
    """The line and the dotted name of every attribute that is set or deleted on an imported name."""
    imported = {use.node: use.dotted for use in uses(source) if use.is_imported}
    for use in uses(source):
        if use.is_imported and use.is_change and isinstance(use.node, ast.Attribute):
            yield use.line, use.dotted
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=func, args=[owner, *names]) if use_of(source, func) in SETTERS and owner in imported:
                attribute = names[0].value if names and isinstance(names[0], ast.Constant) else "?"
                yield node.lineno, f"{imported[owner]}.{attribute!s}"


def is_permitted(source: Source, dotted: str) -> bool:
    return any(is_under(source.path, (permit.place,)) and dotted == permit.name for permit in PERMITS)
