"""The outcome of a run as a value: what it returned, or the error that ended it.

A Result is immutable. It is true if it is a success, so `if result:` reads as it should; test `result.ok` where a
reader may take it for the truth of the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Result(Generic[T]):
    """A value, or an error. Make one with `Result.success(value)` or `Result.failure(error)`.

    For `match`: `case Result(True, value)` and `case Result(False, _, error)`. Two failures are equal if their errors
    are of one class and have equal args, for an error that is read twice from a history is two objects.
    """

    ok: bool
    value: T | None = None
    error: BaseException | None = None

    def __post_init__(self) -> None:
        if self.ok is not (self.error is None) or (not self.ok and self.value is not None):
            raise TypeError("a Result has a value or an error; use Result.success(value) or Result.failure(error)")

    @staticmethod  # a class method would leave pyright without the type of the value
    def success(value: U) -> Result[U]:
        """A Result that holds a value, which may be None."""
        return Result(True, value)

    @classmethod
    def failure(cls, error: BaseException) -> Result[T]:
        """A Result that holds the error."""
        return cls(False, None, error)

    Ok = success
    Error = failure

    def unwrap(self) -> T:
        """The value; a failure raises its error, the very object."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)

    def unwrap_or(self, default: U) -> T | U:
        """The value; the default for a failure."""
        return cast("T", self.value) if self.ok else default

    def map(self, function: Callable[[T], U]) -> Result[U]:
        """The Result of a function of the value. A failure stays as it is. What the function raises is raised."""
        if not self.ok:
            return cast("Result[U]", self)
        return Result.success(function(cast("T", self.value)))

    def flat_map(self, function: Callable[[T], Result[U]]) -> Result[U]:
        """The same for a function that gives a Result itself."""
        return function(cast("T", self.value)) if self.ok else cast("Result[U]", self)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return f"Result.success({self.value!r})" if self.ok else f"Result.failure({self.error!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        if self.error is None:
            return (True, self.value)
        return (False, type(self.error), self.error.args)
