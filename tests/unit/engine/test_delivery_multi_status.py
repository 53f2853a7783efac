"""A status for one message: only this message is convicted, or sent again."""

from __future__ import annotations

import pytest

from bridge.model import Reason, Refusal
from tests.support.dispatcher_driver import Driver, play
from tests.support.engine_values import batch, lane, pieces
from tests.support.scripted_aep import entry_accepted, entry_refused, multi_status, scripted_aep


def test_a_200_with_a_multi_status_body_is_judged_by_its_body() -> None:
    """Adobe's mocks answer so."""
    driver = play(
        scripted_aep(multi_status(entry_accepted(0), entry_refused(), status=200)), pieces(2, bad=[1])
    )

    assert driver.accepted == 1
    assert pieces(2, bad=[1])[1:] == driver.dead_lettered


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_permanent_status_of_one_message_convicts_it(status: int) -> None:
    """It alone, at once, with AEP's words."""
    driver = play(
        scripted_aep(
            multi_status(entry_accepted(0), entry_refused(status, "wrong format"), entry_accepted(2))
        ),
        pieces(3),
    )

    assert driver.sizes == [3]
    assert driver.accepted == 2
    [dead_letter] = driver.dead_letters
    assert pieces(3)[1] == dead_letter.record.value()
    assert Refusal(Reason.REFUSED, "wrong format", status, 1) == dead_letter.refusal
    assert (
        dead_letter.topic,
        dead_letter.batch_id,
        dead_letter.inlet_id,
        dead_letter.dataset_id,
    ) == ("t.dlq", "b-0", "inlet-id", "ds")


@pytest.mark.parametrize("status", [401, 403, 408, 425, 429, 502, 503, 504])
def test_a_passing_status_of_one_message_sends_that_message_again_and_only_it(status: int) -> None:
    """The others are settled meanwhile."""
    content = pieces(3)
    driver = play(
        scripted_aep(
            multi_status(entry_accepted(0), entry_refused(status), entry_accepted(2)),
            multi_status(entry_refused(status)),
        ),
        content,
    )

    assert driver.sizes == [3, 1, 1]
    assert (content[1],) == driver.log[1].pieces == driver.log[2].pieces
    assert driver.settled[0][1].accepted == {"t": 2}
    assert (driver.accepted, driver.dead_letters) == (3, [])


def test_a_429_of_one_message_lowers_the_limits() -> None:
    """It is the inlet's news, too."""
    driver = play(
        scripted_aep(multi_status(entry_accepted(0), entry_refused(429))),
        pieces(2),
        until=0.05,
        max_in_flight=8,
    )

    assert driver.inlet.concurrency.allowed == 4


def test_a_lane_with_nothing_left_is_released_before_the_others() -> None:
    """One stuck message does not hold the commits of other partitions."""
    one, two = lane("t", 0), lane("t", 1)
    driver = Driver(scripted_aep(multi_status(entry_accepted(0), entry_refused(503))))
    driver.start(batch(pieces(2), [one, two]))
    driver.run()

    assert [list(settled.lanes) for _, settled in driver.settled] == [[one], [two]]
