"""Reading runs to go on with them, those just claimed and those refused for a message, and what becomes of the rest.

Rules of this file:
- a run that cannot go on is stalled with the reason, and no other: a person has to look at it;
- a long replay does not run on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from stent.errors import CorruptHistoryError, DivergenceError, StoreUnavailableError
from stent.history.operations import Append, Release
from stent.history.records import LoadedRun
from stent.log import get_logger
from stent.worker import adoption
from stent.worker.adoption import Resumed
from stent.worker.held import HeldRun
from stent.worker.link import Link

log = get_logger(__name__)

SLOW_REPLAY_EVENTS = 1_000  # about 10 ms of replay: longer ones do not run on the event loop
STORE_PAUSE_S = 0.5  # after a read that the store could not answer


class RunReader:
    """Reads runs for one worker, and stalls those that cannot go on."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.tried_stalled: set[str] = set()
        """Runs that have been stalled, or tried again, under the code that is here now."""

    async def load(self, claimed: Mapping[str, int]) -> list[LoadedRun]:
        """Read runs, given with their epochs; one whose rows are damaged is stalled, and the others are read."""
        link = self._link
        try:
            return await link.read(link.store.load_runs, list(claimed))
        except CorruptHistoryError as error:
            if len(claimed) == 1:
                ((run_id, epoch),) = claimed.items()
                self.stall(run_id, epoch, error)
                return []
        return [loaded for one in claimed.items() for loaded in await self.load(dict([one]))]

    async def resume(self, loaded: LoadedRun) -> Resumed | None:
        """Catch up with a run; None if it cannot go on, and is stalled."""
        run = loaded.run
        function = self._link.registry.find(run.function)
        now_us = self._link.clock.now_us()
        try:
            if len(loaded.rows) > SLOW_REPLAY_EVENTS:
                return await self._link.read(adoption.resume, loaded, function, now_us)
            return adoption.resume(loaded, function, now_us)
        except DivergenceError as error:
            abandoned = adoption.abandon(loaded, function)
            if abandoned is None:
                self.stall(run.run_id, run.epoch, error)
            return abandoned
        except Exception as error:  # border: whatever is wrong with a run, the worker goes on
            self.stall(run.run_id, run.epoch, error)
            return None

    async def resume_again(self, held: HeldRun) -> Resumed | None:
        """Catch up with a run that is under this lease already; None if that is lost, or the run is stalled."""
        while not held.is_dropped:
            try:
                found = await self.load({held.run_id: held.epoch})
            except StoreUnavailableError as error:
                log.warning("store_unavailable", error=str(error), retry_in_s=STORE_PAUSE_S)
                await asyncio.sleep(STORE_PAUSE_S)
                continue
            if not found:
                return None
            (loaded,) = found
            if loaded.run.epoch == held.epoch:
                return await self.resume(loaded)
            log.warning("lease_lost", run_id=held.run_id, epoch=held.epoch)
            break
        return None

    def refused(self, held: HeldRun, error: BaseException | None) -> None:
        """Nothing was written: another worker holds the run, or the store cannot take what it wants to record."""
        if error is None:
            log.warning("lease_lost", run_id=held.run_id, epoch=held.epoch)
        elif isinstance(error, StoreUnavailableError):
            log.warning("run_not_written", run_id=held.run_id, epoch=held.epoch, error=repr(error))
        else:
            self.stall(held.run_id, held.epoch, error)

    def stall(self, run_id: str, epoch: int, error: BaseException) -> None:
        """Give a run back as one that cannot go on with the code that is here."""
        log.warning("run_stalled", run_id=run_id, code=getattr(error, "code", None), error=repr(error))
        self.tried_stalled.add(run_id)
        append = Append(run_id, epoch, status="stalled", stall=str(error), release=Release())
        self._link.submit(append, _ignore)


def _ignore(_outcome: object, _error: BaseException | None) -> None:
    pass
