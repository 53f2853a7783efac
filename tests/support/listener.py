"""A rebalance listener, completions and records that are only kept, for tests of sources and dead letters."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from bridge.model import Slice, TopicPartition
from bridge.ports import Source
from tests.support.clients import until


class RecordingListener:
    """Keeps every call that it gets. Partitions in `paused` start paused; the `on_…` run inside the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, frozenset[TopicPartition]]] = []
        self.partitions: set[TopicPartition] = set()
        """Assigned, and neither revoked nor lost since."""
        self.paused: set[TopicPartition] = set()
        self.on_revoked: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        self.calls.append(("assigned", frozenset(offsets)))
        self.partitions |= set(offsets)
        return self.paused & set(offsets)

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        self.calls.append(("revoked", frozenset(partitions)))
        self.on_revoked()
        self.partitions -= self.calls[-1][1]

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        self.calls.append(("lost", frozenset(partitions)))
        self.on_lost()
        self.partitions -= self.calls[-1][1]


class QueuedCompletions:
    """`ports.Completions` as a plain queue: one reply for each `take`."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[object, object]] = queue.SimpleQueue()

    def put(self, ticket: object, reply: object) -> None:
        self._queue.put((ticket, reply))

    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        try:
            return [self._queue.get(timeout=timeout_s)]
        except queue.Empty:
            return []


class CollectedRecords:
    """What a source delivered: values, offsets and the next offset of each partition, and every slice."""

    def __init__(self) -> None:
        self.values: dict[TopicPartition, list[bytes | None]] = {}
        self.offsets: dict[TopicPartition, list[int]] = {}
        self.next_offsets: dict[TopicPartition, int] = {}
        self.slices: list[Slice] = []

    def add(self, slices: Sequence[Slice]) -> None:
        self.slices.extend(slices)
        for part in slices:
            self.values.setdefault(part.partition, []).extend(part.values)
            self.offsets.setdefault(part.partition, []).extend(record.offset() for record in part.records)
            self.next_offsets[part.partition] = part.next_offset

    def count(self) -> int:
        return sum(map(len, self.values.values()))


def collect(
    source: Source,
    done: Callable[[CollectedRecords], bool],
    timeout_s: float = 30,
    into: CollectedRecords | None = None,
    limit: int = 500,
) -> CollectedRecords:
    """Read until `done` returns True; raise `AssertionError` when the time is up."""
    collected = into or CollectedRecords()

    def step() -> bool:
        collected.add(source.read(limit, 0.05))
        return done(collected)

    until(step, timeout_s, what=f"records, got {collected.count()}")
    return collected


def collect_for(source: Source, seconds: float) -> CollectedRecords:
    """Return what a source delivers within this time."""
    collected = CollectedRecords()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        collected.add(source.read(500, 0.02))
    return collected
