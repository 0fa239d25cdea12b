"""Single values that JSON does not know, both ways: numbers, bytes, UUID, paths, addresses.

A writer takes a value of exactly its type and gives the JSON text of a tagged object; a reader takes that object.
Readers may raise anything on a malformed object; the walk turns it into a CorruptPayloadError.

    {"$":"int","v":"-ff.."}      more than 640 digits, in base 16       {"$":"float","v":"nan"}    also inf, -inf
    {"$":"str","v":base64}       with a split surrogate pair            {"$":"complex","v":["1.5","nan"]}
    {"$":"bytes","v":base64}     also bytearray                         {"$":"decimal","v":"-0E+3"}
    {"$":"fraction","v":[1,3]}   the parts are ints as above            {"$":"uuid","v":"6ba7...","safe":0}
    {"$":"path","of":"PurePosixPath","v":"a/b"}                         {"$":"ip","of":"IPv4Address","v":"10.0.0.1"}
    {"$":"ellipsis"}             {"$":"range","v":[0,9,2]}
"""

from __future__ import annotations

import ipaddress
import math
import pathlib
import re
import struct
import uuid
from binascii import a2b_base64, b2a_base64
from decimal import Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from stent.codec.plain import INT_BOUND, has_split_pair
from stent.codec.walk import quote

if TYPE_CHECKING:
    from collections.abc import Callable

# A context of our own: the program's may print exponents with a small "e", and the same value needs the same bytes.
_DECIMAL_TEXT: Final = Context(capitals=1)
_is_decimal: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:E[+-]?[0-9]+)?|Infinity|s?NaN[0-9]*)", re.ASCII).fullmatch
_PLAIN_NAN: Final = "7ff8000000000000"


def write_str(value: str) -> str:
    if has_split_pair(value):
        return f'{{"$":"str","v":"{_base64(value.encode("utf-8", "surrogatepass"))}"}}'
    return quote(value)


def write_int(value: int) -> str:
    if -INT_BOUND < value < INT_BOUND:
        return int.__repr__(value)
    return f'{{"$":"int","v":"{value:x}"}}'


def write_float(value: float) -> str:
    return float.__repr__(value) if math.isfinite(value) else f'{{"$":"float","v":"{_float_text(value)}"}}'


def _float_text(value: float) -> str:
    """Exact: the bits of an unusual NaN (a sign, a payload) are kept behind a colon."""
    if value == value:  # NaN is not
        return float.__repr__(value)
    bits = struct.pack(">d", value).hex()
    return "nan" if bits == _PLAIN_NAN else f"nan:{bits}"


def _float_of(text: str) -> float:
    if text.startswith("nan"):
        bits = text[4:] or _PLAIN_NAN
        value: float = struct.unpack(">d", bytes.fromhex(bits))[0]
        return value
    return float(text)


def _base64(data: bytes | bytearray) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _bytes_of(node: dict[str, Any]) -> bytes:
    text = text_of(node)
    data = a2b_base64(text)
    if _base64(data) != text:  # `strict_mode` differs from version to version (3.11 takes "AAAA=")
        raise ValueError("no base64 as it is written here")
    return data


def text_of(node: dict[str, Any], key: str = "v") -> str:
    """A field of a tagged object that must be a str."""
    value = node[key]
    if type(value) is not str:
        raise TypeError(f"{key!r} is no str")
    return value


def read_str(node: Any) -> str:
    """A str, written plainly or as a tagged object."""
    if type(node) is str:
        return node
    if type(node) is dict and node.get("$") == "str":
        return _bytes_of(node).decode("utf-8", "surrogatepass")
    raise TypeError("no str")


def read_int(node: Any) -> int:
    """An int, written plainly or as a tagged object."""
    if type(node) is int:
        return node
    if type(node) is dict and node.get("$") == "int":
        return int(text_of(node), 16)
    raise TypeError("no int")


