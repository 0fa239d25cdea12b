"""Values to payloads and back: `encode`, `decode`, and the same for the exception that ends an attempt or a run.

The promise: `decode(encode(value))` has the same type and the same value at every depth, or `encode` refuses with an
error that names the path, the type and a way out. What is refused: classes that no reader could find again, naive
datetimes, subclasses of builtins, generators, cycles, more than 200 levels, more bytes than the limit. What does not
survive: the identity of shared objects (`[a, a]` comes back with two equal lists).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stent.codec.decoder import Decoder
from stent.codec.encoder import Encoder
from stent.codec.exceptions import MAX_TEXT_CHARS, write_exception
from stent.codec.names import class_name
from stent.codec.payload import (
    DEFAULT_LIMIT_BYTES,
    PLAIN_JSON,
    TAGGED_JSON,
    Payload,
    unpack,
)
from stent.codec.plain import decode_plain, plain_text, scan, too_large
from stent.codec.scalars import write_str
from stent.codec.tracebacks import safe_text, traceback_text
from stent.codec.walk import MAX_DEPTH, ClassNames, Refusal, quote, type_label
from stent.errors import CorruptPayloadError, PayloadTooLargeError, SerializationError, UnknownTypeError

if TYPE_CHECKING:
    from stent.codec.type_registry import TypeRegistry

_new_payload = tuple.__new__


def encode(value: Any, registry: TypeRegistry, *, where: str = "result", limit: int = DEFAULT_LIMIT_BYTES) -> Payload:
    """The payload of a value. `where` is how errors call the value; `limit` is in bytes, before compression.

    Raises SerializationError, or PayloadTooLargeError, with facts path, type_name (and size_bytes, limit_bytes).
    """
    try:
        return encode_or_refuse(value, registry, limit)
    except Refusal as refusal:
        raise refused(refusal, where + refusal.path, limit) from refusal.__cause__


def encode_or_refuse(value: Any, registry: ClassNames, limit: int) -> Payload:
    """`encode` for callers that put the path into words of their own. Raises Refusal only."""
    try:
        plain = plain_text(value, limit, MAX_DEPTH)
        if plain is not None:
            return _new_payload(Payload, (PLAIN_JSON, plain.encode("ascii")))
        text = Encoder(registry, limit).text(value, 0)
    except Refusal:
        raise
    except RecursionError:
        raise _full_stack() from None
    except Exception as error:  # border: attribute access on a user's class runs the user's code
        raise Refusal(
            f"cannot be read: {type(error).__name__}: {str(error)[:200]}", type_name=type_label(type(value))
        ) from error
    if len(text) > limit:
        raise too_large(len(text), limit)
    return Payload(TAGGED_JSON, text.encode("ascii"))


def _full_stack() -> Refusal:
    return Refusal("is nested too deep for what is left of the stack", fix="call from a place that is nested less deep")


def refused(refusal: Refusal, path: str, limit: int) -> SerializationError:
    """The error that users see for a value that was not encoded."""
    facts: dict[str, Any] = {"path": path, "type_name": refusal.type_name}
    if refusal.kind == "size":
        facts |= {"size_bytes": refusal.size_bytes, "limit_bytes": limit}
        return PayloadTooLargeError(f"{path} {refusal.problem}.", fix=refusal.fix, **facts)
    return SerializationError(f"{path} {refusal.problem}.", fix=refusal.fix, **facts)


def decode(payload: Payload, registry: TypeRegistry) -> Any:
    """The value of a payload, packed or not. Imports nothing, and runs no code but default factories and hashes.

    Raises CorruptPayloadError for bytes that are none of ours, UnknownTypeError for a class that is not known or not
    allowed here, SerializationError for a record that does not fit the class any more.
    """
    codec, data = payload
    try:
        if codec == PLAIN_JSON:
            return decode_plain(data)
        if codec != TAGGED_JSON:
            return decode(unpack(payload), registry)
        return Decoder(registry).value(scan(data), 0)
    except Refusal as refusal:
        raise _unreadable(refusal) from refusal.__cause__
    except RecursionError:
        raise _unreadable(_full_stack()) from None


def _unreadable(refusal: Refusal) -> SerializationError:
    path = f"value{refusal.path}"
    message = f"A stored value cannot be read: {path} {refusal.problem}."
    if refusal.kind == "corrupt":
        return CorruptPayloadError(message, fix=refusal.fix, path=path)
    if refusal.kind == "type":
        if refusal.problem.startswith("A stored value "):  # from the registry, which says it all but the path
            message = f"{refusal.problem.rstrip('.')} (at {path})."
        return UnknownTypeError(message, fix=refusal.fix, path=path, type_name=refusal.type_name)
    return SerializationError(message, fix=refusal.fix, path=path, type_name=refusal.type_name)


def encode_exception(error: BaseException, registry: TypeRegistry, *, limit: int = DEFAULT_LIMIT_BYTES) -> Payload:
    """The exception that ended an attempt or a run, with its traceback as text.

    Never raises. What cannot be kept is left out, and an exception that cannot be kept itself, or that is larger than
    the limit, comes back as ActivityError with its type name, text and traceback.
    """
    frames = traceback_text(error)
    try:
        text = write_exception(error, Encoder(registry, limit), 0, traceback_text=frames)
        if len(text) <= limit:
            return Payload(TAGGED_JSON, text.encode("ascii"))
    except Exception:  # border: too large, or code of a user's class fails; the failure must be recorded anyway
        pass
    said = safe_text(error)[:MAX_TEXT_CHARS]
    name = quote(class_name(type(error)))
    opaque = f'{{"$":"exception","of":{name},"text":{write_str(said)},"opaque":true,"traceback":{write_str(frames)}}}'
    return Payload(TAGGED_JSON, opaque.encode("ascii"))


def decode_exception(payload: Payload, registry: TypeRegistry) -> BaseException:
    """The exception of `encode_exception`: same class, args and text, its traceback shown as its cause.

    An ActivityError stands for a class that is not known or not allowed here. Raises CorruptPayloadError.
    """
    error = decode(payload, registry)
    if not isinstance(error, BaseException):
        raise CorruptPayloadError("A stored exception is none.")
    return error
