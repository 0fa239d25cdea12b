"""How runs begin, are told things, and go on, in memory. Statement by statement as in `stent.history.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stent.history import wire
from stent.history.events import EVENT_CODES, CancelRequested, Event, RunContinuedAsNew, SignalReceived, put_of
from stent.history.memory_tables import Kind, ReadyRow, Tables, last_row
from stent.history.operations import (
    Append,
    Appended,
    Fenced,
    Outcome,
    Put,
    PutMessage,
    Release,
    Started,
    StartRun,
    Unread,
)
from stent.history.records import TERMINAL_STATUSES, InboxRow, Message, NewRun, RunRow, SharedCall
from stent.history.refusals import answer_to_taken


class MemoryRuns:
    """Operations of one transaction, which somebody else keeps or takes back: those on single runs."""

    def __init__(self, tables: Tables, now_us: int) -> None:
        self.tables = tables
        self.now_us = now_us

    # -- starting and telling --------------------------------------------------------------------------------------

    def start_run(self, operation: StartRun) -> Outcome:
        return Started(self._insert_run(operation.run))

    def _insert_run(self, run: NewRun) -> bool:
        tables, now_us = self.tables, self.now_us
        owner = run.owner
        if owner is not None and (run.limit_key is not None or owner not in tables.workers):
            owner = None
        if not tables.runs.insert(run.run_id, _run_row(run, owner, now_us)):
            return False
        tables.extend_history(run.run_id, [run.started])
        if owner is not None:
            return True
        if run.due_us is not None and run.due_us > now_us:
            tables.sleeping.put(run.run_id, run.due_us)
            return True
        self.make_ready(run.run_id)
        return True

    def make_ready(self, run_id: str) -> None:
        run = self.tables.runs.get(run_id)
        if run is None or run.owner is not None:
            return
        call = SharedCall(
            run_id,
            0,
            0,
            run.function,
            queue=run.queue,
            priority=run.priority,
            tags=run.tags,
            limit_key=run.limit_key if run.started_at_us is None else None,
        )
        self.make_call_ready(call, run.role)

    def make_call_ready(self, call: SharedCall, kind: Kind) -> None:
        row = ReadyRow(call, kind, self.now_us)
        self.tables.ready.insert(row.place, row)

    def put_message(self, operation: PutMessage) -> Outcome:
        return self.put(operation.message)

    def put(self, message: Message) -> Put:
        tables = self.tables
        run = tables.runs.get(message.run_id)
        if run is None:
            return Put("unknown")
        is_late = run.status in TERMINAL_STATUSES and isinstance(message.event, SignalReceived | CancelRequested)
        if message.is_once or is_late:
            recorded = self._recorded(message)
            if recorded is not None:
                return _again(message, recorded)
        if is_late:
            return Put("ended")
        placeless = replace(message, event=replace(message.event, seq=0, at_us=0), is_once=False)
        row = InboxRow(tables.message_count + 1, placeless)
        place = (message.run_id, message.key)
        waiting = tables.inbox.get(place)
        if waiting is not None:
            return _again(message, waiting.message.event)
        tables.inbox.put(place, row)
        tables.message_count += 1
        if run.owner is None and (run.status != "pending" or isinstance(message.event, CancelRequested)):
            self.make_ready(run.run_id)
        return Put("delivered")

    def _recorded(self, message: Message) -> Event | None:
        """The event in the history that a message like this one became: a signal by its key, a cancel by its put."""
        wanted = message.event
        code = EVENT_CODES[type(wanted)]
        mark = wanted.key if isinstance(wanted, SignalReceived) else put_of(wanted)
        for event in (wire.decode(row) for row in self.tables.histories[message.run_id] if row.code == code):
            if mark is not None and mark == (event.key if isinstance(event, SignalReceived) else put_of(event)):
                return event
        return None

    # -- going on --------------------------------------------------------------------------------------------------

    def append(self, operation: Append) -> Outcome:
        tables = self.tables
        run_id = operation.run_id
        if not self._is_next(operation):
            return self._applied_before(operation)
        if operation.status == "completed" and self._has_unread_cancel(operation):
            return Unread()
        tables.extend_history(run_id, operation.rows)
        for key in operation.consumed:
            tables.inbox.remove((run_id, key))
        taken = [place for place, child in enumerate(operation.children) if not self._insert_run(child)]
        for place in taken:
            self._refuse(operation.children[place])
        told = [(place, message.run_id, self._tell(message)) for place, message in enumerate(operation.messages)]
        led_on = tuple((place, got) for place, wanted, got in told if got != wanted)
        if operation.next_run is not None:
            self._hand_on(run_id, operation.next_run)
        for call in operation.shared:
            self.make_call_ready(call.named(), "call")
        cancelled = [place for call in operation.withdrawn for place in self._withdraw(run_id, call)]
        if operation.status is not None:
            self._set_status(operation)
        if operation.release is not None:
            self._release(operation, operation.release)
        return Appended(tuple(cancelled), tuple(taken), led_on)

    def _refuse(self, child: NewRun) -> None:
        """A run that was to be started has an id that is taken: who asked for it is told."""
        answer = answer_to_taken(child, self.tables.histories[child.run_id][0])
        if answer is not None:
            self.put(answer)

    def _tell(self, message: Message) -> str:
        """Put a message into the inbox of its run, a cancel into that of the one that goes on; the id of that run."""
        told = message
        while self.put(told).result == "ended" and isinstance(told.event, CancelRequested):
            last = last_row(self.tables, told.run_id)
            end = wire.decode(last) if last is not None else None
            if not isinstance(end, RunContinuedAsNew):
                return message.run_id
            told = replace(told, run_id=end.next_run)
        return told.run_id

    def _is_next(self, operation: Append) -> bool:
        """The run is still the holder's, and the rows come right after what is there."""
        run = self.tables.runs.get(operation.run_id)
        if run is None or run.epoch != operation.epoch:
            return False
        last = last_row(self.tables, operation.run_id)
        return not operation.rows or operation.rows[0].seq == (last.seq if last is not None else 0) + 1

    def _has_unread_cancel(self, operation: Append) -> bool:
        waiting = (row.message for row in self.tables.inbox if row.message.run_id == operation.run_id)
        cancels = (message.key for message in waiting if isinstance(message.event, CancelRequested))
        return any(key not in operation.consumed for key in cancels)

    def _hand_on(self, run_id: str, next_run: str) -> None:
        """Signals that wait for a run wait for the next one of its chain."""
        tables = self.tables
        waiting = [row for row in tables.inbox if row.message.run_id == run_id]
        for row in sorted(waiting, key=lambda row: row.n):
            if isinstance(row.message.event, SignalReceived):
                tables.inbox.remove((run_id, row.message.key))
                tables.message_count += 1
                moved = InboxRow(tables.message_count, replace(row.message, run_id=next_run))
                tables.inbox.insert((next_run, moved.message.key), moved)

    def _applied_before(self, operation: Append) -> Outcome:
        if operation.rows:
            first = operation.rows[0]
            history = self.tables.histories.get(operation.run_id, [])
            found = history[first.seq - 1] if 0 < first.seq <= len(history) else None
            if found is not None and found.token is not None and found.token == first.token:
                return Appended(taken=self._started_by_others(operation.children))
        return Fenced()

    def _started_by_others(self, children: Sequence[NewRun]) -> tuple[int, ...]:
        histories = self.tables.histories
        starts = enumerate(child.started for child in children)
        return tuple(place for place, row in starts if histories[row.run_id][0].token != row.token)

    def _withdraw(self, run_id: str, call: int) -> list[tuple[int, int]]:
        ready = self.tables.ready
        cancelled = []
        for place, row in ready.items():
            if place[:2] != (run_id, call):
                continue
            if row.claimed_by is None:
                ready.remove(place)
            else:
                ready.put(place, replace(row, is_cancelled=True))
                cancelled.append((call, row.call.first_item))
        return sorted(cancelled)

    def _set_status(self, operation: Append) -> None:
        runs = self.tables.runs
        run = runs.get(operation.run_id)
        assert run is not None, "the fence has seen it"
        status = operation.status
        assert status is not None, "asked for only where it changes"
        finished_at_us = run.finished_at_us
        if finished_at_us is None and status in TERMINAL_STATUSES:
            finished_at_us = operation.at_us
        runs.put(run.run_id, replace(run, status=status, stall=operation.stall, finished_at_us=finished_at_us))

    def _release(self, operation: Append, release: Release) -> None:
        tables = self.tables
        run_id = operation.run_id
        run = tables.runs.get(run_id)
        assert run is not None, "the fence has seen it"
        tables.runs.put(run_id, replace(run, owner=None))
        if release.due_us is not None:
            tables.sleeping.put(run_id, release.due_us)
        if not release.now:
            if operation.status == "stalled":
                return
            if not any(row.message.run_id == run_id for row in tables.inbox):
                return
        self.make_ready(run_id)


def _run_row(run: NewRun, owner: str | None, now_us: int) -> RunRow:
    is_held = owner is not None
    return RunRow(
        run_id=run.run_id,
        function=run.function,
        role=run.role,
        status="running" if is_held else "pending",
        queue=run.queue,
        priority=run.priority,
        tags=run.tags,
        limit_key=run.limit_key,
        parent_run=run.parent_run,
        parent_call=run.parent_call,
        parent_item=run.parent_item,
        epoch=1 if is_held else 0,
        owner=owner,
        created_at_us=now_us,
        started_at_us=now_us if is_held else None,
        finished_at_us=None,
        stall=None,
        crashes=0,
    )


def _again(message: Message, first: Event) -> Put:
    """The answer to a message that is there already: it may have been brought by this very put."""
    put = put_of(message.event)
    return Put("delivered" if put is not None and put == put_of(first) else "duplicate")
