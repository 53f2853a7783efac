"""Which delivery goes next: wake-ups at the end of a hold, and priorities."""

from __future__ import annotations

import pytest

from bridge.engine.effects import Wait
from bridge.engine.events import InletHeld, InletReleased, ProbeFailed
from bridge.model import BatchRequest, BatchResponse, Fault, TopicPartition
from tests.support.dispatcher_driver import Driver
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, SOURCE_1, batch, inlet, pieces, record_slice
from tests.support.scripted_aep import (
    all_accepted,
    healthy_aep,
    never_answers,
    no_response,
    request_refused,
    strict_aep,
)


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


def test_requests_wait_for_their_inlet() -> None:
    """Oldest first, never more than the ceiling."""
    bench = (
        Bench(never_answers, max_messages=1, policy={"max_in_flight": 2})
        .read(record_slice(0, pieces(5)))
        .turn(3)
    )
    assert pieces(5)[:2] == [request.pieces[0] for request in bench.sender.requests]
    assert bench.engine.view.queued("inlet") == 3

    bench.sender.respond(1)
    bench.turn()
    assert pieces(5)[:3] == [request.pieces[0] for request in bench.sender.requests]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_request_that_waited_while_the_rate_sank_goes_in_parts(ordered: bool) -> None:
    """It was made for the rate of then; batches that are made from now on are small themselves."""
    bench = Bench(
        never_answers,
        max_messages=100,
        ordered=ordered,
        partitions=2,
        policy={"max_in_flight": 1, "ordered": ordered},
    )
    bench.read(record_slice(0, pieces(100)), record_slice(0, pieces(100), TopicPartition("t", 1))).turn(3)
    bench.inlets["inlet"].rate.configured = 100.0
    bench.sender.respond()
    bench.settle(0.5)
    assert [len(request.pieces) for request in bench.sender.requests] == [100, 20]

    bench.read(record_slice(100, pieces(40)))
    while bench.engine.view.tasks:
        bench.sender.respond()
        bench.settle(2.0)
    assert [len(request.pieces) for request in bench.sender.requests][1:] == [20] * 7
    assert bench.used == pytest.approx(0.0)
    assert bench.source.stored == {SOURCE: 140, TopicPartition("t", 1): 100}


def test_only_what_probes_gets_small() -> None:
    """One batch, split into parts, finds that AEP's bucket is too small; when the bucket grows meanwhile, the
    other batches are sent whole.
    """
    fit: list[int] = []

    def aep(request: BatchRequest, _: float) -> BatchResponse:
        if fit or len(request.pieces) <= 30:
            fit.append(len(request.pieces))
            return healthy_aep(request)
        return request_refused(429)

    bench = Bench(aep, max_messages=100).read(record_slice(0, pieces(1000)))
    bench.settle(600.0)

    assert bench.source.stored == {SOURCE: 1000}
    assert fit[0] <= 30
    assert fit.count(100) >= 7
    assert sum(size for size in fit if size < 100) <= 300


@pytest.mark.parametrize("bad", [2, 4, 20])
def test_bad_records_that_came_first_do_not_keep_good_ones_waiting(bad: int) -> None:
    """Nothing was ever accepted, and AEP refuses the whole request for each bad record. The inlet is held,
    and only the good records of another partition can end the hold.
    """
    bench = Bench(strict_aep(), partitions=2).read(record_slice(0, pieces(bad, bad=range(bad))))
    bench.settle(10.0)
    bench.read(record_slice(0, pieces(20), TopicPartition("t", 1))).settle(300.0)
    bench.read(record_slice(20, pieces(20), TopicPartition("t", 1))).settle(300.0)

    assert bench.source.stored == {SOURCE: bad, TopicPartition("t", 1): 40}
    assert len(bench.dead_letters.published) == bad


def test_what_is_refused_again_and_again_does_not_keep_others_waiting() -> None:
    """Where one request at a time is allowed, a batch with many bad records always has one that is due; the
    batches behind it are sent in between.
    """
    good = pieces(30, name="good")
    bench = Bench(strict_aep(), partitions=2, max_messages=100, policy={"max_in_flight": 1}).read(
        record_slice(0, pieces(100, bad=range(100)))
    )
    bench.read(record_slice(0, good[:10], TopicPartition("t", 1))).settle(30.0)
    for at in (10, 20):
        bench.read(record_slice(at, good[at : at + 10], TopicPartition("t", 1))).settle(60.0)
    bench.settle(600.0)

    assert bench.source.stored == {SOURCE: 100, TopicPartition("t", 1): 30}
    assert len(bench.dead_letters.published) == 100


def test_an_outage_wakes_everything_when_it_is_over() -> None:
    """All that waited goes out at once."""
    bench = Bench(
        lambda request, now: request_refused(503) if now < 1600 else healthy_aep(request), max_messages=1
    ).read(record_slice(0, pieces(30)))
    bench.settle(700.0)

    assert bench.source.stored == {SOURCE: 30}
    assert bench.time.now < 1670
    assert len(bench.events.of(InletReleased)) == 1
    assert len(bench.events.of(InletHeld)) == 1
    assert len(bench.events.of(ProbeFailed)) > 3
    assert not any(isinstance(task.effect, Wait) for task in bench.engine.view.tasks)


@pytest.mark.parametrize(
    "response",
    [request_refused(503), request_refused(500), no_response(Fault.CONNECTION)],
    ids=["503", "500", "connection"],
)
def test_a_request_that_fails_by_itself_keeps_its_back_off(response: BatchResponse) -> None:
    """While other requests are accepted, it is not sent again after each of them, and it does not lower the
    inlet's concurrency.
    """
    poison = pieces(1)[0]
    bench = Bench(
        lambda request, now: response if poison in request.pieces else healthy_aep(request),
        max_messages=1,
        linger_s=0.0,
    ).read(record_slice(0, [poison]))
    began, at = bench.time.now, 1
    while bench.time.now < began + 60:
        bench.read(record_slice(at, pieces(4, name=str(at)))).turn(20)
        at += 4

    assert at > 200
    assert 3 <= sum(poison in request.pieces for request in bench.sender.requests) <= 25


def test_with_order_a_lanes_next_batch_waits_for_its_last() -> None:
    """Other lanes do not."""
    bench = Bench(never_answers, ordered=True, max_messages=2, partitions=2, policy={"ordered": True})
    bench.read(record_slice(0, pieces(4)), record_slice(0, pieces(2, name="x"), SOURCE_1)).turn(3)
    assert [tuple(request.pieces) for request in bench.sender.requests] == [
        tuple(pieces(4)[:2]),
        tuple(pieces(2, name="x")),
    ]

    bench.sender.respond(0)
    bench.turn()
    assert tuple(pieces(4)[2:]) == tuple(bench.sender.requests[-1].pieces)
