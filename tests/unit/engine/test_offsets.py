"""The watermark: never skips, never goes back, and always the highest safe offset."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.engine.offsets import Lane, LaneState, Offsets
from bridge.model import TopicPartition

T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)


def read(ledger: Offsets, lane: Lane, batch: Hashable, *offsets: int, now: float = 0.0) -> None:
    for offset in offsets:
        ledger.took(lane, batch, offset, now)
    ledger.advance(lane, offsets[-1] + 1)


def test_a_lane_that_read_nothing_has_no_watermark() -> None:
    """Nothing read, nothing to store."""
    ledger = Offsets()
    lane = ledger.begin(T0, 0.0)

    assert lane.watermark is None
    assert lane.uncommitted == 0
    assert ledger.moved() == {}


def test_the_watermark_is_the_first_offset_of_the_earliest_open_batch() -> None:
    """A later batch that settles first moves nothing."""
    ledger = Offsets()
    lane = ledger.begin(T0, 0.0)
    read(ledger, lane, "first", 10, 11)
    read(ledger, lane, "second", 12, 13)
    ledger.resolve(lane, "second")

    assert lane.watermark == 10
    assert lane.uncommitted == 4

    ledger.resolve(lane, "first")

    assert lane.watermark == 14
    assert ledger.moved() == {T0: 14}
    assert ledger.moved() == {}


def test_gaps_cost_nothing() -> None:
    """The watermark jumps over offsets that no record has."""
    ledger = Offsets()
    lane = ledger.begin(T0, 0.0)
    read(ledger, lane, "first", 10, 500)
    read(ledger, lane, "second", 90_000)
    ledger.resolve(lane, "first")

    assert lane.watermark == 90_000


def test_skipped_records_need_no_batch() -> None:
    """What no batch took is settled by being read."""
    ledger = Offsets()
    lane = ledger.begin(T0, 0.0)
    ledger.advance(lane, 7)

    assert ledger.moved() == {T0: 7}


def test_an_end_of_partition_advances_past_control_records() -> None:
    """A transactional topic's lag reaches 0."""
    ledger = Offsets()
    lane = ledger.begin(T0, 0.0)
    read(ledger, lane, "b", 4)
    ledger.resolve(lane, "b")
    ledger.advance(lane, 6)

    assert ledger.moved() == {T0: 6}


def test_an_end_of_partition_below_what_was_read_moves_nothing_back() -> None:
    """After a truncation the end of the partition comes first. If it were taken as the next offset, the
    records after it would look like new ones of the same lane.
    """
    ledger = Offsets()
    lane = ledger.begin(T0, 0.0)
    read(ledger, lane, "b", 100)
    ledger.resolve(lane, "b")
    ledger.moved()
    ledger.advance(lane, 0)

    assert lane.next == 101
    assert ledger.moved() == {}


def test_a_dead_lane_is_fenced() -> None:
    """An outcome that comes after the revoke touches neither the old lane nor the new one of the same
    partition.
    """
    ledger = Offsets()
    old = ledger.begin(T0, 0.0)
    read(ledger, old, "b", 5)
    new = ledger.begin(T0, 1.0)
    read(ledger, new, "c", 5)
    ledger.resolve(old, "b")

    assert old.state is LaneState.DEAD
    assert new.watermark == 5
    assert ledger.moved() == {T0: 5}
    assert ledger.end([T0]) == [new]
    assert ledger.end([T0, T1]) == []
    ledger.resolve(new, "c")

    assert ledger.moved() == {}


def test_a_renewed_lane_stores_nothing_of_the_old_one() -> None:
    """What was read before may settle, in any order; only the new lane's offsets count."""
    ledger = Offsets()
    old = ledger.begin(T0, 0.0)
    read(ledger, old, "old", 100, 101)
    new = ledger.replace(old, 1.0)
    read(ledger, new, "new", 0, 1)
    ledger.resolve(old, "old")

    assert old.open == {}
    assert ledger.moved() == {T0: 0}
    ledger.resolve(new, "new")

    assert ledger.moved() == {T0: 2}


def test_the_age_is_that_of_the_oldest_open_batch() -> None:
    """For the status page and the alert."""
    ledger = Offsets()
    lane = ledger.begin(T0, 0.0)
    read(ledger, lane, "first", 1, now=10.0)
    read(ledger, lane, "second", 2, now=20.0)

    assert lane.oldest(25.0) == 15.0
    ledger.resolve(lane, "first")
    assert lane.oldest(25.0) == 5.0
    ledger.resolve(lane, "second")
    assert lane.oldest(25.0) == 0.0


# -- against brute force ---------------------------------------------------------------

