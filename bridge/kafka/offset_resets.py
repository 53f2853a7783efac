"""Notice where the client went on reading at another offset than the one that was expected.

The client resets an offset that the broker does not have (`auto.offset.reset`), and only logs it. There are
two causes. Records were deleted by retention before they were read: then they are lost to the bridge. Or
the log ends below the committed offset: then the topic was truncated or created anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from bridge.model import Record, Slice, TopicPartition


class OffsetResets:
    """Compares the offsets of the slices that are read with the expected ones. One thread uses it.

    `low_watermark` returns the first offset that a partition still has, as the client knows it from its
    fetches. `report` gets a partition, the offset that is gone and the offset at which reading went on.
    """

    def __init__(
        self,
        low_watermark: Callable[[TopicPartition], int],
        report: Callable[[TopicPartition, int, int], None],
    ) -> None:
        self._low_watermark, self._report = low_watermark, report
        self._expected: dict[TopicPartition, int] = {}
        """The next offset of each partition of which something was read in its present assignment."""

    def check(self, part: Slice, committed: int | None) -> None:
        """Report an offset reset before or within a slice. `committed` is the partition's committed offset.

        Call this for every slice, in the order of reading.

        A gap alone is no reset: compaction and transactions leave gaps. It is one if the low watermark has
        passed the offset that was expected. Offsets that go backwards are reported only for the first slice
        of an assignment; after that, the slices themselves show it.
        """
        partition = part.partition
        is_first = partition not in self._expected
        expected = committed if is_first else self._expected[partition]
        self._expected[partition] = part.next_offset
        first = part.records[0].offset() if part.records else part.next_offset
        if expected is not None and first != expected:
            is_reset = is_first if first < expected else self._low_watermark(partition) > expected
            if is_reset:
                self._report(partition, expected, first)
        if part.records and part.records[-1].offset() - first >= len(part.records):
            self._check_gaps(partition, part.records)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that are no longer assigned: others may read on before they come back."""
        for partition in partitions:
            self._expected.pop(partition, None)

    def _check_gaps(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        """Report the widest gap within a slice that lies below the low watermark.

        Records that were fetched before the reset come in one slice with those that follow it.
        """
        low = self._low_watermark(partition)
        if low <= records[0].offset():
            return
        gaps = [
            (before + 1, after)
            for before, after in pairwise([record.offset() for record in records])
            if before + 1 < min(after, low)
        ]
        if gaps:
            self._report(partition, *max(gaps, key=lambda gap: gap[1] - gap[0]))
