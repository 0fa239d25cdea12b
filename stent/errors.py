"""Every error that Stent raises, in one tree.

Rules of this file:
- each class has a stable ``code`` with a page under ``docs/errors/``; codes are never reused;
- a message says what happened and where, ``fix`` says what to do, ``facts`` carry the values as data;
- what user code must not swallow derives from BaseException and lives beside the code that raises it, not here.

    StentError
    +-- UsageError
    |   +-- UnregisteredFunctionError  STN001  (LookupError)   a name or callable that is no durable function
    |   +-- DuplicateFunctionError     STN002                  two functions under one name
    |   +-- ArgumentError              STN003  (TypeError)     a call that does not fit its function
    |   +-- OptionError                STN004  (ValueError)    an option, duration or id that means nothing
    |   +-- NotConfiguredError         STN005                  no backend, or a missing extra
    |   +-- PlaceError                 STN006                  an orchestrator's tool used elsewhere
    +-- DeterminismError
    |   +-- DivergenceError            STN101                  the code no longer fits the history
    |   +-- ForbiddenInOrchestratorError STN102                real I/O, threads ... in a replayed body
    |   +-- MixedRoleError             STN103                  real I/O and durable calls in one body
    |   +-- OrchestratorDeadlockError  STN104                  nothing can ever wake the program
    |   +-- EndlessTurnError           STN105                  a turn that never waits
    |   +-- RoleError                  STN106                  role= contradicts what the function does
    +-- SerializationError             STN201  (TypeError)     a value that cannot be stored or read back
    |   +-- PayloadTooLargeError       STN202                  over the size limit
    |   +-- UnknownTypeError           STN203                  a stored class that this process may not build
    |   +-- CorruptPayloadError        STN204                  bytes that are no payload of ours
    +-- StoreError
    |   +-- StoreUnavailableError      STN301                  the database cannot be opened or reached
    |   +-- SchemaVersionError         STN302                  made by another version of Stent
    |   +-- CorruptHistoryError        STN303                  a history with a gap or a broken hash
    |   +-- LeaseLostError             STN304                  another worker holds the run now
    +-- RunError
        +-- UnknownRunError            STN401  (LookupError)   no run with this id
        +-- ExpiryError                STN402  (TimeoutError)  waited longer than asked for
        |   +-- RunTimedOutError       STN403                  the run passed its own deadline
        |   +-- CallTimeoutError       STN404                  one attempt of an activity took too long
        +-- RunCancelledError          STN405                  somebody cancelled the run
        +-- ActivityError              STN406                  an error whose class is not known here
        +-- RunConflictError           STN407                  the id is taken by another call
        +-- RunFinishedError           STN408                  a message for a run that has ended
        +-- RunStateError              STN409                  not possible in the state that the run is in
"""

from __future__ import annotations

from typing import Any, ClassVar


class StentError(Exception):
    """Base of everything Stent raises on purpose.

    ``message`` is the first paragraph; ``fix`` the way out (may be empty); ``facts`` the values behind the message.
    Facts are readable as attributes too: ``error.run_id``.
    """

    code: ClassVar[str] = "STN000"

    def __init__(self, message: str = "", *, fix: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        facts = self.__dict__.get("facts")
        if facts is not None and name in facts:
            return facts[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __str__(self) -> str:
        fix = f"\n  fix: {self.fix}" if self.fix else ""
        return f"[{self.code}] {self.message}{fix}"


class UsageError(StentError):
    """The library was called in a way that cannot work."""


class UnregisteredFunctionError(UsageError, LookupError):
    """A callable or a name that is not a durable function of this process."""

    code = "STN001"


class DuplicateFunctionError(UsageError):
    """Two different functions were registered under one name."""

    code = "STN002"


class ArgumentError(UsageError, TypeError):
    """The arguments of a durable call do not fit the function's signature or annotations."""

    code = "STN003"


class OptionError(UsageError, ValueError):
    """An option, a duration, a name or an id has a value that means nothing."""

    code = "STN004"


class NotConfiguredError(UsageError):
    """No backend is configured, or an optional dependency is missing."""

    code = "STN005"


class PlaceError(UsageError):
    """Something that only makes sense in an orchestrator (or only outside one) was used elsewhere."""

    code = "STN006"


class DeterminismError(StentError):
    """The program cannot be replayed, or did not replay."""


class DivergenceError(DeterminismError):
    """The code does not fit the recorded history. Nothing was written; the run is stalled, not failed."""

    code = "STN101"


class ForbiddenInOrchestratorError(DeterminismError):
    """An orchestrator asked for the outside world: sockets, threads, subprocesses, executors, signals."""

    code = "STN102"


class MixedRoleError(DeterminismError):
    """One body awaits real I/O and makes durable calls: it can be neither replayed nor run as an activity."""

    code = "STN103"


class OrchestratorDeadlockError(DeterminismError):
    """The program waits, and nothing in its history can ever wake it."""

    code = "STN104"


class EndlessTurnError(DeterminismError):
    """The program ran very many steps without waiting for anything."""

    code = "STN105"


class RoleError(DeterminismError):
    """A declared ``role=`` contradicts what the function does."""

    code = "STN106"


class SerializationError(StentError, TypeError):
    """A value cannot be stored, or a stored value cannot be read. ``path`` names the place inside the value."""

    code = "STN201"


class PayloadTooLargeError(SerializationError):
    """An encoded value is larger than the limit."""

    code = "STN202"


class UnknownTypeError(SerializationError):
    """A stored value names a class that is not known, or not allowed, in this process."""

    code = "STN203"


class CorruptPayloadError(SerializationError):
    """Stored bytes are not a payload that this version can read."""

    code = "STN204"


class StoreError(StentError):
    """The database refused, or holds something it must not hold."""


class StoreUnavailableError(StoreError):
    """The database cannot be opened, reached or written."""

    code = "STN301"


class SchemaVersionError(StoreError):
    """The database was made by a version of Stent that this one cannot work with."""

    code = "STN302"


class CorruptHistoryError(StoreError):
    """A history has a gap, an impossible event or a broken hash chain. Other runs go on."""

    code = "STN303"


class LeaseLostError(StoreError):
    """Another worker holds this run now; what this one computed is discarded."""

    code = "STN304"


class RunError(StentError):
    """Something about one run."""


class UnknownRunError(RunError, LookupError):
    """No run with this id in this database."""

    code = "STN401"


class ExpiryError(RunError, TimeoutError):
    """The caller waited as long as it asked for. The run goes on unless it has a deadline of its own."""

    code = "STN402"


class RunTimedOutError(ExpiryError):
    """The run passed its own deadline (``expiry=``, ``max_duration=`` or ``timeout=`` of an orchestrator)."""

    code = "STN403"


class CallTimeoutError(ExpiryError):
    """One attempt of an activity took longer than its ``timeout=``."""

    code = "STN404"


class RunCancelledError(RunError):
    """The run was cancelled."""

    code = "STN405"


class ActivityError(RunError):
    """An error raised in another process by a class that is not known, or not allowed, here.

    Facts: ``type_name`` (module:Name), ``error_message`` and ``traceback_text`` of the original.
    """

    code = "STN406"


class RunConflictError(RunError):
    """The id already names a run of another function or with other arguments."""

    code = "STN407"


class RunFinishedError(RunError):
    """A signal or a change for a run that has already ended."""

    code = "STN408"


class RunStateError(RunError):
    """The run is not in a state in which this can be done."""

    code = "STN409"
