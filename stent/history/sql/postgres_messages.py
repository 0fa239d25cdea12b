"""How runs are told things, on PostgreSQL.

Rule of this file: who tells a run something locks it first, so that a message and a release cannot miss each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stent.codec import PLAIN_JSON, Payload
from stent.history import wire
from stent.history.events import EVENT_CODES, CancelRequested, SignalReceived, put_of
from stent.history.operations import Put, PutMessage
from stent.history.records import TERMINAL_STATUSES, Message
from stent.history.sql import rows
from stent.history.sql.postgres_starts import READY_OF_RUN, RUN_FOR_READY
from stent.history.sql.postgres_talk import NOW, Sent, Statement, Talk
from stent.history.sql.rows import READY_COLUMNS

SIGNAL_CODE = EVENT_CODES[SignalReceived]
CANCEL_CODE = EVENT_CODES[CancelRequested]
_OUTSIDE_CODES = frozenset({SIGNAL_CODE, CANCEL_CODE})
_NOTHING = Payload(PLAIN_JSON, b"null")
_ENDED = ", ".join(f"'{status}'" for status in sorted(TERMINAL_STATUSES))

_MESSAGES = Sent(
    "m",
    {
        "run_id": "text",
        "key": "text",
        "code": "smallint",
        "version": "smallint",
        "call": "int",
        "body": "text",
        "codec": "smallint",
        "payload": "bytea",
        "is_outside": "boolean",
        "is_cancel": "boolean",
        "is_once": "boolean",
        "mark": "text",
        "own": "text",
    },
    has_place=True,
)
# A run that nobody has begun is ready already, or waits for its first time: only a cancel may wake it.
_PUT = f"""
WITH m AS MATERIALIZED (SELECT * FROM {_MESSAGES.sql}),
told AS MATERIALIZED (
    SELECT {RUN_FOR_READY}, status, owner FROM stent_runs WHERE run_id IN (SELECT run_id FROM m)
    ORDER BY run_id FOR NO KEY UPDATE
),
looked AS MATERIALIZED (
    SELECT m.place, (
        SELECT coalesce(strpos(e.body, m.own) > 0, false) FROM stent_events e
        WHERE e.run_id = m.run_id AND e.code = m.code AND strpos(e.body, m.mark) > 0 LIMIT 1
    ) AS is_own
    FROM m JOIN told USING (run_id) WHERE m.is_once OR m.is_outside AND told.status IN ({_ENDED})
),
received AS MATERIALIZED (SELECT place, is_own FROM looked WHERE is_own IS NOT NULL),
kept AS (
    INSERT INTO stent_inbox (run_id, key, code, version, call, body, codec, payload, put_at_us)
    SELECT m.run_id, m.key, m.code, m.version, m.call, m.body, m.codec, m.payload, {NOW}
    FROM m JOIN told USING (run_id)
    WHERE NOT (m.is_outside AND told.status IN ({_ENDED})) AND m.place NOT IN (SELECT place FROM received)
    ORDER BY m.place
    ON CONFLICT (run_id, key) DO NOTHING
    RETURNING run_id, key
),
woken AS (
    INSERT INTO stent_ready ({READY_COLUMNS}) SELECT {READY_OF_RUN} FROM told
    WHERE owner IS NULL AND EXISTS (
        SELECT 1 FROM kept JOIN m USING (run_id, key)
        WHERE kept.run_id = told.run_id AND (told.status <> 'pending' OR m.is_cancel)
    )
    ON CONFLICT DO NOTHING
)
SELECT CASE WHEN told.run_id IS NULL THEN 'unknown'
    WHEN received.is_own IS NOT NULL THEN CASE WHEN received.is_own THEN 'delivered' ELSE 'duplicate' END
    WHEN m.is_outside AND told.status IN ({_ENDED}) THEN 'ended'
    WHEN kept.key IS NOT NULL OR EXISTS (
        SELECT 1 FROM stent_inbox i WHERE i.run_id = m.run_id AND i.key = m.key AND strpos(i.body, m.own) > 0
    ) THEN 'delivered'
    ELSE 'duplicate' END
FROM m LEFT JOIN told USING (run_id) LEFT JOIN received ON received.place = m.place
LEFT JOIN kept ON kept.run_id = m.run_id AND kept.key = m.key
ORDER BY m.place
"""


def put(messages: Iterable[Message]) -> Statement:
    table = (
        (
            *rows.inbox_values(message, 0)[:-1],
            EVENT_CODES[type(message.event)] in _OUTSIDE_CODES,
            type(message.event) is CancelRequested,
            message.is_once,
            _mark_of(message),
            _own_mark(message),
        )
        for message in messages
    )
    return Statement(_PUT, _MESSAGES.values(table))


def _mark_of(message: Message) -> str | None:
    """What stands in the body of an event that a message like this one became: a signal's key, a cancel's put."""
    if isinstance(message.event, SignalReceived):
        key = message.event.key
        return _written("key", SignalReceived(0, 0, "", _NOTHING, key=key)) if key is not None else None
    return _own_mark(message)


def _own_mark(message: Message) -> str | None:
    """What stands only in the body of what this very put has brought."""
    name = put_of(message.event)
    return _written("put", SignalReceived(0, 0, "", _NOTHING, put=name)) if name is not None else None


def _written(field: str, signal: SignalReceived) -> str:
    """The last field of a signal as it stands in a recorded body, written by who writes those.

    It can stand nowhere else in it: within a text, no quotation mark comes without a backslash. The database's own
    functions for JSON would fail at the first signal whose name has a NUL.
    """
    body = wire.encode(signal, "", 0, b"").body or ""
    return body[body.rindex(f'"{field}"') : body.rindex("}")]


def put_messages(operations: Sequence[PutMessage]) -> Talk:
    (results,) = yield [put(operation.message for operation in operations)]
    return [Put(result) for (result,) in results]
