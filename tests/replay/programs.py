"""Random orchestrators, played on the replay core alone, and the chance of their surroundings.

The programs are those of `stent.testing.strategies`; another process can replay their histories with nothing but this
file.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from stent.errors import RunCancelledError
from stent.history.events import Event
from stent.replay.commands import CompleteRun
from stent.testing.strategies.interpreter import Interpreter, Node, told_error
from stent.testing.strategies.programs import LEAVES as ENDING_LEAVES, SIGNALS, compound, under_lock
from tests.replay.driver import TICK_US, Drive, close_all, durable, record

ERRORS: tuple[type[Exception], ...] = (ValueError, KeyError, TimeoutError)


# -- the interpreter -----------------------------------------------------------------------------------------------


@durable
async def act(label: int) -> Any:
    """An activity: the surroundings decide what comes of it."""
    raise AssertionError("no activity runs in a replay")


@durable(name="shop:program")
async def program(node: Node) -> list[Any]:
    """The orchestrator: runs a node, and tells everything that it saw."""
    seen: list[Any] = []
    try:
        seen.append(["value", await Interpreter(seen, act, program).run(node)])
    except Exception as error:
        seen.append(["error", told_error(error)])
    return seen


# -- the strategy --------------------------------------------------------------------------------------------------

# A signal that nobody may send: the surroundings do.
LEAVES: st.SearchStrategy[Node] = ENDING_LEAVES | st.tuples(st.just("signal"), st.sampled_from(SIGNALS)).map(list)
PROGRAMS: st.SearchStrategy[Node] = st.recursive(
    LEAVES, lambda nodes: compound(nodes) | under_lock(nodes), max_leaves=12
)


# -- the surroundings ----------------------------------------------------------------------------------------------


@dataclass
class Surroundings:
    """Chance for one run and its children: what is answered first, what fails, which signals and cancels come."""

    seed: int
    cancels: bool
    drives: list[Drive] = field(default_factory=list)

    def run(self, node: Node, run_id: str = "run", at_us: int | None = None, nesting: int = 0) -> Drive:
        """Run a program to its end; a child runs when its outcome is due, and is kept for the checks too."""
        chance = random.Random(f"{self.seed} {run_id}")
        drive = Drive(program, node, run_id=run_id, **({} if at_us is None else {"at_us": at_us}))
        self.drives.append(drive)
        drive.start()
        while not drive.is_ended:
            self.happen(drive, chance, nesting)
            assert len(drive.history) < 3000, "the program ends"
        return drive

    def happen(self, drive: Drive, chance: random.Random, nesting: int) -> None:
        """One more event."""
        state = drive.state
        due = min(state.timers, key=lambda call: (state.timers[call], call), default=None)
        choices: list[Callable[[], object]] = []
        choices += [lambda call=call: self.settle(drive, call, chance, nesting) for call in state.calls]
        choices += [lambda call=call: self.settle_items(drive, call, chance) for call in state.batches]
        if due is not None:
            choices.append(lambda: drive.fire(due))
        dice = chance.random()
        if not choices or dice < 0.1:
            drive.signal(chance.choice(SIGNALS), chance.randint(0, 99))
        elif self.cancels and dice < 0.15:
            drive.cancel(chance.choice(["", "enough"]))
        else:
            chance.choice(choices)()

    def settle(self, drive: Drive, call: int, chance: random.Random, nesting: int) -> None:
        """The outcome of a call; a child's is what its own run came to."""
        open_call = drive.state.calls[call]
        if open_call.function == record(program).name and nesting < 3:
            (node,), _ = drive.function.decode_arguments(open_call.arguments)
            child = self.run(node, f"{drive.state.run_id}.{call}", drive.state.last_at_us + TICK_US, nesting + 1)
            if isinstance(child.commands[-1], CompleteRun):
                drive.complete(call, child.result)
            else:
                drive.fail(call, RunCancelledError("the child was cancelled", run_id=child.state.run_id))
        elif chance.random() < 0.2:
            drive.fail(call, chance.choice(ERRORS)(f"call {call}"))
        else:
            drive.complete(call, [call, chance.randint(0, 9)])

    def settle_items(self, drive: Drive, call: int, chance: random.Random) -> None:
        """Outcomes of some items of a map, in any order."""
        items = list(drive.state.batches[call].open_items())
        chance.shuffle(items)
        some = items[: chance.randint(1, len(items))]
        drive.complete_items(
            call, {item: ValueError(f"item {item}") if chance.random() < 0.15 else item * 10 for item in some}
        )


def histories_of(node: Node, seed: int, *, cancels: bool = False) -> list[list[Event]]:
    """The histories of a program and of its children, for one seed of the surroundings."""
    surroundings = Surroundings(seed, cancels)
    try:
        surroundings.run(node)
    finally:
        for drive in surroundings.drives:
            drive.close()
        close_all()  # a test of many examples keeps none of them
    return [drive.history for drive in surroundings.drives]
