"""Records to batches of one inlet and dataset, limited by bytes, count and age. It asks before it adds; a first record always fits. `now` is an argument."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import accumulate, count
from typing import NamedTuple

from bridge.codec.request import FRAME_BYTES
from bridge.engine.offsets import Lane, State
from bridge.model import Record, Refusal, TopicPartition


class Key(NamedTuple):
    """What the records of a batch have in common."""

    inlet: str
    dataset: str | None
    lane: Lane | None = None
    """Where order is kept in each partition: a batch holds one lane only."""
    route: str = ""
    """For records that were refused before sending: the route that refused them."""


@dataclass(slots=True, eq=False)
class Batch:
    """Records that share one request, or one verdict: with `refusals`, one for each record, nothing is sent."""

    id: str
    key: Key
    opened_at: float
    records: list[Record]
    pieces: list[bytes]
    lanes: dict[Lane, int]
    """Each lane with the number of its records."""
    size: int = FRAME_BYTES - 1
    """Bytes of the request body."""
    weight: float = 0.0
    """Bytes of memory held until the batch is settled."""
    refusals: list[Refusal] | None = None
    settled: set[int] = field(default_factory=set)
    """Records (by index) that are settled, where only some are."""
    skips: dict[int, Refusal] | None = None
    """Records (by index) that an operator ordered to the dead-letter topic."""
    ordered: frozenset[int] = frozenset()
    """Those that were ordered there ever."""

    @property
    def begun(self) -> bool:
        """Whether some of it is settled, of a lane that is not over: a revoke waits for the rest, or the next owner sends that part again."""
        return any(self.lane_of(index).state is not State.DEAD for index in self.settled)

    def lane_of(self, index: int) -> Lane:
        """The lane of one record."""
        if len(self.lanes) == 1:
            return next(iter(self.lanes))
        record = self.records[index]
        source = TopicPartition(record.topic(), record.partition())
        return next(lane for lane in self.lanes if lane.source == source)


class Batcher:
    """The open batches. `max_bytes` and `max_messages` tell an inlet's limits for a request, which may sink while the process lives."""

    def __init__(
        self,
        *,
        max_bytes: Callable[[str], int],
        max_messages: Callable[[str], int],
        linger_s: float,
        name: str = "b",
    ) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._linger_s = linger_s
        self._open: dict[Key, Batch] = {}
        self._ordered: dict[Lane, Key] = {}
        self._ids = (f"{name}-{number}" for number in count(1))

    def add(
        self,
        key: Key,
        lane: Lane,
        records: Sequence[Record],
        pieces: Sequence[bytes],
        overhead: float,
        now: float,
    ) -> Iterator[tuple[Batch, int, bool, float]]:
        """Adds records of one lane; yields `(batch, index of the first of them that it took, whether it is full, weight added)` for each that took some.

        `overhead` is the memory that each record holds beside its piece. A full batch is the caller's to dispatch.
        """
        if (
            key.lane is not None
            and (before := self._ordered.get(lane, key)) != key
            and (earlier := self._open.pop(before, None)) is not None
        ):
            yield earlier, -1, True, 0.0
        ends = list(accumulate(map(len, pieces)))
        total, start, max_bytes, max_messages = (
            len(pieces),
            0,
            self._max_bytes(key.inlet),
            self._max_messages(key.inlet),
        )
        while start < total:
            batch = self._open.get(key)
            if batch is None:
                batch = self._open[key] = Batch(next(self._ids), key, now, [], [], {})
                if key.lane is not None:
                    self._ordered[lane] = key
            base = ends[start - 1] if start else 0
            room = max_bytes - batch.size
            most = max(0, min(total - start, max_messages - len(batch.pieces)))
            fits = min(most, bisect_right(ends, base + room, start) - start)
            while fits and ends[start + fits - 1] - base + fits > room:  # with a comma for each
                fits -= 1
            if fits == 0 and not batch.pieces:
                fits = 1
            weight = 0.0
            if fits:
                stop = start + fits
                batch.records += records[start:stop]
                batch.pieces += pieces[start:stop]
                size = ends[stop - 1] - base
                batch.size += size + fits
                batch.weight += (weight := size + fits * overhead)
                batch.lanes[lane] = batch.lanes.get(lane, 0) + fits
                start, first = stop, start
            else:
                first = -1
            full = start < total or len(batch.pieces) >= max_messages
            if full:
                del self._open[key]
            yield batch, first, full, weight

    def refuse(
        self, key: Key, lane: Lane, record: Record, refusal: Refusal, weight: float, now: float
    ) -> tuple[Batch, bool]:
        """Adds a record whose verdict is known already; returns its batch, and whether that is full."""
        batch = self._open.get(key)
        if batch is None:
            batch = self._open[key] = Batch(next(self._ids), key, now, [], [], {}, size=0, refusals=[])
        assert batch.refusals is not None
        batch.records.append(record)
        batch.refusals.append(refusal)
        batch.weight += weight
        batch.lanes[lane] = batch.lanes.get(lane, 0) + 1
        full = len(batch.records) >= self._max_messages(key.inlet) or batch.weight >= 1_000_000
        if full:
            del self._open[key]
        return batch, full

    def due(self, now: float, busy: AbstractSet[str] = frozenset()) -> list[Batch]:
        """Takes out the batches that have waited long enough, but for those of `busy` inlets."""
        ripe = [
            key
            for key, batch in self._open.items()
            if now - batch.opened_at >= self._linger_s
            and (key.inlet not in busy or batch.refusals is not None)
        ]
        return [self._open.pop(key) for key in ripe]

    def take(self, batch: Batch) -> bool:
        """Takes out one open batch; False where it is not open any more."""
        if self._open.get(batch.key) is not batch:
            return False
        del self._open[batch.key]
        return True

    def next_due(self) -> float:
        """When the first open batch will have waited long enough. They stand in the order in which they were opened."""
        for batch in self._open.values():
            return batch.opened_at + self._linger_s
        return float("inf")

    def drop(self, lanes: Iterable[Lane]) -> Mapping[str, float]:
        """Forgets the unsent records of these lanes, which their next owner will read; returns the memory given back, by inlet."""
        gone = set(lanes)
        freed: dict[str, float] = {}
        for key, batch in list(self._open.items()):
            if gone.isdisjoint(batch.lanes):
                continue
            sources = {lane.source for lane in gone}
            keep = [
                at
                for at, record in enumerate(batch.records)
                if TopicPartition(record.topic(), record.partition()) not in sources
            ]
            share = (len(batch.records) - len(keep)) / len(batch.records)
            freed[key.inlet] = freed.get(key.inlet, 0.0) + batch.weight * share
            batch.weight *= 1 - share
            batch.records = [batch.records[at] for at in keep]
            if batch.refusals is None:
                batch.pieces = [batch.pieces[at] for at in keep]
                batch.size = FRAME_BYTES - 1 + sum(map(len, batch.pieces)) + len(batch.pieces)
            else:
                batch.refusals = [batch.refusals[at] for at in keep]
            for lane in gone & batch.lanes.keys():
                del batch.lanes[lane]
            if not batch.records:
                del self._open[key]
        for lane in gone:
            self._ordered.pop(lane, None)
        return freed

    def open_batches(self) -> Iterable[Batch]:
        """Those that still wait for records."""
        return self._open.values()
