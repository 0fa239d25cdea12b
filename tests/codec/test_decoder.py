"""Reading bytes that may be anybody's: one family of errors, no import, no class that is not allowed."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from stent.codec import PLAIN_JSON, TAGGED_JSON, Payload, decode, encode
from stent.errors import CorruptPayloadError, SerializationError, UnknownTypeError
from tests.codec import samples

REGISTRY = samples.new_registry()

MALFORMED = {
    "no JSON": b"{",
    "empty": b"",
    "two documents": b"1 2",
    "not ASCII": '"é"'.encode(),
    "a NaN": b"[NaN]",
    "a control character": b'"\x01"',
    "deep lists": b"[" * 5_000 + b"]" * 5_000,
    "very deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 400 + b"1" + b"}" * 400,
    "many digits": b"9" * 5_000,
}


@pytest.mark.parametrize("codec", [PLAIN_JSON, TAGGED_JSON])
@pytest.mark.parametrize("case", MALFORMED)
def test_bytes_that_are_no_payload_are_corrupt(case: str, codec: int) -> None:
    """One family of errors, whatever stands in the database."""
    with pytest.raises(CorruptPayloadError):
        decode(Payload(codec, MALFORMED[case]), REGISTRY)


@pytest.mark.parametrize("document", [
    {"$": "nothing"}, {"$": None}, {"$": []}, {"$": {"$": "int"}},
    {"$": "tuple"}, {"$": "tuple", "v": {}}, {"$": "dict", "v": [1]}, {"$": "dict", "v": [[], 1]},
    {"$": "dict", "v": [1, 2, 1, 3]}, {"$": "set", "v": [1, 1]}, {"$": "set", "v": [[]]},
    {"$": "decimal", "v": "abc"}, {"$": "decimal", "v": 1}, {"$": "int", "v": "zz"}, {"$": "int", "v": 5},
    {"$": "fraction", "v": [1, 0]}, {"$": "fraction", "v": [1.5, 2]}, {"$": "uuid", "v": "x"},
    {"$": "datetime", "v": "2025-01-01T00:00:00"}, {"$": "datetime", "v": "x", "zone": ["utc"]},
    {"$": "datetime", "v": "2025-01-01T00:00:00", "zone": ["zone", "../../etc/passwd"]},
    {"$": "datetime", "v": "2025-01-01T00:00:00", "zone": ["utc"], "fold": 7},
    {"$": "timedelta", "v": [10**12, 0, 0]}, {"$": "timezone", "v": ["offset", 10**18]},
    {"$": "range", "v": [0, 1, 0]}, {"$": "bytes", "v": "?"}, {"$": "bytes", "v": "AB=="},
    {"$": "bytes", "v": "AA\n=="},
    {"$": "float", "v": "x"}, {"$": "float", "v": "nan:00"}, {"$": "deque", "v": [1, 2], "maxlen": 1},
    {"$": "path", "of": "Path", "v": "x"}, {"$": "ip", "of": "os", "v": "x"}, {"$": "str", "v": "AAAA="},
    {"$": "defaultdict", "v": [], "factory": "eval"}, {"$": "deque", "v": [], "maxlen": 10**30},
    {"$": "dataclass", "of": 5, "v": {}}, {"$": "dataclass", "of": "tests.codec.samples:Item", "v": []},
    {"$": "enum", "of": "tests.codec.samples:Mode", "n": "x"}, {"$": "enum", "of": "tests.codec.samples:Mode", "n": 64},
    {"$": "enum", "of": "tests.codec.samples:Level", "n": 1},
    {"$": "exception", "of": "builtins:ValueError"}, {"$": "exception", "of": "builtins:ValueError", "text": 1},
    {"$": "exception", "of": "builtins:ValueError", "text": "x", "args": 5},
    {"$": "exception", "of": "builtins:ValueError", "text": "x", "args": [], "cause": 5},
    {"$": "exception", "of": "builtins:ValueError", "text": "x", "args": [], "traceback": 5},
])  # fmt: skip
def test_a_malformed_tag_is_corrupt(document: Any) -> None:
    """Constructors may raise anything; the reader raises one thing."""
    with pytest.raises(CorruptPayloadError):
        decode(Payload(TAGGED_JSON, json.dumps([document]).encode()), REGISTRY)


@pytest.mark.parametrize("name", [
    "os:system", "builtins:eval", "builtins:object", "subprocess:Popen", "json:JSONDecoder", "this:s",
    "builtins:Exception.__new__", "tests.codec.samples:Stranger", "tests.codec.samples:json",
    "tests.codec.samples:dataclasses.Field", "tests.codec.samples:TypeRegistry", "tests.codec.samples:Outer",
    "tests.codec.samples:Item.__class__", "tests.codec.samples:Item.__init__", "tests.codec.samples:BaseModel",
    "tests.codec.samples:", ":", "", "x", "a:b:c",
])  # fmt: skip
@pytest.mark.parametrize("tag", ["dataclass", "model", "enum", "namedtuple"])
def test_a_name_from_bytes_leads_to_allowed_classes_only(name: str, tag: str) -> None:
    """No import, and no attribute of anything else."""
    loaded = set(sys.modules)
    document = {"$": tag, "of": name, "v": {}, "set": []}
    with pytest.raises(UnknownTypeError):
        decode(Payload(TAGGED_JSON, json.dumps(document).encode()), REGISTRY)
    assert loaded == set(sys.modules)


@pytest.mark.parametrize("key", ["os", "Mars/Olympus_Mons", "Europe"])
def test_a_time_zone_that_this_machine_does_not_know_is_unknown_not_corrupt(key: str) -> None:
    """The bytes are good; the zone data is what is missing."""
    document = [{"$": "datetime", "v": "2025-01-01T00:00:00", "zone": ["zone", key]}]
    with pytest.raises(UnknownTypeError, match=rf"value\[0\] needs the time zone '{key}'") as caught:
        decode(Payload(TAGGED_JSON, json.dumps(document).encode()), REGISTRY)
    assert "tzdata" in caught.value.fix


def test_the_path_of_what_cannot_be_read_is_named() -> None:
    """A class that is gone is found in a large value."""
    data = encode({"orders": [1, (samples.Item("a"),)]}, REGISTRY).data.replace(b":Item", b":Gone")
    with pytest.raises(UnknownTypeError, match=r"value\['orders'\]\[1\]\[0\]") as caught:
        decode(Payload(TAGGED_JSON, data), REGISTRY)
    assert "tests.codec.samples:Gone" in caught.value.message
    assert "aliases" in caught.value.fix


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([1, 2, 3, 4, 5, 0, -1]))
def test_random_bytes_raise_one_family_of_errors(data: bytes, codec: int) -> None:
    """Nothing but SerializationError comes out of decode."""
    with contextlib.suppress(SerializationError):
        decode(Payload(codec, data), REGISTRY)


_TEXTS = ["", "a", "$", "utc", "nan", "tests.codec.samples:Item"]
_KEYS = ["$", "v", "of", "n", "zone", "args", "text", "set", "more", "extra", "private", "cause", "group"]
_TAGS_AND_NAMES = [
    *("tuple", "set", "dict", "counter", "deque", "defaultdict", "dataclass", "model", "enum", "namedtuple"),
    *("exception", "int", "str", "complex", "datetime", "decimal", "path", "range", "timezone", "uuid", "fold"),
    *(f"tests.codec.samples:{name}" for name in ("Customer", "Mode", "Point", "Declined")),
    *(f"builtins:{name}" for name in ("KeyError", "OSError", "UnicodeDecodeError", "ExceptionGroup")),
]
_NODES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(_TEXTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_KEYS), inner | st.sampled_from(_TAGS_AND_NAMES), max_size=6)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(_NODES)
def test_random_tags_raise_one_family_of_errors(document: Any) -> None:
    """The same for documents that look almost like ours."""
    with contextlib.suppress(SerializationError):
        decode(Payload(TAGGED_JSON, json.dumps(document).encode()), REGISTRY)
