"""Which delivery goes next: wake-ups at the end of a hold, and priorities."""

from __future__ import annotations

from bridge.engine.effects import Wait
from bridge.engine.events import InletReleased
from bridge.model import BatchRequest, BatchResponse
from tests.support.dispatcher_driver import Driver
from tests.support.engine_values import batch, inlet, pieces
from tests.support.scripted_aep import all_accepted, healthy_aep, request_refused


def test_an_acceptance_outside_of_a_hold_wakes_nothing() -> None:
    """A request that fails by itself while others pass would go out again at once, without end."""

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        return request_refused(503) if b"sick" in request.pieces[0] else all_accepted(len(request.pieces))

    driver = Driver(aep, inlet(backoff_base_s=10.0, seed=3))
    driver.start(batch([b'{"sick":1}'], name="sick"))
    driver.run(until=0.06)
    [task] = driver.dispatcher.tasks
    assert isinstance(task.effect, Wait)
    assert task.effect.wakes
    due = task.effect.until
    for at in range(5):
        driver.start(batch(pieces(1, name=str(at)), name=f"sound-{at}"))
    driver.run(until=due - 0.01)

    assert driver.accepted == 5
    assert [request.batch for request in driver.log].count("sick") == 1


def test_the_end_of_a_hold_wakes_what_backs_off_because_of_it() -> None:
    """The outage is over: nothing waits for the rest of its back-off, and the oldest goes first."""
    driver = Driver(
        lambda request, now: request_refused(503) if now < 1.0 else healthy_aep(request),
        inlet(backoff_base_s=100.0, backoff_max_s=1000.0),
    )
    for at in range(6):
        driver.start(batch(pieces(1, name=str(at)), name=f"b-{at}"))
    driver.run()

    assert [event.reason for event in driver.events.of(InletReleased)] == ["status 503"]
    probe, *woken = [request for request in driver.log if request.response.status == 207]
    assert len(woken) == 5
    assert woken[-1].at - probe.at < 1.0
    assert [request.batch for request in woken] == sorted(request.batch for request in woken)
    assert driver.open == []


def test_a_task_that_brought_nothing_goes_behind_the_others() -> None:
    """If its records are bad, only the others' can be the evidence against them."""
    driver = Driver(
        lambda request, now: (
            request_refused(400) if b"bad" in request.pieces[0] else all_accepted(len(request.pieces))
        ),
        inlet(max_in_flight=1),
    )
    driver.start(batch(pieces(2, bad=[0, 1], name="0"), name="bad"))
    driver.start(batch(pieces(1, name="1"), name="sound"))
    driver.run(requests=2)

    assert [request.batch for request in driver.log] == ["bad", "sound"]
