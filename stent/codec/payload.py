"""What is stored of a value: a codec id and bytes; compressing them, and checking them before anything is decoded.

- A codec id is never reused. 1 and 2 are what `encode` makes, 3 and 4 are the same bytes under zlib.
- Two values are the same argument if and only if their uncompressed payloads are equal. Compressed bytes are never
  compared: another zlib may compress the same data in another way.
- Nothing is decompressed past a limit, whatever the stream claims.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from stent.errors import CorruptPayloadError

PLAIN_JSON: Final = 1
TAGGED_JSON: Final = 2
PLAIN_JSON_ZLIB: Final = 3
TAGGED_JSON_ZLIB: Final = 4

# A payload travels through the database, the memory of a worker and perhaps a network several times; what is larger
# belongs in a file or an object store, and the history keeps the reference (faults.md 63).
DEFAULT_LIMIT_BYTES: Final = 2 * 1024 * 1024
# Reading is more generous than writing, so that a history written under a raised limit stays readable, but bounded.
DEFAULT_UNPACK_LIMIT_BYTES: Final = 64 * 1024 * 1024
# Level 1: within 10 % of the size of level 6 on JSON of a few KiB, in a third of the time (bench/codec.py).
_ZLIB_LEVEL: Final = 1

_PACKED: Final = {PLAIN_JSON: PLAIN_JSON_ZLIB, TAGGED_JSON: TAGGED_JSON_ZLIB}
_UNPACKED: Final = {packed: plain for plain, packed in _PACKED.items()}
KNOWN_CODECS: Final = frozenset(_PACKED) | frozenset(_UNPACKED)


class Payload(NamedTuple):
    """An encoded value: the codec id says how to read the data. Immutable, hashable, comparable."""

    codec: int
    data: bytes


def pack(payload: Payload, threshold: int) -> Payload:
    """Compress a payload of more than `threshold` bytes, if that makes it smaller. Packing twice changes nothing."""
    packed = _PACKED.get(payload.codec)
    if packed is None or len(payload.data) <= threshold:
        return payload
    data = zlib.compress(payload.data, _ZLIB_LEVEL)
    return Payload(packed, data) if len(data) < len(payload.data) else payload


def unpack(payload: Payload, limit: int = DEFAULT_UNPACK_LIMIT_BYTES) -> Payload:
    """Undo `pack`. Raises CorruptPayloadError for an unknown codec, a broken stream, or more than `limit` bytes."""
    plain = _UNPACKED.get(payload.codec)
    if plain is None:
        if payload.codec in _PACKED:
            return payload
        raise unknown_codec(payload.codec)
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(payload.data, limit + 1)
    except zlib.error as error:
        raise CorruptPayloadError(f"A compressed payload cannot be read: {error}.", codec=payload.codec) from error
    if len(data) > limit:
        raise CorruptPayloadError(
            f"A compressed payload grows past {limit} bytes.",
            fix="if it is yours, read it with a larger limit",
            codec=payload.codec,
            limit_bytes=limit,
        )
    if not stream.eof or stream.unused_data:
        raise CorruptPayloadError("A compressed payload is cut off or has a tail.", codec=payload.codec)
    return Payload(plain, data)


def unknown_codec(codec: object) -> CorruptPayloadError:
    """The error for a codec id that this version does not know."""
    return CorruptPayloadError(
        f"The payload has codec id {codec!r}; this version reads {sorted(KNOWN_CODECS)}.",
        fix="run a version of Stent that is at least as new as the one that wrote it",
        codec=codec,
    )
