"""A batch: what it holds, and what it gives back."""

from __future__ import annotations

from bridge.model import Reason, Refusal
from tests.support.engine_values import batch, lane, pieces


def test_a_record_knows_its_lane() -> None:
    """A batch may hold the records of several partitions: an outcome must reach the lane of its record."""
    one, two = lane("t", 0), lane("t", 1)
    shared = batch(pieces(3), [one, two])

    assert [shared.lane_of(at) for at in range(3)] == [one, two, one]


def test_an_order_to_skip_is_taken_once_and_remembered() -> None:
    """A record is dead-lettered once for an order; a second order looks for another record of its offset."""
    ordered, refusal = batch(pieces(2)), Refusal(Reason.SKIPPED, "skipped by ann: poison")
    ordered.order_skip(1, refusal)

    assert ordered.take_skips() == {1: refusal}
    assert ordered.take_skips() == {}
    assert ordered.ordered == {1}