def _write_complex(value: complex) -> str:
    return f'{{"$":"complex","v":["{_float_text(value.real)}","{_float_text(value.imag)}"]}}'


def _read_complex(node: dict[str, Any]) -> complex:
    real, imaginary = node["v"]
    return complex(_float_of(real), _float_of(imaginary))


def _write_decimal(value: Decimal) -> str:
    return f'{{"$":"decimal","v":"{_DECIMAL_TEXT.to_sci_string(value)}"}}'


def _read_decimal(node: dict[str, Any]) -> Decimal:
    text = text_of(node)
    if _is_decimal(text) is None:
        raise ValueError("no decimal number")
    return Decimal(text)


def _write_fraction(value: Fraction) -> str:
    return f'{{"$":"fraction","v":[{write_int(value.numerator)},{write_int(value.denominator)}]}}'


def _read_fraction(node: dict[str, Any]) -> Fraction:
    numerator, denominator = node["v"]
    return Fraction(read_int(numerator), read_int(denominator))


def _write_uuid(value: uuid.UUID) -> str:
    safe = value.is_safe.value
    return f'{{"$":"uuid","v":"{value}"}}' if safe is None else f'{{"$":"uuid","v":"{value}","safe":{safe}}}'


def _read_uuid(node: dict[str, Any]) -> uuid.UUID:
    return uuid.UUID(text_of(node), is_safe=uuid.SafeUUID(node.get("safe")))


def _write_range(value: range) -> str:
    return f'{{"$":"range","v":[{write_int(value.start)},{write_int(value.stop)},{write_int(value.step)}]}}'


def _read_range(node: dict[str, Any]) -> range:
    start, stop, stride = node["v"]
    return range(read_int(start), read_int(stop), read_int(stride))


_PATHS: Final[dict[str, type[pathlib.PurePath]]] = {
    cls.__name__: cls
    for cls in (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath)
}
_ADDRESSES: Final[dict[str, type]] = {
    cls.__name__: cls
    for cls in (
        ipaddress.IPv4Address,
        ipaddress.IPv6Address,
        ipaddress.IPv4Interface,
        ipaddress.IPv6Interface,
        ipaddress.IPv4Network,
        ipaddress.IPv6Network,
    )
}


def _write_path(value: pathlib.PurePath) -> str:
    return f'{{"$":"path","of":"{type(value).__name__}","v":{write_str(str(value))}}}'


def _read_path(node: dict[str, Any]) -> pathlib.PurePath:
    return _PATHS[text_of(node, "of")](read_str(node["v"]))


def _write_address(value: Any) -> str:
    return f'{{"$":"ip","of":"{type(value).__name__}","v":{quote(str(value))}}}'


SCALAR_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    str: write_str,
    int: write_int,
    float: write_float,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): lambda _: "null",
    bytes: lambda value: f'{{"$":"bytes","v":"{_base64(value)}"}}',
    bytearray: lambda value: f'{{"$":"bytearray","v":"{_base64(value)}"}}',
    complex: _write_complex,
    Decimal: _write_decimal,
    Fraction: _write_fraction,
    uuid.UUID: _write_uuid,
    range: _write_range,
    type(...): lambda _: '{"$":"ellipsis"}',
    **dict.fromkeys(_PATHS.values(), _write_path),
    **dict.fromkeys(_ADDRESSES.values(), _write_address),
}

SCALAR_READERS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "str": read_str,
    "int": read_int,
    "float": lambda node: _float_of(text_of(node)),
    "bytes": _bytes_of,
    "bytearray": lambda node: bytearray(_bytes_of(node)),
    "complex": _read_complex,
    "decimal": _read_decimal,
    "fraction": _read_fraction,
    "uuid": _read_uuid,
    "range": _read_range,
    "ellipsis": lambda _: ...,
    "path": _read_path,
    "ip": lambda node: _ADDRESSES[text_of(node, "of")](text_of(node)),
}
