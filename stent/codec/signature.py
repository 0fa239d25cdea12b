"""The signature of a durable function: fitting a call to it, one canonical form, and the arguments as a payload.

- `f(1, b=2)`, `f(a=1, b=2)` and `f(1, 2)` are one call, so they encode to the same bytes. Parameters that may be
  either become positional from the left as long as there is no gap; the rest are keywords, in the order of the
  signature; extra keywords follow in the order given. Defaults are not applied: a new default is a change of the
  function, not of the calls in old histories.
- Stored is the list of arguments, or `{"args": [...], "kwargs": {...}}` if there are keywords.
- Annotations are resolved at the first call, when the module that they may refer to is complete.
"""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any, Final

from stent.codec.annotations import resolve_hints
from stent.codec.payload import DEFAULT_LIMIT_BYTES, PLAIN_JSON, Payload
from stent.codec.plain import LEAF_TEXTS, MAX_SHORT_CHARS, SURROGATE
from stent.codec.validation import Check, Mismatch, is_checked
from stent.codec.values import decode, encode_or_refuse, refused
from stent.codec.walk import Refusal
from stent.errors import ArgumentError, CorruptPayloadError, SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stent.codec.type_registry import TypeRegistry

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_UNBOUNDED: Final = 1 << 30
_MAX_TEXT: Final = 200
_new_payload = tuple.__new__


def encode_arguments(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], registry: TypeRegistry, *, limit: int = DEFAULT_LIMIT_BYTES
) -> Payload:
    """The payload of arguments in canonical form. Raises SerializationError; `Signature` has one that names them."""
    try:
        return encode_or_refuse({"args": [*args], "kwargs": {**kwargs}} if kwargs else [*args], registry, limit)
    except Refusal as refusal:
        raise refused(refusal, f"arguments{refusal.path}", limit) from refusal.__cause__