DESTINATIONS = 3
SKIPPED = DESTINATIONS
OPS = st.one_of(
    st.tuples(
        st.just("read"),
        st.integers(0, 1),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, SKIPPED)), min_size=1, max_size=6),
    ),
    st.tuples(st.just("eof"), st.integers(0, 1), st.integers(0, 3)),
    st.tuples(st.just("send"), st.integers(0, DESTINATIONS - 1)),
    st.tuples(st.just("settle"), st.integers(0, 50)),
    st.tuples(st.just("settle one lane"), st.integers(0, 50), st.integers(0, 1)),
    st.tuples(st.just("revoke"), st.integers(0, 1)),
    st.tuples(st.just("store")),
)


class World:
    """The model of a partition is the set of its unsettled offsets. The log is written when it is first read,
    and is read again after a revoke.
    """

    def __init__(self) -> None:
        self.ledger = Offsets()
        self.logs: dict[TopicPartition, dict[int, int]] = {T0: {}, T1: {}}  # offset → destination
        self.ends = {T0: 0, T1: 0}
        self.settled: dict[TopicPartition, set[int]] = {T0: set(), T1: set()}
        self.committed = {T0: 0, T1: 0}
        self.position = {T0: 0, T1: 0}
        self.unsettled: dict[Lane, dict[int, object]] = {}
        self.lanes = {source: self.assign(source) for source in (T0, T1)}
        self.open: list[object] = [object() for _ in range(DESTINATIONS)]
        self.sent: list[object] = []
        self.marks: dict[Lane, int] = {}

    def assign(self, source: TopicPartition) -> Lane:
        lane = self.ledger.begin(source, 0.0)
        self.unsettled[lane] = {}
        self.position[source] = self.committed[source]
        return lane

    def read(self, source: TopicPartition, records: list[tuple[int, int]]) -> None:
        for gap, destination in records:
            offset = self.ends[source] + gap
            self.logs[source][offset] = destination
            self.ends[source] = offset + 1
        lane = self.lanes[source]
        for offset in sorted(offset for offset in self.logs[source] if offset >= self.position[source]):
            destination = self.logs[source][offset]
            if destination == SKIPPED:
                self.settled[source].add(offset)
            else:
                self.ledger.took(lane, self.open[destination], offset, 0.0)
                self.unsettled[lane][offset] = self.open[destination]
            self.position[source] = offset + 1
        self.ledger.advance(lane, self.position[source])

    def eof(self, source: TopicPartition, gap: int) -> None:
        if self.position[source] == self.ends[source]:
            self.ends[source] += gap
            self.position[source] = self.ends[source]
            self.ledger.advance(self.lanes[source], self.ends[source])

    def settle(self, batch: object, lanes: list[Lane]) -> None:
        for lane in lanes:
            for offset in [offset for offset, holder in self.unsettled[lane].items() if holder is batch]:
                del self.unsettled[lane][offset]
                self.settled[lane.source].add(offset)
            self.ledger.resolve(lane, batch)

    def revoke(self, source: TopicPartition) -> None:
        self.store()
        self.ledger.end([source])
        self.lanes[source] = self.assign(source)

    def store(self) -> None:
        for source, offset in self.ledger.moved().items():
            assert offset >= self.committed[source], "went back"
            self.committed[source] = offset
            assert {at for at in self.logs[source] if at < offset} <= self.settled[source], "skipped"
        for source, lane in self.lanes.items():
            if lane.next is not None:
                assert self.committed[source] == lane.watermark, "not all that is safe"

    def check(self) -> None:
        for lane in self.lanes.values():
            unsettled = self.unsettled[lane]
            assert (min(unsettled) if unsettled else lane.next) == lane.watermark
            if lane.watermark is not None:
                assert lane.watermark >= self.marks.get(lane, 0)
                self.marks[lane] = lane.watermark


@settings(max_examples=400)
@given(st.lists(OPS, max_size=40))
def test_any_history_gives_the_highest_safe_offset(ops: list[tuple[Any, ...]]) -> None:
    """Through gaps, several batches at once, outcomes in any order, revokes and returns, the watermark never
    skips a record, never goes back, and is always the highest safe offset.
    """
    world = World()
    for op in ops:
        match op:
            case ("read", partition, records):
                world.read((T0, T1)[partition], records)
            case ("eof", partition, gap):
                world.eof((T0, T1)[partition], gap)
            case ("send", destination):
                world.sent.append(world.open[destination])
                world.open[destination] = object()
            case ("settle", at) if world.sent:
                world.settle(world.sent.pop(at % len(world.sent)), list(world.unsettled))
            case ("settle one lane", at, partition) if world.sent:
                world.settle(world.sent[at % len(world.sent)], [world.lanes[(T0, T1)[partition]]])
            case ("revoke", partition):
                world.revoke((T0, T1)[partition])
            case ("store",):
                world.store()
        world.check()
    world.store()
    for batch in [*world.sent, *world.open]:
        world.settle(batch, list(world.unsettled))
    world.store()

    assert world.committed == {
        source: (world.position[source] if world.lanes[source].next is not None else world.committed[source])
        for source in (T0, T1)
    }
