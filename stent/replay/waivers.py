"""`# stent: ok[CODE] reason`: a person has looked at a line and answers for it.

Rules of this file:
- a waiver stands on the line itself, or alone on the line above it;
- it names what it allows and says why: without a reason it is none.
"""

from __future__ import annotations

import linecache
import re

_WAIVER = re.compile(r"#\s*stent:\s*ok\[\s*(?P<codes>[A-Z0-9,\s]+)\]\s*(?P<reason>\S.*)")


def waived_codes(line: str) -> frozenset[str]:
    """The codes that a line of source allows."""
    found = _WAIVER.search(line)
    return frozenset(re.split(r"[,\s]+", found["codes"].strip())) if found is not None else frozenset()


def allows(line: str, above: str, code: str) -> bool:
    """Whether a line, or a comment alone on the line above, allows a code."""
    return code in waived_codes(line) or (above.lstrip().startswith("#") and code in waived_codes(above))


def is_waived(file: str, line: int, code: str) -> bool:
    """The same for a line of a file. Looked up only where something was found: it reads the file."""
    return allows(linecache.getline(file, line), linecache.getline(file, line - 1), code)
