"""Noticing that reading went on at another offset than the expected one."""

from __future__ import annotations

import pytest

from bridge.kafka.offset_resets import OffsetResets
from bridge.model import Slice, TopicPartition
from tests.support.memory import MemoryRecord

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


class Resets:
    """The object under test, with a low watermark that a test moves, and what it reported."""

    def __init__(self) -> None:
        self.low = 0
        self.reported: list[tuple[TopicPartition, int, int]] = []
        self.resets = OffsetResets(lambda _: self.low, lambda *details: self.reported.append(details))

    def check(
        self, *offsets: int, end: int = 0, committed: int | None = None, partition: TopicPartition = A
    ) -> None:
        """Check a slice of records at these offsets; without any, a slice that only says where the
        partition ends.
        """
        records = [MemoryRecord(partition, offset, b"v") for offset in offsets]
        next_offset = offsets[-1] + 1 if offsets else end
        self.resets.check(Slice(partition, records, [b"v"] * len(records), next_offset, 0), committed)


def test_a_gap_is_loss_only_below_the_low_watermark() -> None:
    """Compaction and transactions leave gaps too, and must not alarm anybody."""
    bench = Resets()
    for offset, low in ((1, 0), (5, 0), (20, 15)):
        bench.low = low
        bench.check(offset)

    assert bench.reported == [(A, 6, 20)]


@pytest.mark.parametrize(("low", "expected"), [(0, []), (15, [(A, 7, 20)])])
def test_loss_within_one_slice_is_reported(low: int, expected: list[tuple[TopicPartition, int, int]]) -> None:
    """Records that were fetched before the reset come together with the first ones after it."""
    bench = Resets()
    bench.low = low
    bench.check(5, 6, 20, 22)

    assert bench.reported == expected


def test_records_that_were_deleted_before_the_assignment_are_reported() -> None:
    """The committed offset is the one that was expected then."""
    bench = Resets()
    bench.low = 50
    bench.check(50, 51, committed=10)

    assert bench.reported == [(A, 10, 50)]


@pytest.mark.parametrize("first", [(0,), ()], ids=["a record", "an end"])
def test_a_log_that_ends_below_the_committed_offset_is_reported_once(first: tuple[int, ...]) -> None:
    """It was truncated or created anew, and is read from its beginning; the client only logs that."""
    bench = Resets()
    bench.check(*first, committed=1000)
    bench.check(1, committed=1000)
    bench.check(0, committed=1000)

    assert bench.reported == [(A, 1000, 0)]


def test_reading_on_where_it_was_committed_is_not_reported() -> None:
    """Nor is the end of a partition of which everything is committed."""
    bench = Resets()
    bench.check(1000, committed=1000)
    bench.check(end=5, committed=5, partition=B)

    assert bench.reported == []


def test_without_a_committed_offset_nothing_is_expected() -> None:
    """A new group starts anywhere."""
    bench = Resets()
    bench.low = 50
    bench.check(70)

    assert bench.reported == []


def test_a_partition_that_comes_back_is_compared_with_its_committed_offset() -> None:
    """Another member had it meanwhile, and has read on; what this one expected is out of date."""
    bench = Resets()
    bench.check(5)
    bench.low = 100
    bench.resets.forget([A])
    bench.check(500, committed=500)

    assert bench.reported == []
