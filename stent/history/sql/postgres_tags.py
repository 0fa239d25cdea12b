"""Tags in conditions, on PostgreSQL: a cast of a text that is no JSON would fail the whole statement.

PostgreSQL can ask whether a text is JSON from version 16 on only; until then a regular expression tells it.
"""

from __future__ import annotations

_CHARACTER = r'([^"\\\x01-\x1f]|\\(["\\/bfnrt]|u[0-9a-fA-F]{4}))'
_TEXT = rf'[ \t\n\r]*"{_CHARACTER}*"[ \t\n\r]*'
LIST_OF_TEXTS = rf"^[ \t\n\r]*\[({_TEXT}(,{_TEXT})*|[ \t\n\r]*)\][ \t\n\r]*$"
"""What a JSON list of texts looks like."""

ONE_OF_ITS_TAGS = f"""EXISTS (
    SELECT 1 FROM json_array_elements(
        (CASE WHEN d.tags ~ '{LIST_OF_TEXTS}' THEN d.tags WHEN d.tags IS NOT NULL THEN '[0]' END)::json
    ) t WHERE json_typeof(t.value) <> 'string' OR t.value::text = ANY(%(tags)s::text[])
)"""
"""Of `d`. What is no list of texts may be any tag: who takes it tells of the damage."""
