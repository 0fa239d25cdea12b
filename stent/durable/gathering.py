"""`asyncio.gather` under the name `Stent.gather`, and its type.

Results of up to four awaitables keep their types one by one, as those of asyncio do; of more, the type they share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Literal, Protocol, TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


class GatherCall(Protocol):
    """The type of `Stent.gather`: no checker finds the overloads of `asyncio.gather` behind a `staticmethod`."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # as in asyncio: False is a bool too
        self, first: Awaitable[A], second: Awaitable[B], /, *, return_exceptions: Literal[False] = False
    ) -> Awaitable[tuple[A, B]]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # likewise
        self,
        first: Awaitable[A],
        second: Awaitable[B],
        third: Awaitable[C],
        /,
        *,
        return_exceptions: Literal[False] = False,
    ) -> Awaitable[tuple[A, B, C]]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # likewise
        self,
        first: Awaitable[A],
        second: Awaitable[B],
        third: Awaitable[C],
        fourth: Awaitable[D],
        /,
        *,
        return_exceptions: Literal[False] = False,
    ) -> Awaitable[tuple[A, B, C, D]]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # likewise
        self, *awaitables: Awaitable[A], return_exceptions: Literal[False] = False
    ) -> Awaitable[list[A]]: ...
    @overload
    def __call__(
        self, first: Awaitable[A], second: Awaitable[B], /, *, return_exceptions: bool
    ) -> Awaitable[tuple[A | BaseException, B | BaseException]]: ...
    @overload
    def __call__(
        self, first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], /, *, return_exceptions: bool
    ) -> Awaitable[tuple[A | BaseException, B | BaseException, C | BaseException]]: ...
    @overload
    def __call__(
        self,
        first: Awaitable[A],
        second: Awaitable[B],
        third: Awaitable[C],
        fourth: Awaitable[D],
        /,
        *,
        return_exceptions: bool,
    ) -> Awaitable[tuple[A | BaseException, B | BaseException, C | BaseException, D | BaseException]]: ...
    @overload
    def __call__(self, *awaitables: Awaitable[A], return_exceptions: bool) -> Awaitable[list[A | BaseException]]: ...


def gather(*awaitables: Awaitable[Any], return_exceptions: bool = False) -> Awaitable[Any]:
    """`asyncio.gather`, for symmetry."""
    return asyncio.gather(*awaitables, return_exceptions=return_exceptions)
