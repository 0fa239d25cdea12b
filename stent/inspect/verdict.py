"""Whether a history still fits the code: one verdict a history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from stent.errors import DivergenceError, StentError, UnregisteredFunctionError
from stent.history.events import Event, RunStarted
from stent.registry import Registry
from stent.replay.divergence import told_of_file, told_of_stored
from stent.replay.replayer import fits, is_orchestrator

Finding: TypeAlias = Literal["fits", "activity", "diverged", "unknown", "unreadable"]
"""activity: there is nothing to replay; unknown: the function is not defined here."""

WORDS: dict[Finding, str] = {
    "fits": "fit",
    "activity": "without a program (single activities)",
    "diverged": "diverged",
    "unknown": "of functions that are not known here",
    "unreadable": "unreadable",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one history. `error` says more where it does not fit."""

    run_id: str
    function: str
    finding: Finding
    event_count: int = 0
    error: StentError | None = None

    def portable(self) -> Verdict:
        """The same without what cannot go to another process: of the error remain what it says and its plain facts."""
        if self.error is None:
            return self
        facts = {name: fact for name, fact in self.error.facts.items() if _is_plain(fact)}
        return replace(self, error=type(self.error)(self.error.message, fix=self.error.fix, **facts))

    def facts(self) -> dict[str, Any]:
        """The same as plain data."""
        facts: dict[str, Any] = {
            "run_id": self.run_id,
            "function": self.function,
            "finding": self.finding,
            "events": self.event_count,
        }
        if self.error is not None:
            facts |= {"code": self.error.code, "message": self.error.message}
        if isinstance(self.error, DivergenceError):
            known = ("kind", "seq", "call", "expected", "actual", "difference")
            facts["divergence"] = {name: self.error.facts.get(name) for name in known}
        return facts


def judge(history: Sequence[Event], registry: Registry, *, file: str | None = None) -> Verdict:
    """Re-execute an orchestrator against its history with the code that is registered. No activity runs.

    `file` names the file that the history is from, if it is from one.
    """
    started = history[0]
    assert isinstance(started, RunStarted), "the first event of a history starts the run"
    run_id, name, count = started.run_id, started.function, len(history)
    if not is_orchestrator(history):
        return Verdict(run_id, name, "activity", count)
    try:
        function = registry.find(name)
    except UnregisteredFunctionError as error:
        return Verdict(run_id, name, "unknown", count, error)
    try:
        divergence = fits(function, history)
    except StentError as error:
        return Verdict(run_id, name, "unreadable", count, error)
    if divergence is None:
        return Verdict(run_id, name, "fits", count)
    told = told_of_file(divergence, file) if file is not None else told_of_stored(divergence)
    return Verdict(run_id, name, "diverged", count, told)


def told(counts: Counter[Finding], more: Iterable[tuple[int, str]] = ()) -> str:
    """Counts in one line; `more` are others, with their words."""
    parts = [(counts[finding], words) for finding, words in WORDS.items()] + [*more]
    total = sum(count for count, _ in parts)
    said = ", ".join(f"{count:,} {words}" for count, words in parts if count)
    return f"{total:,} {'history' if total == 1 else 'histories'}: {said or 'nothing to do'}"


def _is_plain(fact: object) -> bool:
    """Whether a value is what JSON can hold."""
    match fact:
        case None | bool() | int() | float() | str():
            return True
        case dict():
            return all(isinstance(key, str) and _is_plain(value) for key, value in fact.items())
        case list() | tuple():
            return all(map(_is_plain, fact))
    return False
