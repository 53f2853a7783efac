"""The open batches: records grouped by inlet and dataset, limited by bytes, count and age.

The batcher asks before it adds: a record that does not fit closes the batch and opens the next one. The
first record of a batch always fits. Time is an argument, in seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import accumulate, count
from typing import NamedTuple

from bridge.engine.batch import Batch, Key
from bridge.engine.offsets import Lane
from bridge.model import Record, Refusal

MAX_REFUSED_BYTES = 1_000_000
"""Memory of a batch of refused records, at which it is full."""


class Addition(NamedTuple):
    """What a batch took of the records that were added."""

    batch: Batch
    first: int
    """The index of the first record that it took; -1 where it took none, because it was full already."""
    is_full: bool
    """A full batch is not open any more: the caller dispatches it."""
    weight: float
    """Bytes of memory that these records hold."""


class Batcher:
    """The open batches, in the order in which they were opened."""

    def __init__(
        self,
        *,
        max_bytes: Callable[[str], int],
        max_messages: Callable[[str], int],
        linger_s: float,
        name: str = "b",
    ) -> None:
        """`max_bytes` and `max_messages` return an inlet's limits for one request, which change while we
        run.
        """
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._linger_s = linger_s
        self._open: dict[Key, Batch] = {}
        self._ordered: dict[Lane, Key] = {}
        """Where order is kept: the key of the last batch of each lane."""
        self._ids = (f"{name}-{number}" for number in count(1))

    def add(
        self,
        key: Key,
        lane: Lane,
        records: Sequence[Record],
        pieces: Sequence[bytes],
        overhead: float,
        now: float,
    ) -> Iterator[Addition]:
        """Add records of one lane, and yield what each batch took. Nothing is added unless the caller
        iterates.

        `overhead` is the memory that each record holds beside its piece, in bytes.
        """
        if key.lane is not None:
            before = self._ordered.get(lane, key)
            if before != key and (earlier := self._open.pop(before, None)) is not None:
                yield Addition(earlier, -1, is_full=True, weight=0.0)
        ends = list(accumulate(map(len, pieces)))
        total, start = len(pieces), 0
        max_bytes, max_messages = self._max_bytes(key.inlet), self._max_messages(key.inlet)
        while start < total:
            batch = self._open.get(key)
            if batch is None:
                batch = self._open[key] = Batch(next(self._ids), key, now)
                if key.lane is not None:
                    self._ordered[lane] = key
            room = max_messages - len(batch.pieces)
            fits = _how_many_fit(ends, start, min(total - start, room), max_bytes - batch.size)
            if fits == 0 and not batch.pieces:
                fits = 1
            first, weight = -1, 0.0
            if fits:
                stop = start + fits
                weight = batch.append(lane, records[start:stop], pieces[start:stop], overhead)
                first, start = start, stop
            is_full = start < total or len(batch.pieces) >= max_messages
            if is_full:
                del self._open[key]
            yield Addition(batch, first, is_full, weight)

    def refuse(
        self, key: Key, lane: Lane, record: Record, refusal: Refusal, weight: float, now: float
    ) -> tuple[Batch, bool]:
        """Add a record whose verdict is known already; return its batch, and whether that is full."""
        batch = self._open.get(key)
        if batch is None:
            batch = self._open[key] = Batch(next(self._ids), key, now, refusals=[], size=0)
        batch.append_refused(lane, record, refusal, weight)
        full = len(batch.records) >= self._max_messages(key.inlet) or batch.weight >= MAX_REFUSED_BYTES
        if full:
            del self._open[key]
        return batch, full

    def due(self, now: float, busy: AbstractSet[str] = frozenset()) -> list[Batch]:
        """Take out the batches that have waited for `linger_s`, but for requests to `busy` inlets."""
        ripe = [
            key
            for key, batch in self._open.items()
            if now - batch.opened_at >= self._linger_s
            and (key.inlet not in busy or batch.refusals is not None)
        ]
        return [self._open.pop(key) for key in ripe]

    def take(self, batch: Batch) -> bool:
        """Take out one open batch; return False where it is not open any more."""
        if self._open.get(batch.key) is not batch:
            return False
        del self._open[batch.key]
        return True

    def next_due(self) -> float:
        """Return when the first open batch will have waited for `linger_s`; infinity without one."""
        for batch in self._open.values():
            return batch.opened_at + self._linger_s
        return float("inf")

    def drop(self, lanes: Iterable[Lane]) -> Mapping[str, float]:
        """Forget the unsent records of these lanes, which their next owner reads; return the memory given
        back, by inlet.
        """
        gone = set(lanes)
        freed: dict[str, float] = {}
        for key, batch in list(self._open.items()):
            if gone.isdisjoint(batch.lanes):
                continue
            freed[key.inlet] = freed.get(key.inlet, 0.0) + batch.remove(gone)
            if not batch.records:
                del self._open[key]
        for lane in gone:
            self._ordered.pop(lane, None)
        return freed

    def open_batches(self) -> Iterable[Batch]:
        """Return the batches that still wait for records."""
        return self._open.values()


def _how_many_fit(ends: Sequence[int], start: int, most: int, room: int) -> int:
    """Return how many pieces from `start` fit into `room` bytes, at most `most`. `ends` are running sums of
    sizes.
    """
    if most <= 0:
        return 0
    base = ends[start - 1] if start else 0
    fits = min(most, bisect_right(ends, base + room, start) - start)
    while fits and ends[start + fits - 1] - base + fits > room:  # with a comma for each
        fits -= 1
    return fits
