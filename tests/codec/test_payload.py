"""Packing: compressed when it pays, the same bytes back, and nothing decompressed past the limit."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given, settings, strategies as st

from stent.codec import (
    PLAIN_JSON,
    PLAIN_JSON_ZLIB,
    TAGGED_JSON,
    TAGGED_JSON_ZLIB,
    Payload,
    decode,
    encode,
    pack,
    unpack,
)
from stent.errors import CorruptPayloadError
from tests.codec import samples
from tests.codec.exactness import assert_same

REGISTRY = samples.new_registry()
LONG = Payload(PLAIN_JSON, b"[" + b"1," * 500 + b"1]")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([PLAIN_JSON, TAGGED_JSON]),
    st.binary() | st.binary().map(lambda data: data * 50),
    st.integers(0, 99),
)
def test_unpack_undoes_pack(codec: int, data: bytes, threshold: int) -> None:
    """Whatever the data and the threshold; and a packed payload is never the larger one."""
    payload = Payload(codec, data)
    packed = pack(payload, threshold)
    assert payload == unpack(packed)
    assert packed == pack(packed, threshold)
    assert len(packed.data) <= len(data)
    assert packed == payload or len(data) > threshold


def test_codec_ids_are_for_ever() -> None:
    """They stand in old histories."""
    assert (1, 2, 3, 4) == (PLAIN_JSON, TAGGED_JSON, PLAIN_JSON_ZLIB, TAGGED_JSON_ZLIB)


@pytest.mark.parametrize(("codec", "packed"), [(PLAIN_JSON, PLAIN_JSON_ZLIB), (TAGGED_JSON, TAGGED_JSON_ZLIB)])
def test_the_codec_id_says_that_it_is_packed(codec: int, packed: int) -> None:
    """So that nobody decompresses what was not compressed."""
    assert packed == pack(Payload(codec, LONG.data), 100).codec


def test_the_threshold_itself_stays_as_it_is() -> None:
    """More than `threshold` bytes are compressed."""
    size = len(LONG.data)
    assert LONG == pack(LONG, size)
    assert PLAIN_JSON_ZLIB == pack(LONG, size - 1).codec


def test_what_zlib_would_make_longer_stays_as_it_is() -> None:
    """Bytes without a pattern."""
    short = Payload(PLAIN_JSON, b'"qwertyuiop"')
    assert short == pack(short, 0)


def test_a_packed_value_decodes_as_it_is() -> None:
    """`decode` takes both forms."""
    value = {"items": [(index, samples.Item("a")) for index in range(50)]}
    packed = pack(encode(value, REGISTRY), 10)
    assert TAGGED_JSON_ZLIB == packed.codec
    assert_same(value, decode(packed, REGISTRY))


@pytest.mark.parametrize("cut", [0, 1, 2, 5, len(pack(LONG, 0).data) - 1])
def test_a_cut_stream_is_corrupt(cut: int) -> None:
    """At any place, the check sum at the end included."""
    packed = pack(LONG, 0)
    with pytest.raises(CorruptPayloadError):
        unpack(Payload(packed.codec, packed.data[:cut]))


def test_a_changed_byte_is_corrupt() -> None:
    """Every single one: zlib's check sum sees it, or the stream breaks."""
    packed = pack(LONG, 0)
    for place in range(len(packed.data)):
        changed = bytearray(packed.data)
        changed[place] ^= 0xFF
        with pytest.raises(CorruptPayloadError):
            unpack(Payload(packed.codec, bytes(changed)))


def test_a_tail_is_corrupt() -> None:
    """Nothing rides behind a payload."""
    packed = pack(LONG, 0)
    with pytest.raises(CorruptPayloadError, match="tail"):
        unpack(Payload(packed.codec, packed.data + b"x"))


def test_a_decompression_bomb_is_refused_before_it_grows() -> None:
    """Eight KiB that would become 8 MiB: memory stays near the limit."""
    bomb = Payload(PLAIN_JSON_ZLIB, _zeros_compressed(8))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptPayloadError, match="grows past 1000 bytes") as caught:
            unpack(bomb, limit=1000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 1000 == caught.value.limit_bytes
    assert peak_bytes < 500_000


@pytest.mark.slow
def test_decoding_has_a_limit_if_none_is_asked_for() -> None:
    """More than 64 MiB is read by no worker."""
    with pytest.raises(CorruptPayloadError, match="grows past 67108864 bytes"):
        decode(Payload(TAGGED_JSON_ZLIB, _zeros_compressed(65)), REGISTRY)


def test_the_limit_of_unpacking_is_in_bytes_and_allowed_itself() -> None:
    """As many bytes as the payload has are fine, one less is not."""
    packed, size = pack(LONG, 0), len(LONG.data)
    assert LONG == unpack(packed, limit=size)
    with pytest.raises(CorruptPayloadError):
        unpack(packed, limit=size - 1)


@pytest.mark.parametrize("codec", [0, 5, -1, 255])
def test_an_unknown_codec_id_asks_for_a_newer_version(codec: int) -> None:
    """A history of a newer Stent is no mystery."""
    for read in (unpack, lambda payload: decode(payload, REGISTRY)):
        with pytest.raises(CorruptPayloadError, match=f"codec id {codec}") as caught:
            read(Payload(codec, b"1"))
        assert "at least as new" in caught.value.fix


def _zeros_compressed(mebibytes: int) -> bytes:
    """Without holding all of the zeros in memory."""
    stream, block = zlib.compressobj(1), bytes(1 << 20)
    return b"".join(stream.compress(block) for _ in range(mebibytes)) + stream.flush()
