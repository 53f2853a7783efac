"""Which offset of each partition is safe to commit: the watermark.

A lane is one assignment of one partition, or the part of it since its offsets went backwards. It keeps
`next`, the offset after the last record that was read, and `open`: for each batch that still holds records
of the lane, the first offset that the batch took. Batches first touch a lane in offset order, so `open` is
sorted by itself, and

    watermark = the first value of `open`, or `next` where `open` is empty

This costs nothing for a record, and gaps in the offsets need no care. A lane that has ended accepts nothing
any more, so that an outcome that comes late moves no offset.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from enum import Enum

from bridge.model import TopicPartition


class LaneState(Enum):
    """What may still be done for a lane's records."""

    LIVE = "live"
    CLOSING = "closing"
    """It is being revoked: requests that are open may still settle records, and nothing new is sent."""
    REPLACED = "replaced"
    """The partition's offsets went backwards, and another lane has taken its place. Its records can't be
    read again, so they are still delivered; no offset of it is stored any more."""
    DEAD = "dead"
    """It has ended: its next owner reads what was not settled."""


SENDABLE = frozenset({LaneState.LIVE, LaneState.REPLACED})
"""States in which records of a lane may be sent."""


class Lane:
    """One assignment of one partition. Compared by identity: the same partition assigned again is another
    lane.

    Only `Offsets` changes it.
    """

    __slots__ = ("moved_at", "next", "open", "source", "state", "stored")

    def __init__(self, source: TopicPartition, now: float, committed: int | None = None) -> None:
        self.source = source
        self.state = LaneState.LIVE
        self.next: int | None = None
        """The offset after the last record that was read."""
        self.open: dict[Hashable, tuple[int, float]] = {}
        """Batch → (the first offset that it took from this lane, when)."""
        self.stored = committed
        """The last watermark that was handed to the client. At first what is committed already: to store
        that again would wait for a commit that never comes."""
        self.moved_at = now
        """When the watermark last moved."""

    @property
    def watermark(self) -> int | None:
        """The highest offset that is safe to commit; None where nothing was read."""
        for first, _ in self.open.values():
            return first
        return self.next

    @property
    def uncommitted(self) -> int:
        """Offsets between the watermark and the last record that was read."""
        mark = self.watermark
        return 0 if mark is None or self.next is None else self.next - mark

    @property
    def is_sendable(self) -> bool:
        """Whether its records may be sent."""
        return self.state in SENDABLE

    def oldest(self, now: float) -> float:
        """Return the age of the oldest unsettled record in seconds; 0 where all are settled."""
        for _, since in self.open.values():
            return now - since
        return 0.0

    def __repr__(self) -> str:
        mark, count = self.watermark, len(self.open)
        return f"Lane({self.source}, {self.state.value}, watermark={mark}, next={self.next}, open={count})"


class Offsets:
    """The lanes of this process, by partition."""

    __slots__ = ("_changed", "lanes")

    def __init__(self) -> None:
        self.lanes: dict[TopicPartition, Lane] = {}
        self._changed: set[Lane] = set()

    def begin(self, source: TopicPartition, now: float, committed: int | None = None) -> Lane:
        """Start a lane for a partition that was assigned. A lane that it still has is dead from now on."""
        self.end([source])
        lane = self.lanes[source] = Lane(source, now, committed)
        return lane

    def replace(self, lane: Lane, now: float) -> Lane:
        """Start another lane in the place of this one, whose offsets went backwards."""
        self._changed.discard(lane)
        lane.state = LaneState.REPLACED
        replacement = self.lanes[lane.source] = Lane(lane.source, now)
        return replacement

    def took(self, lane: Lane, batch: Hashable, offset: int, now: float) -> None:
        """Enter that a batch took the record at `offset`.

        Only a batch's first offset of a lane counts, so one call for each batch and lane is enough.
        """
        lane.open.setdefault(batch, (offset, now))

    def advance(self, lane: Lane, next_offset: int) -> None:
        """Enter that everything below `next_offset` was read. What no batch took needs no settling.

        An end of partition below what was read says nothing here: the records that follow show a truncation.
        """
        if lane.next is None or next_offset > lane.next:
            lane.next = next_offset
            self._changed.add(lane)

    def resolve(self, lane: Lane, batch: Hashable) -> None:
        """Enter that all that the batch took from this lane is settled. A dead lane is left as it is."""
        if lane.state is LaneState.DEAD or lane.open.pop(batch, None) is None:
            return
        if lane.state is not LaneState.REPLACED:
            self._changed.add(lane)

    def close(self, sources: Iterable[TopicPartition]) -> set[Lane]:
        """Begin the end of the lanes of these partitions, which are being revoked, and return them."""
        lanes = {lane for source in sources if (lane := self.lanes.get(source)) is not None}
        for lane in lanes:
            lane.state = LaneState.CLOSING
        return lanes

    def end(self, sources: Iterable[TopicPartition]) -> list[Lane]:
        """End the lanes of these partitions, so that nothing moves them any more, and return them."""
        ended = [lane for source in sources if (lane := self.lanes.pop(source, None)) is not None]
        for lane in ended:
            lane.state = LaneState.DEAD
            self._changed.discard(lane)
        return ended

    def moved(self, now: float = 0.0) -> Mapping[TopicPartition, int]:
        """Return the watermarks that moved since the last call. They are to be stored."""
        moved = {}
        for lane in self._changed:
            mark = lane.watermark
            if mark is not None and mark != lane.stored:
                moved[lane.source] = lane.stored = mark
                lane.moved_at = now
        self._changed.clear()
        return moved
