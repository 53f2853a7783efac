"""Lanes that end while their records are delivered."""

from __future__ import annotations

import pytest

from bridge.codec.request import body_size
from bridge.engine.delivery import deliver
from bridge.engine.effects import EffectResult
from bridge.engine.offsets import LaneState
from bridge.model import BatchRequest
from tests.support.dispatcher_driver import Driver
from tests.support.engine_values import batch, inlet, lane, pieces
from tests.support.scripted_aep import healthy_aep, request_refused, scripted_aep


@pytest.mark.parametrize("state", [LaneState.CLOSING, LaneState.DEAD])
def test_from_the_next_attempt_on_the_records_of_ended_lanes_are_left_out(state: LaneState) -> None:
    """A batch that still has a living lane is never given up."""
    one, two = lane("t", 0), lane("t", 1)
    content = pieces(4)
    driver = Driver(scripted_aep(request_refused(503), request_refused(503)))
    started = driver.start(batch(content, [one, two]))
    driver.run(requests=2)
    two.state = state
    driver.look_again(started)
    driver.run()

    assert driver.log[-1].pieces == (content[0], content[2])
    assert driver.accepted == 2
    assert [list(settled.lanes) for _, settled in driver.settled] == [[one]]
    assert started.done


@pytest.mark.parametrize("state", [LaneState.CLOSING, LaneState.DEAD])
def test_a_batch_whose_lanes_have_all_ended_is_over(state: LaneState) -> None:
    """Without a request: their next owner sends them."""
    home = lane()
    driver = Driver(healthy_aep)
    home.state = state
    driver.start(batch(pieces(4), [home]))

    assert driver.open == []
    assert driver.log == []


def test_a_request_that_was_under_way_at_a_revoke_still_settles() -> None:
    """While the lane is closing its dead letters are published, too."""
    home = lane()
    driver = Driver(healthy_aep)
    driver.start(batch(pieces(3, bad=[1]), [home]))
    driver.at(0.01, lambda: setattr(home, "state", LaneState.CLOSING))
    driver.run()

    assert driver.accepted == 2
    assert len(driver.dead_letters) == 1
    assert list(driver.settled[-1][1].lanes) == [home]


def test_a_queued_request_leaves_out_the_records_of_ended_lanes() -> None:
    """Lanes that end while it queues leave it."""
    one, two = lane("t", 0), lane("t", 1)
    delivery = deliver(batch(pieces(2), [one, two]), inlet(), ["d"] * 2, 0.0)

    assert BatchRequest("inlet", pieces(2), 30.0, body_size(pieces(2))) == next(delivery)
    one.state = LaneState.CLOSING
    assert BatchRequest("inlet", pieces(2)[1:], 30.0, body_size(pieces(2)[1:])) == delivery.send(
        EffectResult(1.0)
    )
    two.state = LaneState.DEAD
    with pytest.raises(StopIteration):
        delivery.send(EffectResult(2.0))