def decode_arguments(payload: Payload, registry: TypeRegistry) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of a payload. Raises what `decode` raises."""
    value = decode(payload, registry)
    if type(value) is list:
        return tuple(value), {}
    if type(value) is dict and value.keys() == {"args", "kwargs"}:
        args, kwargs = value["args"], value["kwargs"]
        if type(args) is list and type(kwargs) is dict and all(type(name) is str for name in kwargs):
            return tuple(args), kwargs
    raise CorruptPayloadError("A stored value is no list of arguments.")


class Signature:
    """What a call of one function may look like. Make it once per function, with `Signature.of`."""

    def __init__(self, function: Callable[..., Any], registry: TypeRegistry, name: str) -> None:
        self.name = name
        self._function = function
        self._registry = registry
        found = inspect.signature(function)
        self.text = f"{name}{found}"[:_MAX_TEXT]
        parameters = found.parameters.values()
        self._positional = [each for each in parameters if each.kind in _POSITIONAL]
        self._keyword_only = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
        self._rest = next((each for each in parameters if each.kind is inspect.Parameter.VAR_POSITIONAL), None)
        self._extra = next((each for each in parameters if each.kind is inspect.Parameter.VAR_KEYWORD), None)
        # A call with positional arguments only, of a number in this range, needs no further binding.
        self._at_least = sum(1 for each in self._positional if each.default is inspect.Parameter.empty)
        self._at_most = _UNBOUNDED if self._rest is not None else len(self._positional)
        if any(each.default is inspect.Parameter.empty for each in self._keyword_only):
            self._at_most = -1
        self._checks: dict[str, Check] | None = None
        self._by_place: list[tuple[int, str, Check]] = []
        # For the short cut of `payload`, known after the first call: what writes an argument, by its place and type.
        self._texts: list[dict[type, Callable[[Any], str]]] = []
        self._at_most_short = -1

    @classmethod
    def of(cls, function: Callable[..., Any], registry: TypeRegistry, *, name: str = "") -> Signature:
        """Describe a function, and allow the classes that its annotations mention, those of its result included."""
        registry.register_annotations(function)
        return cls(function, registry, name or str(getattr(function, "__name__", "function")))

    def payload(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Payload:
        """`bind`, then `encode`. Replay does this with every call, only to compare, so the common case has a short cut.

        The short cut is for positional scalars of types which `bind` lets through whatever the value is, and whose text
        is so short that `encode` has nothing to look for. It gives what the long way gives.
        """
        if not kwargs and self._at_least <= len(args) <= self._at_most_short:
            texts: list[str] = []
            by_type = self._texts
            try:
                for index, given in enumerate(args):
                    texts.append(by_type[index][type(given)](given))
            except (KeyError, ValueError):
                pass  # another type, or not finite: the long way knows what to do or to say
            else:
                text = f"[{','.join(texts)}]"
                if len(text) <= MAX_SHORT_CHARS and SURROGATE not in text:
                    return _new_payload(Payload, (PLAIN_JSON, text.encode()))
        return self.encode(*self.bind(args, kwargs))

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The canonical form of a call, its arguments checked and converted. Raises ArgumentError."""
        if kwargs or not self._at_least <= len(args) <= self._at_most:
            args, kwargs = self._canonical(args, kwargs)
        checks = self._checks
        if checks is None:
            checks = self._prepare()
        count = len(args)
        for index, name, check in self._by_place:
            if index >= count:
                break
            given = args[index]
            if type(given) not in check.exact:
                value = self._checked(name, check, given)
                if value is not given:
                    args = (*args[:index], value, *args[index + 1 :])
        if self._rest is not None and count > len(self._positional) and self._rest.name in checks:
            start, check = len(self._positional), checks[self._rest.name]
            args = (*args[:start], *[self._checked(self._rest.name, check, given) for given in args[start:]])
        return (args, self._checked_keywords(kwargs, checks)) if kwargs else (args, kwargs)

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, limit: int = DEFAULT_LIMIT_BYTES) -> Payload:
        """The payload of a call that `bind` gave. Raises SerializationError naming the argument."""
        try:
            document: Any = {"args": [*args], "kwargs": kwargs} if kwargs else [*args]
            return encode_or_refuse(document, self._registry, limit)
        except Refusal as refusal:
            raise self._not_encoded(refusal, limit, args, kwargs) from refusal.__cause__

    def decode(self, payload: Payload) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a payload, as they were bound."""
        return decode_arguments(payload, self._registry)

    def _prepare(self) -> dict[str, Check]:
        hints, _ = resolve_hints(self._function)
        every = [*self._positional, *self._keyword_only, self._rest, self._extra]
        checks = {
            each.name: Check(hints[each.name])
            for each in every
            if each is not None and each.name in hints and each.name != "self" and is_checked(hints[each.name])
        }
        self._by_place = [
            (index, each.name, checks[each.name]) for index, each in enumerate(self._positional) if each.name in checks
        ]
        self._texts = [
            {
                kind: text
                for kind, text in LEAF_TEXTS.items()
                if each.name not in checks or kind in checks[each.name].exact
            }
            for each in self._positional
        ]
        self._at_most_short = min(self._at_most, len(self._positional))
        self._checks = checks
        return checks

    def _checked(self, name: str, check: Check, given: Any) -> Any:
        try:
            return check.value_for(given)
        except Mismatch as mismatch:
            raise ArgumentError(
                f"{self.name}() argument {name!r} should be {check.expected}: {mismatch.problem}.",
                fix=mismatch.fix or f"pass {check.expected}",
                function=self.name,
                argument=name,
                expected=check.expected,
            ) from mismatch.__cause__

    def _checked_keywords(self, kwargs: dict[str, Any], checks: dict[str, Check]) -> dict[str, Any]:
        own = {each.name for each in (*self._positional, *self._keyword_only)}
        of_extra = checks.get(self._extra.name) if self._extra is not None else None
        checked = {}
        for name, given in kwargs.items():
            check = checks.get(name) if name in own else of_extra
            checked[name] = given if check is None else self._checked(name, check, given)
        return checked

    def _canonical(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if len(args) > len(self._positional) and self._rest is None:
            raise self._arity(f"takes {_count(len(self._positional))}, but {len(args)} were given")
        rest = dict(kwargs)
        by_name = [each for each in self._positional if each.kind is not inspect.Parameter.POSITIONAL_ONLY]
        for each in self._positional[: len(args)]:
            if each in by_name and each.name in rest:
                raise self._arity(f"got two values for {each.name!r}", each.name)
        given = list(args)
        for each in self._positional[len(args) :]:
            if each not in by_name or each.name not in rest:
                break
            given.append(rest.pop(each.name))
        keywords: dict[str, Any] = {}
        missing = []
        for each in (*self._positional[len(given) :], *self._keyword_only):
            if each.name in rest and each.kind is not inspect.Parameter.POSITIONAL_ONLY:
                keywords[each.name] = rest.pop(each.name)
            elif each.default is inspect.Parameter.empty:
                missing.append(each.name)
        if rest and self._extra is None:
            name = next(iter(rest))
            close = difflib.get_close_matches(str(name), [each.name for each in (*by_name, *self._keyword_only)], 1)
            raise self._arity(f"has no parameter {name!r}{f'; did you mean {close[0]!r}?' if close else ''}", str(name))
        if missing:
            raise self._arity(f"is missing {', '.join(map(repr, missing))}", missing[0])
        return tuple(given), {**keywords, **rest}

    def _arity(self, problem: str, argument: str = "") -> ArgumentError:
        return ArgumentError(
            f"{self.name}() {problem}.", fix=f"call it as {self.text}", function=self.name, argument=argument
        )

    def _not_encoded(
        self, refusal: Refusal, limit: int, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> SerializationError:
        """`argument 'data' ['x']`, for a path that starts inside of the stored form."""
        segments = refusal.segments
        if segments[:1] == ["['kwargs']"]:
            name, segments = segments[1:2], segments[2:]
            label = name[0][2:-2] if name else ""
        else:
            segments = segments[1:] if segments[:1] == ["['args']"] else segments
            label = self._label(int(segments[0][1:-1])) if segments else ""
            segments = segments[1:]
        path = f"argument {label!r}{' ' if segments else ''}{''.join(segments)}" if label else "the list of arguments"
        if refusal.kind == "size" and not label:
            label, size = self._largest(args, kwargs, limit)
            path = (
                f"argument {label!r}" if size > limit else f"{path}, of which {label!r} is the largest ({size} bytes),"
            )
        error = refused(refusal, path, limit)
        error.message = f"{self.name}(): {error.message}"
        error.args = (error.message,)
        error.facts |= {"function": self.name, "argument": label}
        return error

    def _largest(self, args: tuple[Any, ...], kwargs: dict[str, Any], limit: int) -> tuple[str, int]:
        """The argument that takes most, and how much; more than `limit` if it is too large by itself."""
        values = {self._label(index): value for index, value in enumerate(args)} | kwargs
        sizes = {label: self._size(value, limit) for label, value in values.items()}
        return max(sizes.items(), key=lambda named: named[1])

    def _size(self, value: Any, limit: int) -> int:
        try:
            return len(encode_or_refuse(value, self._registry, limit).data)
        except Refusal as refusal:
            return max(limit + 1, refusal.size_bytes)

    def _label(self, index: int) -> str:
        if index < len(self._positional):
            return self._positional[index].name
        return f"*{self._rest.name if self._rest is not None else 'args'}[{index - len(self._positional)}]"


def _count(limit: int) -> str:
    return f"{limit} positional argument{'' if limit == 1 else 's'}"
