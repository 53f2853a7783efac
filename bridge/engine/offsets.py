"""Which offset of each lane is safe to commit.

A lane is one assignment of one partition. It keeps `next`, the offset after the last record read, and `open`: for each batch that still holds records
of the lane, the first offset that it took. Batches first touch a lane in offset order, so `open` is sorted by itself, and

    watermark = the first value of `open`, or `next` where `open` is empty

which costs nothing for a record, and needs no care for gaps in the offsets. A lane that ended accepts nothing any more: that is the fence against
outcomes that come late.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from enum import Enum

from bridge.model import TopicPartition


class State(Enum):
    """What may still be done for a lane's records."""

    LIVE = "live"
    CLOSING = "closing"
    """Being revoked: what is in flight may still settle, nothing new is sent."""
    DEAD = "dead"


class Lane:
    """One assignment of one partition. Compared by identity: the same partition assigned again is another lane."""

    __slots__ = ("moved_at", "next", "open", "source", "state", "stored")

    def __init__(self, source: TopicPartition, now: float) -> None:
        self.source = source
        self.state = State.LIVE
        self.next: int | None = None
        self.open: dict[Hashable, tuple[int, float]] = {}
        """Batch → (the first offset it took from this lane, when)."""
        self.stored: int | None = None
        """The last watermark handed to the client."""
        self.moved_at = now
        """When the watermark last moved."""

    @property
    def watermark(self) -> int | None:
        """The highest offset that is safe to commit, or None where nothing was read."""
        for first, _ in self.open.values():
            return first
        return self.next

    @property
    def uncommitted(self) -> int:
        """Offsets between the watermark and the last record read."""
        mark = self.watermark
        return 0 if mark is None or self.next is None else self.next - mark

    def oldest(self, now: float) -> float:
        """Seconds that the oldest unsettled record has been here."""
        for _, since in self.open.values():
            return now - since
        return 0.0

    def __repr__(self) -> str:
        return f"Lane({self.source}, {self.state.value}, watermark={self.watermark}, next={self.next}, open={len(self.open)})"


class Offsets:
    """The lanes of this process, by partition."""

    __slots__ = ("_dirty", "lanes")

    def __init__(self) -> None:
        self.lanes: dict[TopicPartition, Lane] = {}
        self._dirty: set[Lane] = set()

    def open(self, source: TopicPartition, now: float) -> Lane:
        """Starts a lane for a partition; one that was there before is dead."""
        self.end([source])
        lane = self.lanes[source] = Lane(source, now)
        return lane

    def renew(self, lane: Lane, now: float) -> Lane:
        """Another lane in the place of this one. What was read of the old one may still be settled; nothing of it is stored any more."""
        self._dirty.discard(lane)
        renewed = self.lanes[lane.source] = Lane(lane.source, now)
        return renewed

    def took(self, lane: Lane, batch: Hashable, offset: int, now: float) -> None:
        """A batch took the record at `offset`. Only a batch's first offset of a lane counts, so once for each batch and lane is enough."""
        lane.open.setdefault(batch, (offset, now))

    def advance(self, lane: Lane, next_offset: int) -> None:
        """Everything below `next_offset` was read, and what no batch took needs no settling. An end of partition below what was read says nothing here:
        the records that follow tell of a truncation.
        """
        if lane.next is None or next_offset > lane.next:
            lane.next = next_offset
            self._dirty.add(lane)

    def resolve(self, lane: Lane, batch: Hashable) -> None:
        """All that the batch took from this lane is settled. A dead lane is left as it is."""
        if (
            lane.state is not State.DEAD
            and lane.open.pop(batch, None) is not None
            and self.lanes.get(lane.source) is lane
        ):
            self._dirty.add(lane)

    def end(self, sources: Iterable[TopicPartition]) -> list[Lane]:
        """The lanes of these partitions die; nothing moves them any more."""
        ended = [lane for source in sources if (lane := self.lanes.pop(source, None)) is not None]
        for lane in ended:
            lane.state = State.DEAD
            self._dirty.discard(lane)
        return ended

    def moved(self, now: float = 0.0) -> Mapping[TopicPartition, int]:
        """The watermarks that moved since the last call, to be stored."""
        moved = {}
        for lane in self._dirty:
            mark = lane.watermark
            if mark is not None and mark != lane.stored:
                moved[lane.source] = lane.stored = mark
                lane.moved_at = now
        self._dirty.clear()
        return moved
