"""Drawing a timeline on a terminal.

Every text of a payload goes through `one_line` before rich sees it: rich passes escape sequences on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from stent.cli.terminal import one_line
from stent.clock import to_datetime
from stent.duration import format_duration
from stent.inspect.axis import Axis
from stent.inspect.entries import Entry, State
from stent.inspect.timeline import Timeline

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

STYLES: dict[str, str] = {
    "done": "green",
    "completed": "green",
    "failed": "red",
    "timed_out": "red",
    "running": "yellow",
    "pending": "yellow",
    "waiting": "cyan",
    "stalled": "magenta",
    "cancelled": "bright_black",
}
MARKS: dict[State, tuple[str, str]] = {
    "done": ("\N{CHECK MARK}", "+"),
    "failed": ("\N{BALLOT X}", "x"),
    "running": ("\N{BLACK RIGHT-POINTING SMALL TRIANGLE}", ">"),
    "waiting": ("\N{HORIZONTAL ELLIPSIS}", "."),
    "cancelled": ("\N{EN DASH}", "-"),
}
"""State -> (mark, mark where only ASCII can be shown)."""

BAR_SHARE = 0.3  # of the width of the terminal
MIN_BAR = 10
SHOWN_OF_A_GROUP = 8  # entries of one kind side by side; the rest is one line
MAX_LINES = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the drawing: an entry with the lines of the tree before it, or how many entries are left out."""

    tree: str
    entry: Entry | None
    text: str = ""


def draw(console: Console, timeline: Timeline, *, is_whole: bool = False) -> None:
    """Print a timeline. `is_whole` leaves nothing out of it."""
    console.print(drawing(timeline, console.width, is_ascii=console.options.ascii_only, is_whole=is_whole))


def drawing(
    timeline: Timeline, width: int, *, is_ascii: bool = False, is_whole: bool = False, max_lines: int = MAX_LINES
) -> RenderableType:
    """A timeline as something that rich prints: a head, and a line for each entry."""
    bar_width = max(MIN_BAR, int(width * BAR_SHARE))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column(no_wrap=True, width=bar_width)
    grid.add_column(no_wrap=True, justify="right", style="bright_black")
    grid.expand = True
    lines = list(lines_of(timeline.entries, is_ascii=is_ascii, limit=None if is_whole else SHOWN_OF_A_GROUP))
    shown = lines if is_whole else lines[:max_lines]
    for line in shown:
        grid.add_row(*_cells(line, timeline, bar_width, is_ascii))
    if len(lines) > len(shown):
        grid.add_row(Text(f"{len(lines) - len(shown):,} more lines (--all)", style="bright_black"), Text(), Text())
    return Group(head(timeline), grid, *_foot(timeline, is_ascii))


