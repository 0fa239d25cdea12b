"""Exceptions, both ways, with their class if it may be kept and as ActivityError if not.

    {"$":"exception","of":"builtins:FileNotFoundError","text":"[Errno 2] ...","args":[2,"..."],"native":{...},
     "attributes":{...},"notes":[...],"cause":{...},"context":{...},"suppress":true,"traceback":"..."}
    {"$":"exception","of":"shop.pay:Declined","text":"card 42 declined","opaque":true, ... }

- An exception keeps its class if the registry knows it, its args can be stored, and the rebuilt one says the same
  text. Else it is opaque, and for every reader an ActivityError: also for one that knows the class, for an
  orchestrator must see on replay what it saw live.
- That text depends on the order of a set in the args, if there is one: the only value whose bytes are not the same
  after a round trip.
- Rebuilding runs the C constructor of the builtin base, and no `__new__`, `__init__` or `__setattr__` of a user.
- "native" are fields that builtins keep outside of `args` and `__dict__`: errno, filename, lineno ...
- Attributes that cannot be stored are left out: an HTTP error comes back without its open response.
- The traceback is text. The rebuilt exception shows it as its cause when it has no cause of its own, as
  concurrent.futures does; stored again, that text is taken out of the cause first, so it does not nest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stent.codec.names import class_name
from stent.codec.scalars import text_of, write_str
from stent.codec.shapes import shape_of
from stent.codec.tracebacks import RemoteTraceback, remote_text, safe_text
from stent.codec.walk import DocumentReader, Refusal, ValueWriter, quote
from stent.errors import ActivityError, StentError, UnknownTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Links that are kept, of `raise ... from ...` and from group to member: a retry loop that chains its errors must not
# fill a history.
MAX_LINKS: Final = 8
# Tracebacks of the members of a group, all together.
MAX_CHILD_TEXT_CHARS: Final = 32_000
# The text of an opaque error, which is for people.
MAX_TEXT_CHARS: Final = 8_000

_NATIVE_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    OSError: ("errno", "strerror", "filename", "filename2"),
    UnicodeDecodeError: ("encoding", "object", "start", "end", "reason"),
    UnicodeEncodeError: ("encoding", "object", "start", "end", "reason"),
    UnicodeTranslateError: ("object", "start", "end", "reason"),
    ImportError: ("msg", "name", "path"),
    NameError: ("name",),
    AttributeError: ("name",),
    StopIteration: ("value",),
    SyntaxError: ("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset"),
}


def native_base(cls: type[BaseException]) -> type[BaseException]:
    """The class written in C whose memory layout an exception class has."""
    base: Any = cls
    while base.__flags__ & (1 << 9) and base is not BaseException:  # Py_TPFLAGS_HEAPTYPE: made by a class statement
        base = base.__base__
    found: type[BaseException] = base
    return found


def _native_owner(base: type[BaseException]) -> type | None:
    return next((owner for owner in base.__mro__ if owner in _NATIVE_FIELDS), None)


def write_exception(error: BaseException, writer: ValueWriter, depth: int, *, traceback_text: str = "") -> str:
    """The JSON text of an exception. Never refuses: what cannot be kept becomes opaque.

    `traceback_text` is the text for the outermost one; without it only text that came from a store is kept, for the
    frames of this process may differ from run to run, and arguments are compared.
    """
    return _Writing(writer).text(error, depth, traceback_text or remote_text(error), 0)


class _Writing:
    """One exception and its chain on the way to text."""

    def __init__(self, writer: ValueWriter) -> None:
        self._writer = writer
        self._on_path: set[int] = set()
        self._text_budget = MAX_CHILD_TEXT_CHARS

    def text(self, error: BaseException, depth: int, traceback_text: str, links: int) -> str:
        self._on_path.add(id(error))
        cls = type(error)
        name = self._writer.registry.name_of(cls)
        said = safe_text(error)
        parts = None
        if name is not None:
            try:
                parts = self._kept_parts(error, name, said, depth, links)
            except Refusal as refusal:
                if refusal.kind == "size":
                    raise
            except RecursionError:  # says how deep the caller is, nothing of the exception
                raise
            except Exception:  # border: constructors in C and descriptors of a user's class may fail in any way
                parts = None
        if parts is None:
            parts = [f'"of":{quote(class_name(cls))},"text":{write_str(said[:MAX_TEXT_CHARS])},"opaque":true']
        parts += self._chain_parts(error, depth, links)
        notes = [note for note in _notes_of(error) if type(note) is str]
        if notes:
            parts.append(f'"notes":[{",".join(map(write_str, notes))}]')
        if traceback_text:
            parts.append(f'"traceback":{write_str(traceback_text)}')
        self._on_path.discard(id(error))
        return f'{{"$":"exception",{",".join(parts)}}}'

    def _kept_parts(self, error: BaseException, name: str, said: str, depth: int, links: int) -> list[str] | None:
        """The parts that rebuild the class; None if the rebuilt exception would not say the same."""
        args = _args_of(error)
        parts = [f'"of":{quote(name)},"text":{write_str(said)}']
        native: dict[str, Any] = {}
        if isinstance(error, BaseExceptionGroup):
            if len(args) != 2 or links >= MAX_LINKS:
                return None
            group = "".join(f",{self._child_text(child, depth + 1, links + 1)}" for child in error.exceptions)
            parts.append(f'"group":[{write_str(error.message)}{group}]')
            if type(args[1]) is tuple:
                parts.append('"tuple":true')
        else:
            parts.append(f'"args":[{",".join([self._writer.text(item, depth + 1) for item in args])}]')
            native = _native_state(error)
            if native:
                parts.append(f'"native":{{{self._fields(native.items(), depth)}}}')
        attributes = self._attributes(error, depth)
        if attributes:
            parts.append(f'"attributes":{{{",".join(text for _, _, text in attributes)}}}')
        rebuilt = rebuild(type(error), args, native, {key: item for key, item, _ in attributes})
        return parts if safe_text(rebuilt) == said else None

    def _child_text(self, child: BaseException, depth: int, links: int) -> str:
        """One of a group. Each may have come from another run with a traceback of its own; all have one budget."""
        remote = remote_text(child)
        self._text_budget -= len(remote)
        return self.text(child, depth, remote if self._text_budget >= 0 else "", links)

    def _fields(self, fields: Iterable[tuple[str, Any]], depth: int) -> str:
        return ",".join([f"{quote(key)}:{self._writer.text(item, depth + 1)}" for key, item in fields])

    def _attributes(self, error: BaseException, depth: int) -> list[tuple[str, Any, str]]:
        """(name, value, text) of each attribute that can be stored."""
        found = []
        for name, item in shape_of(type(error)).extra_state(error).items():
            if name == "__notes__" or type(name) is not str or not name.isascii():
                continue
            if name == "facts" and isinstance(error, StentError) and type(item) is dict:
                item = {key: fact for key, fact in item.items() if self._text_or_none(fact, depth + 1) is not None}
            text = self._text_or_none(item, depth)
            if text is not None:
                found.append((name, item, f"{quote(name)}:{text}"))
        return found

    def _text_or_none(self, item: Any, depth: int) -> str | None:
        if isinstance(item, BaseException) and id(item) in self._on_path:
            return None
        try:
            return self._writer.text(item, depth + 1)
        except Refusal as refusal:
            if refusal.kind == "size":
                raise
            return None

    def _chain_parts(self, error: BaseException, depth: int, links: int) -> list[str]:
        parts = ['"suppress":true'] if error.__suppress_context__ else []
        for key, link in (("cause", error.__cause__), ("context", error.__context__)):
            if link is None or isinstance(link, RemoteTraceback) or id(link) in self._on_path:
                continue
            if links < MAX_LINKS and not (key == "context" and link is error.__cause__):
                parts.append(f'"{key}":{self.text(link, depth + 1, "", links + 1)}')
        return parts


def _args_of(error: BaseException) -> tuple[Any, ...]:
    args: tuple[Any, ...] = BaseException.args.__get__(error)  # type: ignore[attr-defined]  # a C field, not a property of a subclass
    return args


def _notes_of(error: BaseException) -> list[Any]:
    notes = getattr(error, "__notes__", None)
    return list(notes) if isinstance(notes, list | tuple) else []


def _native_state(error: BaseException) -> dict[str, Any]:
    """The fields in C, those that are None left out."""
    owner = _native_owner(native_base(type(error)))
    if owner is None:
        return {}
    fields = ((name, _descriptor(owner, name).__get__(error)) for name in _NATIVE_FIELDS[owner])
    return {name: item for name, item in fields if item is not None}


def _descriptor(owner: type, name: str) -> Any:
    return owner.__dict__[name]


def rebuild(
    cls: type[BaseException], args: tuple[Any, ...], native: dict[str, Any], attributes: dict[str, Any]
) -> BaseException:
    """An exception of this class and state, made without running code of a user's class."""
    base = native_base(cls)
    make: Callable[..., BaseException] = base.__new__
    if issubclass(cls, BaseExceptionGroup):
        made = make(cls, *args)
    else:
        initial = _initial_args(base, args, native)
        made = make(cls, *initial)
        base.__dict__.get("__init__", BaseException.__init__)(made, *initial)
        _set(made, "args", args)
        owner = _native_owner(base)
        if owner is not None:
            for name in _NATIVE_FIELDS[owner]:
                item = native.get(name)
                if _descriptor(owner, name).__get__(made) is not item:
                    _descriptor(owner, name).__set__(made, item)
    if type(made) is not cls:  # OSError picks its subclass by errno
        raise TypeError(f"{cls.__name__} became {type(made).__name__}")
    shape_of(cls).restore_extra(made, attributes)
    return made


