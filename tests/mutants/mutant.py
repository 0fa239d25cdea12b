"""One planted bug: what it changes, what that breaks, and which tests have to notice. Text in, text out."""

from __future__ import annotations

from dataclasses import dataclass


class DoesNotApply(Exception):
    """The text that a mutant replaces is not in its file exactly once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A small change of one file that breaks one promise.

    `old` stands in `file` exactly once. `breaks` says what is no longer true; I1 to I18 are the invariants of
    `stent.inspect.invariants`. `tests` are the narrowest that see it, as pytest ids: the first failure ends them.
    """

    id: str
    file: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]

    def planted(self, text: str) -> str:
        """The text of the file with the bug in it."""
        count = text.count(self.old)
        if count != 1:
            times = "is not there" if count == 0 else f"stands there {count} times"
            raise DoesNotApply(f"{self.file}: {self.old.strip()!r} {times}")
        return text.replace(self.old, self.new)

    @property
    def needs_postgres(self) -> bool:
        """Whether its tests ask for a server."""
        return any("postgres" in test for test in self.tests)
