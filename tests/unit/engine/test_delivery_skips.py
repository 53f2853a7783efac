"""An operator's order moves a record while its batch is delivered."""

from __future__ import annotations

from bridge.model import Reason, Refusal
from tests.support.dispatcher_driver import Driver
from tests.support.engine_values import batch, inlet, pieces, refused_batch
from tests.support.scripted_aep import (
    entry_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    request_refused,
    scripted_aep,
)


def test_an_operators_order_moves_a_record_that_waits() -> None:
    """Whatever AEP says; the others go on."""
    content = pieces(3)
    driver = Driver(
        lambda request, now: request_refused(503) if content[1] in request.pieces else healthy_aep(request)
    )
    started = driver.start(batch(content))
    driver.run(until=100.0)
    started.batch.order_skip(1, Refusal(Reason.SKIPPED, "skipped by ann: poison"))
    driver.look_again(started)
    driver.run()

    assert driver.dead_lettered == [content[1]]
    assert [dead_letter.refusal.reason for dead_letter in driver.dead_letters] == [Reason.SKIPPED]
    assert driver.accepted == 2


def test_an_order_for_a_record_that_was_accepted_meanwhile_does_nothing() -> None:
    """The answer was under way."""
    driver = Driver(scripted_aep(multi_status(entry_accepted(0), entry_refused(503))))
    started = driver.start(batch(pieces(2)))
    driver.at(0.01, lambda: started.batch.order_skip(0, Refusal(Reason.SKIPPED, "x")))
    driver.run()

    assert (driver.accepted, driver.dead_letters) == (2, [])


def test_an_order_moves_a_record_that_the_flood_guard_holds() -> None:
    """Also one that was never to be sent."""
    driver = Driver(healthy_aep, inlet(flood_guard=2))
    started = driver.start(refused_batch([Refusal(Reason.NOT_JSON, "no")] * 3))
    driver.run(until=10.0)
    started.batch.order_skip(1, Refusal(Reason.SKIPPED, "x"))
    driver.look_again(started)
    driver.run(until=20.0)

    assert [dead_letter.record.offset() for dead_letter in driver.dead_letters] == [1]
    assert driver.open == [started]