def head(timeline: Timeline) -> Text:
    """Which run it is, its state, and its figures."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(one_line(timeline.run_id), style="bold")
    text.append("  ")
    text.append(timeline.state, style=STYLES.get(timeline.state, ""))
    text.append(f"  {one_line(timeline.function)}({one_line(timeline.arguments)})")
    lasted = span_text((timeline.stopped_us or timeline.until_us) - timeline.started_us)
    started = to_datetime(timeline.started_us).strftime("%Y-%m-%d %H:%M:%S")
    text.append(f"\n{started} UTC, {lasted}, {timeline.event_count:,} events", style="bright_black")
    return text


def _foot(timeline: Timeline, is_ascii: bool) -> Iterator[Text]:
    if timeline.axis.gaps:
        mark = _gap_mark(is_ascii)
        gaps = ", ".join(span_text(stop - start) for start, stop in timeline.axis.gaps[:4])
        more = ", ..." if len(timeline.axis.gaps) > 4 else ""
        yield Text(f"{mark} idle time, drawn shorter than it was: {gaps}{more}", style="bright_black")
    if timeline.outcome:
        yield Text(one_line(timeline.outcome), style=STYLES.get(timeline.state, ""))


def lines_of(
    entries: tuple[Entry, ...], *, is_ascii: bool, limit: int | None, indent: str = "", is_root: bool = True
) -> Iterator[Line]:
    """The tree as lines; of many entries side by side only some, those that failed or go on first."""
    chosen = _chosen(entries, limit) if not is_root else set(range(len(entries)))
    left_out = len(entries) - len(chosen)
    last = max(chosen, default=-1)
    fork, end, pipe = ("|- ", "`- ", "|  ") if is_ascii else ("\u251c\u2500 ", "\u2514\u2500 ", "\u2502  ")
    for index, entry in enumerate(entries):
        if index not in chosen:
            continue
        is_last = index == last and not left_out
        tree = "" if is_root else indent + (end if is_last else fork)
        yield Line(tree, entry)
        below = "" if is_root else indent + ("   " if is_last else pipe)
        yield from lines_of(entry.children, is_ascii=is_ascii, limit=limit, indent=below, is_root=False)
    if left_out:
        kinds = sorted({entry.state for index, entry in enumerate(entries) if index not in chosen})
        yield Line(indent + end, None, f"{left_out:,} more {', '.join(kinds)} (--all)")


def _chosen(entries: tuple[Entry, ...], limit: int | None) -> set[int]:
    """Which entries are shown: those that are not simply done, then those that took longest."""
    if limit is None or len(entries) <= limit:
        return set(range(len(entries)))

    def dullness(index: int) -> tuple[bool, int, int]:
        entry = entries[index]
        lasted_us = (entry.stopped_us or entry.started_us) - entry.started_us
        return entry.state == "done" and not entry.attempts_us, -lasted_us, index

    return set(sorted(range(len(entries)), key=dullness)[: limit - 1])


def _cells(line: Line, timeline: Timeline, bar_width: int, is_ascii: bool) -> tuple[Text, Text, Text]:
    entry = line.entry
    if entry is None:
        return Text(line.tree + line.text, style="bright_black"), Text(), Text()
    style = STYLES[entry.state]
    label = Text(line.tree, style="bright_black")
    label.append(f"{MARKS[entry.state][is_ascii]} ", style=style)
    name = one_line(entry.label)
    if is_ascii:
        name = name.replace("\N{MULTIPLICATION SIGN}", "x")
    label.append(name, style="bold" if entry.kind in ("group", "branch") else "")
    if entry.detail:
        label.append(f"  {one_line(entry.detail)}", style=style)
    stopped_us = entry.stopped_us if entry.stopped_us is not None else timeline.until_us
    lasted = "" if entry.kind == "note" else span_text(stopped_us - entry.started_us)
    return label, bar(entry, timeline.axis, stopped_us, bar_width, is_ascii), Text(lasted)


def bar(entry: Entry, axis: Axis, stopped_us: int, width: int, is_ascii: bool) -> Text:
    """An entry on the time axis; a mark where an attempt failed."""
    cells = [" "] * width
    for span in axis.gaps:
        first, count = axis.columns(span, width)
        cells[first : first + count] = [_gap_mark(is_ascii)] * count
    fill = _fill(entry, is_ascii)
    first, count = axis.columns((entry.started_us, stopped_us), width)
    cells[first : first + count] = [fill] * count
    for at_us in entry.attempts_us[:width]:
        cells[axis.columns((at_us, at_us), width)[0]] = MARKS["failed"][is_ascii]
    text = Text("".join(cells), style="bright_black")
    text.stylize(STYLES[entry.state], first, first + count)
    return text


def _fill(entry: Entry, is_ascii: bool) -> str:
    if entry.kind in ("timer", "signal", "note"):
        return "." if is_ascii else "\N{MIDDLE DOT}"
    if entry.kind in ("group", "branch"):
        return "-" if is_ascii else "\N{BOX DRAWINGS HEAVY HORIZONTAL}"
    return "#" if is_ascii else "\N{FULL BLOCK}"


def _gap_mark(is_ascii: bool) -> str:
    return "~" if is_ascii else "\N{LIGHT SHADE}"


def span_text(duration_us: int) -> str:
    """A duration with about three digits: nobody reads more of it in a drawing."""
    for unit_us in (1_000_000, 10_000, 1_000):
        if duration_us >= unit_us * 100:
            duration_us = round(duration_us / unit_us) * unit_us
            break
    return format_duration(duration_us)
