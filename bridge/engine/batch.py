"""A batch: records that share one request, or one verdict that needs no request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.codec.request import FRAME_BYTES
from bridge.engine.offsets import Lane, LaneState
from bridge.model import Record, Refusal, TopicPartition


class Key(NamedTuple):
    """What the records of a batch have in common."""

    inlet: str
    dataset: str | None
    lane: Lane | None = None
    """Where order is kept within partitions: a batch then holds records of one lane only."""
    route: str = ""
    """For records that were refused before sending: the route that refused them."""


@dataclass(slots=True, eq=False)
class Batch:
    """Records on their way together. Only its own methods change it.

    With `refusals`, one for each record, nothing is sent: the records go to their dead-letter topics.
    """

    id: str
    key: Key
    opened_at: float
    refusals: list[Refusal] | None = None
    records: list[Record] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    """The message of each record, as it goes into the request body."""
    lanes: dict[Lane, int] = field(default_factory=dict)
    """Each lane with the number of its records."""
    size: int = FRAME_BYTES - 1
    """Bytes of the request body."""
    weight: float = 0.0
    """Bytes of memory that are held until the batch is settled."""
    settled: set[int] = field(default_factory=set)
    """Records (by index) that are settled, where only some are."""
    skips: dict[int, Refusal] = field(default_factory=dict)
    """Records (by index) that an operator ordered to the dead-letter topic, until the delivery takes the
    orders."""
    ordered: set[int] = field(default_factory=set)
    """Records (by index) that were ever ordered there."""

    # -- while it is open -------------------------------------------------------------

    def append(
        self, lane: Lane, records: Sequence[Record], pieces: Sequence[bytes], overhead: float
    ) -> float:
        """Add records of one lane; return the bytes of memory that they hold.

        `overhead` is the memory that each record holds beside its piece, in bytes.
        """
        size, count = sum(map(len, pieces)), len(pieces)
        self.records += records
        self.pieces += pieces
        self.size += size + count  # a comma, or the last bracket, for each
        weight = size + count * overhead
        self._hold(lane, count, weight)
        return weight

    def append_refused(self, lane: Lane, record: Record, refusal: Refusal, weight: float) -> None:
        """Add a record whose verdict is known already. It holds `weight` bytes of memory."""
        assert self.refusals is not None
        self.records.append(record)
        self.refusals.append(refusal)
        self._hold(lane, 1, weight)

    def remove(self, lanes: Collection[Lane]) -> float:
        """Drop the records of these lanes, of which nothing was sent yet; return the bytes of memory given
        back.
        """
        sources = {lane.source for lane in lanes}
        keep = [
            at
            for at, record in enumerate(self.records)
            if TopicPartition(record.topic(), record.partition()) not in sources
        ]
        freed = self.weight * (len(self.records) - len(keep)) / len(self.records)
        self.weight -= freed
        self.records = [self.records[at] for at in keep]
        if self.refusals is None:
            self.pieces = [self.pieces[at] for at in keep]
            self.size = FRAME_BYTES - 1 + sum(map(len, self.pieces)) + len(self.pieces)
        else:
            self.refusals = [self.refusals[at] for at in keep]
        for lane in lanes:
            self.lanes.pop(lane, None)
        return freed

    def _hold(self, lane: Lane, count: int, weight: float) -> None:
        self.weight += weight
        self.lanes[lane] = self.lanes.get(lane, 0) + count

    # -- while it is delivered ----------------------------------------------------------

    def settle(self, indexes: Iterable[int]) -> None:
        """Note that these records are settled, while others of the batch are not."""
        self.settled.update(indexes)

    def order_skip(self, index: int, refusal: Refusal) -> None:
        """Note an operator's order to move this record to its dead-letter topic."""
        self.ordered.add(index)
        self.skips[index] = refusal

    def take_skips(self) -> dict[int, Refusal]:
        """Return the orders that were not carried out yet; they are the caller's now."""
        skips, self.skips = self.skips, {}
        return skips

    def release(self) -> None:
        """Let go of the records: a timer that was overtaken keeps the batch until it is due."""
        self.records, self.pieces = [], []

    @property
    def is_partly_settled(self) -> bool:
        """Whether some records of it are settled whose lane has not ended.

        A revoke waits for the rest of such a batch: the next owner would send the settled part again.
        """
        return any(self.lane_of(index).state is not LaneState.DEAD for index in self.settled)

    def lane_of(self, index: int) -> Lane:
        """Return the lane of one record."""
        if len(self.lanes) == 1:
            return next(iter(self.lanes))
        record = self.records[index]
        source = TopicPartition(record.topic(), record.partition())
        return next(lane for lane in self.lanes if lane.source == source)
