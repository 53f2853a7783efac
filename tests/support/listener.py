"""A listener and completions that only remember, for tests of sources and dead letters."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from bridge.model import Slice, TopicPartition
from bridge.ports import Source
from tests.support.clients import until


class RecordingListener:
    """A listener: remembers what it heard; `paused` is what starts paused, `at_revoke` runs inside `revoked`, `at_lost` inside `lost`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, frozenset[TopicPartition]]] = []
        self.held: set[TopicPartition] = set()
        self.paused: set[TopicPartition] = set()
        self.at_revoke: Callable[[], None] = lambda: None
        self.at_lost: Callable[[], None] = lambda: None

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        self.calls.append(("assigned", frozenset(offsets)))
        self.held |= set(offsets)
        return self.paused & set(offsets)

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        self.calls.append(("revoked", frozenset(partitions)))
        self.at_revoke()
        self.held -= self.calls[-1][1]

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        self.calls.append(("lost", frozenset(partitions)))
        self.at_lost()
        self.held -= self.calls[-1][1]


class QueuedCompletions:
    """`ports.Completions` over a queue."""

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
    """What a source delivered: values and next offset by partition, and every slice."""

    def __init__(self) -> None:
        self.values: dict[TopicPartition, list[bytes | None]] = {}
        self.offsets: dict[TopicPartition, list[int]] = {}
        self.next: dict[TopicPartition, int] = {}
        self.slices: list[Slice] = []

    def add(self, slices: Sequence[Slice]) -> None:
        self.slices.extend(slices)
        for part in slices:
            self.values.setdefault(part.partition, []).extend(part.values)
            self.offsets.setdefault(part.partition, []).extend(record.offset() for record in part.records)
            self.next[part.partition] = part.next_offset

    def count(self) -> int:
        return sum(map(len, self.values.values()))


def collect(
    source: Source,
    done: Callable[[CollectedRecords], bool],
    timeout_s: float = 30,
    into: CollectedRecords | None = None,
    limit: int = 500,
) -> CollectedRecords:
    """Reads until `done` holds; raises `AssertionError` at the deadline."""
    found = into or CollectedRecords()

    def step() -> bool:
        found.add(source.read(limit, 0.05))
        return done(found)

    until(step, timeout_s, what=f"records, got {found.count()}")
    return found


def collect_for(source: Source, seconds: float) -> CollectedRecords:
    """What a source delivers within a time."""
    found = CollectedRecords()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found.add(source.read(500, 0.02))
    return found
