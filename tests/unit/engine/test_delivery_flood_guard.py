"""The flood guard holds a dataset, or a route, of which everything is refused."""

from __future__ import annotations

from bridge.model import Reason, Refusal
from tests.support.dispatcher_driver import Driver, add_other_batches, play
from tests.support.engine_values import batch, inlet, pieces, refused_batch
from tests.support.scripted_aep import entry_refused, healthy_aep, multi_status


def test_the_flood_guard_holds_a_dataset_that_refuses_everything() -> None:
    """All but one of the guard's number are dead-lettered; the rest waits, and is sent again from time to
    time.
    """
    driver = Driver(healthy_aep, inlet(flood_guard=20))
    for number in range(5):
        driver.start(batch(pieces(6, bad=range(6), name=f"{number}-"), name=f"b-{number}"))
    driver.run(until=3600.0)

    assert len(driver.dead_letters) == 18
    assert set(driver.inlet.stopped) == {"ds"}
    assert "flood guard: everything is refused" in driver.reasons()
    assert len(driver.open) == 2

    driver.start(batch(pieces(1), name="good"))
    driver.run()
    assert len(driver.dead_letters) == 30
    assert driver.inlet.stopped == {}


def test_a_guarded_batch_that_was_the_set_ups_fault_is_accepted_after_all() -> None:
    """A wrong schema, corrected: nothing of it is lost in a dead-letter topic."""
    driver = Driver(
        lambda request, now: (
            multi_status(*(entry_refused() for _ in request.pieces)) if now < 3600 else healthy_aep(request)
        ),
        inlet(flood_guard=1000),
    )
    driver.start(batch(pieces(1000)))
    driver.run()

    assert (driver.accepted, driver.dead_letters) == (1000, [])


def test_the_guard_does_not_hold_a_batch_of_bad_records_among_good_batches() -> None:
    """A thousand bad ones in one request, while others of the dataset are accepted: they are no flood."""
    driver = Driver(healthy_aep, inlet(flood_guard=1000))
    driver.start(batch(pieces(1000, bad=range(1000)), name="bad"))
    add_other_batches(driver, 60.0)
    driver.run(until=120.0)

    assert len(driver.dead_letters) == 1000
    assert driver.open == []


def test_the_guard_watches_a_route_whose_values_are_never_valid() -> None:
    """Until something valid comes."""
    driver = Driver(healthy_aep, inlet(flood_guard=10))
    driver.start(refused_batch([Refusal(Reason.NOT_JSON, "no")] * 10))
    driver.run(until=600.0)
    assert driver.dead_letters == []
    assert set(driver.inlet.stopped) == {"t"}

    driver.inlet.reset_refusals("t")
    driver.run()
    assert len(driver.dead_letters) == 10


def test_refusals_among_acceptances_never_count_as_a_flood() -> None:
    """Half of each request is bad, for ever."""
    driver = play(
        healthy_aep, *[pieces(100, bad=range(50), name=f"{number}-") for number in range(50)], flood_guard=100
    )

    assert len(driver.dead_letters) == 2500
    assert driver.accepted == 2500