def _initial_args(base: type[BaseException], args: tuple[Any, ...], native: dict[str, Any]) -> tuple[Any, ...]:
    """What the C constructor needs so that every field behind `str()` is set."""
    if issubclass(base, OSError) and "errno" in native and len(args) == 2:
        return (*args, native.get("filename"), None, native.get("filename2"))
    if issubclass(base, UnicodeError) and base is not UnicodeError:
        return tuple(native[name] for name in _NATIVE_FIELDS[base])
    return args


def read_exception(node: dict[str, Any], reader: DocumentReader, depth: int) -> BaseException:
    """The exception of a tagged object, its traceback text attached."""
    made = _read_one(node, reader, depth)
    notes = node.get("notes")
    if notes is not None:
        made.__dict__["__notes__"] = [reader.value(note, depth + 1) for note in notes]
    for key in ("context", "cause"):
        if key in node:
            link = reader.value(node[key], depth + 1)
            if not isinstance(link, BaseException):
                raise TypeError(f"{key!r} is no exception")
            _set(made, f"__{key}__", link)
    if "traceback" in node:
        _attach(made, reader.value(node["traceback"], depth + 1))
    _set(made, "__suppress_context__", node.get("suppress") is True)
    return made


def _set(error: BaseException, name: str, value: Any) -> None:
    """Set a field in C; a class may have a `__setattr__`, as frozen dataclasses do."""
    _descriptor(BaseException, name).__set__(error, value)


