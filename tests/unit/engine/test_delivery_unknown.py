"""Responses that cannot be read: what is unknown is sent again."""

from __future__ import annotations

import pytest

from bridge.model import BatchResponse, Fault
from tests.support.dispatcher_driver import Driver, play
from tests.support.engine_values import batch, pieces
from tests.support.scripted_aep import (
    entry_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    no_response,
    scripted_aep,
)

UNREADABLE = [
    BatchResponse(200, {}, b"OK"),
    BatchResponse(207, {}, b""),
    BatchResponse(204),
    multi_status(entry_accepted(1), entry_accepted(1), entry_accepted(1)),
    BatchResponse(100),
    BatchResponse(0),
    no_response(Fault.OVERSIZE),
]


@pytest.mark.parametrize("response", UNREADABLE, ids=range(len(UNREADABLE)))
def test_an_unreadable_answer_means_the_batch_once_more(response: BatchResponse) -> None:
    """Together, after a back-off."""
    driver = play(scripted_aep(response), pieces(3))

    assert driver.sizes == [3, 3]
    assert (driver.accepted, driver.dead_letters) == (3, [])


def test_after_two_unreadable_answers_each_record_goes_alone() -> None:
    """Where counts differ, a request of one message can't be misread."""
    driver = play(
        scripted_aep(
            multi_status(entry_refused(), entry_accepted(1)), multi_status(entry_refused(), entry_refused())
        ),
        pieces(3),
    )

    assert driver.sizes == [3, 3, 1, 1, 1]
    assert (driver.accepted, driver.dead_letters) == (3, [])


def test_only_what_is_unknown_goes_again() -> None:
    """The others of the answer are settled."""
    content = pieces(3)
    driver = play(scripted_aep(multi_status(entry_accepted(0), {}, entry_refused())), content)

    assert driver.sizes == [3, 1]
    assert driver.log[1].pieces == (content[1],)
    assert driver.accepted == 2
    assert driver.dead_lettered == [content[2]]


def test_where_every_answer_is_unreadable_the_inlet_holds() -> None:
    """It probes about once a minute, so that the repeats are few."""
    driver = Driver(
        lambda request, now: (
            BatchResponse(200, {}, b"<html>welcome</html>") if now < 7200 else healthy_aep(request)
        )
    )
    for number in range(5):
        driver.start(batch(pieces(4), name=f"b-{number}"))
    driver.run(until=7100.0)

    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "unreadable answers"
    assert len(driver.log) < 400
    driver.run()
    assert (driver.accepted, driver.dead_letters) == (20, [])
