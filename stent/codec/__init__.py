"""Values, arguments and exceptions as bytes: exact or refused, never changed silently, and without pickle.

`encode`, `decode` and the two for exceptions are the doors; a `TypeRegistry` decides which classes bytes may name.
"""

from __future__ import annotations

from stent.codec.difference import (
    Difference as Difference,
    first_argument_difference as first_argument_difference,
    first_difference as first_difference,
)
from stent.codec.joining import join as join, split as split
from stent.codec.names import class_name as class_name, main_name as main_name, stored_module as stored_module
from stent.codec.payload import (
    DEFAULT_LIMIT_BYTES as DEFAULT_LIMIT_BYTES,
    PLAIN_JSON as PLAIN_JSON,
    PLAIN_JSON_ZLIB as PLAIN_JSON_ZLIB,
    TAGGED_JSON as TAGGED_JSON,
    TAGGED_JSON_ZLIB as TAGGED_JSON_ZLIB,
    Payload as Payload,
    pack as pack,
    unpack as unpack,
)
from stent.codec.readable import to_plain as to_plain
from stent.codec.signature import (
    Signature as Signature,
    decode_arguments as decode_arguments,
    encode_arguments as encode_arguments,
)
from stent.codec.type_registry import TypeRegistry as TypeRegistry
from stent.codec.values import (
    decode as decode,
    decode_exception as decode_exception,
    encode as encode,
    encode_exception as encode_exception,
)
from stent.codec.view import describe as describe, describe_arguments as describe_arguments
