"""What the caller of a run is told when its id is taken, and how that is known again."""

from __future__ import annotations

import pytest

from stent.codec import join
from stent.history.events import BatchItemsCompleted, CallCompleted, CallFailed, Event
from stent.history.refusals import answer_to_taken, refused_by
from stent.testing.conformance.rigging import new_run, payload


@pytest.mark.parametrize("item", [None, 4])
def test_a_refusal_says_which_run_was_not_started(item: int | None) -> None:
    child = new_run("a.1", parent_run="a", parent_call=1, parent_item=item)
    answer = answer_to_taken(child, new_run("a.1").started)
    assert answer is not None
    assert ("a", {"a.1"}) == (answer.run_id, refused_by(answer.event))


def test_no_refusal_where_nobody_waits_or_the_run_is_the_one() -> None:
    child = new_run("a.1", parent_run="a", parent_call=1)
    again = new_run("a.1", parent_run="a", parent_call=1)
    assert [None, None] == [answer_to_taken(new_run("a.1"), child.started), answer_to_taken(child, again.started)]


@pytest.mark.parametrize(
    "event",
    [
        CallCompleted(0, 0, 1, payload()),
        CallFailed(0, 0, 1, payload("damaged")),
        BatchItemsCompleted(0, 0, 1, ((0, 1),), payload("damaged"), (0,)),
        BatchItemsCompleted(0, 0, 1, ((0, 1),), join([payload("1")])),
    ],
    ids=["completed", "damaged", "damaged items", "items"],
)
def test_other_answers_refuse_nothing(event: Event) -> None:
    assert set() == refused_by(event)