def _attach(error: BaseException, text: Any) -> None:
    """Show the text as the first link of the chain of causes."""
    if type(text) is not str:
        raise TypeError("the traceback is no text")
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    is_suppressed = first.__suppress_context__
    _set(first, "__cause__", RemoteTraceback(text))
    _set(first, "__suppress_context__", is_suppressed)


def _read_one(node: dict[str, Any], reader: DocumentReader, depth: int) -> BaseException:
    name = text_of(node, "of")
    said = reader.value(node["text"], depth + 1)
    if type(said) is not str:
        raise TypeError("the text is no str")
    if node.get("opaque") is True:
        return _stand_in(name, said, node, reader, depth)
    native: dict[str, Any] = {}
    try:
        cls: Any = reader.class_of(name, "exception")
        attributes = {key: reader.value(item, depth + 1) for key, item in node.get("attributes", {}).items()}
        if "group" in node:
            message, *children = [reader.value(item, depth + 1) for item in node["group"]]
            args: tuple[Any, ...] = (message, tuple(children) if "tuple" in node else children)
        else:
            args = tuple([reader.value(item, depth + 1) for item in node["args"]])
            native = {key: reader.value(item, depth + 1) for key, item in node.get("native", {}).items()}
    except UnknownTypeError:
        return _stand_in(name, said, node, reader, depth)
    except Refusal as refusal:
        if refusal.kind == "corrupt":
            raise
        return _stand_in(name, said, node, reader, depth)
    try:
        return rebuild(cls, args, native, attributes)
    except RecursionError:
        raise
    except Exception:  # border: the class is another one by now: a constructor in C or a descriptor refuses
        return _stand_in(name, said, node, reader, depth)


def _stand_in(name: str, said: str, node: dict[str, Any], reader: DocumentReader, depth: int) -> ActivityError:
    short = name.rpartition(":")[2].rpartition(".")[2]
    text = reader.value(node["traceback"], depth + 1) if "traceback" in node else ""
    return ActivityError(
        f"{short}: {said}" if said else short,
        fix=f"to get a {short} itself, define it in a module with durable functions, or register it with "
        "Stent.register_type, and give it args that can be stored",
        type_name=name,
        error_message=said,
        traceback_text=text,
    )
