"""The only file that makes random numbers. Ids are handed in where tests must own chance.

A run id is 26 characters of lower-case base 32: 130 bits from the operating system's generator. Ids are names, not
secrets: knowing one gives no right to anything.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
from typing import Protocol

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u to misread
_RUN_ID_CHARACTERS = 26


Generator = random.Random
"""A source of random numbers, for those who may name one but not make chance."""


class Ids(Protocol):
    """Where ids and chance come from."""

    def run_id(self) -> str: ...
    def worker_id(self) -> str: ...
    def token(self) -> bytes:
        """16 bytes that name one append."""
        ...

    def unit(self) -> float:
        """A number in [0, 1), for jitter."""
        ...


class RandomIds:
    """Ids and chance of the operating system."""

    def run_id(self) -> str:
        return _spell(secrets.randbits(130))

    def worker_id(self) -> str:
        return "w" + _spell(secrets.randbits(130))

    def token(self) -> bytes:
        return os.urandom(16)

    def unit(self) -> float:
        return secrets.randbits(53) / (1 << 53)

    def generator(self) -> Generator:
        """A generator with a seed of its own, for programs that run outside of any run."""
        return Generator(secrets.randbits(128))


class SeededIds:
    """The same ids on every run of a test."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Generator(seed)

    def run_id(self) -> str:
        return _spell(self._random.getrandbits(130))

    def worker_id(self) -> str:
        return "w" + _spell(self._random.getrandbits(130))

    def token(self) -> bytes:
        return self._random.randbytes(16)

    def unit(self) -> float:
        return self._random.random()


def child_run_id(parent_run: str, call: int, item: int | None = None) -> str:
    """Id of the run behind a call: derived, so that starting it twice is starting it once."""
    return f"{parent_run}.{call}" if item is None else f"{parent_run}.{call}.{item}"


def stable_number(text: str, bits: int = 64) -> int:
    """A number that depends on the text alone, in every process."""
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest, "big") >> (128 - bits)


def _spell(number: int) -> str:
    letters = []
    for _ in range(_RUN_ID_CHARACTERS):
        letters.append(_ALPHABET[number & 31])
        number >>= 5
    return "".join(letters)
