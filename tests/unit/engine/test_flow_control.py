"""How much is read: windows, pauses, and how far a partition may be ahead of its watermark."""

from __future__ import annotations

import pytest

from bridge.codec.routes import Route
from bridge.engine.events import PartitionsPaused
from bridge.engine.flow_control import ENOUGH_S, PAUSE_AFTER_S
from bridge.model import Format, Slice, TopicPartition
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, SOURCE_1, pieces, record_slice
from tests.support.scripted_aep import all_accepted, healthy_aep, never_answers


def test_a_paused_partition_whose_offsets_go_backwards_is_resumed() -> None:
    """The lane is another one; the partition is as paused at the client as before."""
    bench = (
        Bench(never_answers, max_messages=1, linger_s=0.0, max_uncommitted_records=8)
        .read(record_slice(100, pieces(10)))
        .turn(20)
    )
    assert bench.source.paused == {SOURCE}

    bench.sender.aep = healthy_aep
    bench.read(record_slice(0, pieces(1))).settle()
    bench.turn(20)
    assert bench.source.paused == set()


def test_a_full_window_stops_reading_then_pauses_and_resumes_at_half() -> None:
    """Memory is bounded by the setting and one read."""
    bench = Bench(never_answers, max_messages=10, linger_s=0.0, policy={"window_bytes": 20_000})
    bench.source.feed = [[record_slice(at * 10, pieces(10))] for at in range(50)]
    bench.turn(20)
    reads = bench.source.reads
    assert bench.used < 20_000 + 10 * 700
    assert bench.source.paused == set()
    assert reads < 6

    end = bench.time.now + PAUSE_AFTER_S + 1
    while bench.time.now < end:
        bench.turn()
        if bench.source.paused:
            bench.source.feed.clear()  # a paused partition gives nothing
    assert bench.source.paused == {SOURCE}
    assert bench.source.reads > reads, "a paused consumer is polled on"

    while bench.sender.open:
        bench.sender.respond()
        bench.turn(20)
    bench.settle()
    assert bench.source.paused == set()
    assert bench.used == pytest.approx(0.0)


def test_a_full_inlet_pauses_its_own_partitions_only() -> None:
    """The others flow."""
    routes = [Route("a", Format.RAW, "one", "ds"), Route("b", Format.RAW, "two", "ds")]
    bench = Bench(
        lambda request, now: None if request.inlet == "one" else all_accepted(len(request.pieces)),
        routes=routes,
        linger_s=0.0,
        policy={"window_bytes": 5000},
    )
    bench.read(record_slice(0, pieces(10), TopicPartition("a", 0))).turn(20)
    assert bench.source.paused == {TopicPartition("a", 0)}
    assert [event.reason for event in bench.events.of(PartitionsPaused)] == ["window"]

    bench.read(record_slice(0, pieces(3), TopicPartition("b", 0))).turn(20)
    assert bench.source.stored == {TopicPartition("a", 0): 0, TopicPartition("b", 0): 3}


def test_a_lane_too_far_ahead_of_its_watermark_is_paused() -> None:
    """One stuck batch must not pile up hours of repeats; the lane goes on when the batch is settled."""
    stuck = pieces(10)[0]
    bench = Bench(
        lambda request, now: None if stuck in request.pieces else healthy_aep(request),
        max_messages=1,
        linger_s=0.0,
        partitions=2,
        max_uncommitted_records=10,
    )
    bench.read(record_slice(0, pieces(10)), record_slice(0, pieces(3, name="x"), SOURCE_1)).turn(30)
    assert bench.source.paused == {SOURCE}
    assert bench.events.of(PartitionsPaused) == [PartitionsPaused((SOURCE,), "max_uncommitted_records")]

    bench.sender.respond()
    bench.turn(20)
    assert bench.source.paused == set()
    assert bench.source.stored == {SOURCE: 10, SOURCE_1: 3}


@pytest.mark.parametrize("most", [1, 2, 3, 10, 499, 999, 1000, 1700])
def test_a_lane_is_never_further_ahead_than_allowed(most: int) -> None:
    """A crash now would repeat so many records; and however few, the lane goes on as they are settled."""
    bench = Bench(never_answers, max_messages=50, linger_s=0.0, max_uncommitted_records=most)
    ahead = [0]
    position = 0

    def endless(limit: int, timeout_s: float) -> list[Slice]:
        nonlocal position
        lane = bench.engine.view.lanes[SOURCE]
        ahead.append(lane.uncommitted)
        bench.time.now += timeout_s
        if SOURCE in bench.source.paused:
            return []
        position += limit
        return [record_slice(position - limit, pieces(limit))]

    def turns() -> None:
        for _ in range(20):
            bench.time.now += ENOUGH_S
            bench.turn()

    # The scripted source returns what it was fed; this one never ends.
    bench.source.read = endless  # type: ignore[method-assign]
    turns()
    assert SOURCE in bench.source.paused
    assert most / 2 <= max(ahead) <= most

    for _ in range(10):
        while bench.sender.open:
            bench.sender.respond()
        turns()
    assert bench.source.stored[SOURCE] > 2 * most
    assert max(ahead) <= most


@pytest.mark.parametrize("inlets", ["one", "two"])
def test_nothing_is_read_while_enough_waits_to_be_sent(inlets: str) -> None:
    """The loop waits for responses first, but only for a short time, and then reads again. Where another
    inlet has nothing to send, it reads at once.
    """
    routes = [Route("t", Format.RAW, "inlet", "ds"), Route("u", Format.RAW, "other", "ds")][
        : 2 if inlets == "two" else 1
    ]
    bench = Bench(never_answers, max_messages=50, linger_s=0.0, routes=routes, policy={"max_in_flight": 4})
    reads: list[float] = []

    def endless(limit: int, timeout_s: float) -> list[Slice]:
        reads.append(bench.time.now)
        first = 100 * (len(reads) - 1)
        return [record_slice(first, pieces(100))]

    # The scripted source returns what it was fed; this one never ends.
    bench.source.read = endless  # type: ignore[method-assign]
    bench.turn(3)
    assert len(reads) == 3  # 300 records are six batches: four are under way, two wait
    bench.turn(5)
    if inlets == "two":
        assert len(reads) == 8
        return
    assert len(reads) == 3

    bench.sender.respond()
    bench.turn(2)
    assert len(reads) == 4  # one of the two that waited has gone out
    bench.turn(5)
    assert len(reads) == 4

    bench.time.now += ENOUGH_S
    bench.turn(5)
    assert len(reads) == 5


def test_a_partition_that_comes_while_the_window_is_full_starts_paused() -> None:
    """And is resumed like the others."""
    bench = (
        Bench(never_answers, linger_s=0.0, policy={"window_bytes": 5000})
        .read(record_slice(0, pieces(10)))
        .turn(3)
    )
    bench.assign(SOURCE_1)
    assert SOURCE_1 in bench.source.paused

    bench.sender.respond()
    bench.turn(20)
    assert bench.source.paused == set()
