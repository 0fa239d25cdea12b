"""What the walks over values and documents share: refusals that learn their path, the depth limit, the protocols.

A refusal starts without a path, where the trouble is found. Each level that it passes on the way out adds its own
segment, so a walk that succeeds pays nothing for paths. It never leaves the package: `encode` and `decode` turn it
into an error of the SerializationError family.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from typing import Any, Final, Literal, Protocol

# Nesting that nobody writes by hand; 400 levels of JSON at most, which both C scanners survive under the default
# recursion limit of 1,000 (faults.md 67).
MAX_DEPTH: Final = 200
# Payloads that were each at the limit are joined into lists.
READ_DEPTH: Final = MAX_DEPTH + 2
# A key longer than this is cut in a path.
_KEY_CHARS: Final = 60

# The key that makes a JSON object a tagged value, in documents of codec TAGGED_JSON only.
TAG: Final = "$"

quote: Final = encode_basestring_ascii


class Refusal(Exception):
    """A value or document that cannot be encoded or decoded, with the path gathered on the way out."""

    def __init__(self, problem: str, *, type_name: str = "", fix: str = "", kind: str = "value") -> None:
        super().__init__(problem)
        self.problem = problem
        self.type_name = type_name
        self.fix = fix
        self.kind = kind  # "value", "size", "type" or "corrupt": which error it becomes
        self.size_bytes = 0
        self._segments: list[str] = []

    def under(self, segment: str) -> Refusal:
        """Add the segment of the level that it passes; returns itself, to be raised on."""
        self._segments.append(segment)
        return self

    @property
    def path(self) -> str:
        return "".join(reversed(self._segments))

    @property
    def segments(self) -> list[str]:
        """From the outermost to the innermost."""
        return self._segments[::-1]


# The kinds of classes that are stored by name.
Kind = Literal["dataclass", "model", "enum", "namedtuple", "exception"]


class ClassNames(Protocol):
    """The door to classes by name; `TypeRegistry` is the one that users have."""

    def name_of(self, cls: type, /) -> str | None: ...

    def class_of(self, name: str, kind: Kind, /) -> type: ...


class ValueWriter(Protocol):
    """What a writer of one kind of value needs of the walk that called it."""

    registry: ClassNames

    def text(self, value: Any, depth: int) -> str: ...


class DocumentReader(Protocol):
    """What a reader of one kind of tag needs of the walk that called it."""

    def class_of(self, name: str, kind: Kind) -> type: ...

    def value(self, node: Any, depth: int) -> Any: ...


def key_segment(key: object) -> str:
    """The path segment for an item of a dict. Never calls code of a user's class."""
    if type(key) is str:
        return f"[{key!r}]" if len(key) <= _KEY_CHARS else f"[{key[:_KEY_CHARS]!r}...]"
    if type(key) in (int, float, bool, type(None)):
        shown = repr(key) if type(key) is not int or key.bit_length() < 200 else "a huge int"
        return f"[{shown}]"
    return f"[{type_label(type(key))} key]"


def type_label(cls: type) -> str:
    """How messages call a class: `str` for builtins, `module.Name` for the rest."""
    name = type.__dict__["__qualname__"].__get__(cls)
    module = cls.__dict__.get("__module__", "builtins")
    return str(name) if module == "builtins" or not isinstance(module, str) else f"{module}.{name}"
