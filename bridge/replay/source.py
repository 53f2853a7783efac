"""Dead letters as a source of the engine: each shows up under its record's first topic, so that the engine's own routes apply to it.

A partition of a dead-letter topic is one lane for each source topic whose letters are chosen in it; up to where all of them are settled, its offset is
stored and its letters are told of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.model import Headers, Record, Slice, TopicPartition
from bridge.ports import Fatal, RebalanceListener
from bridge.replay.patch import Patch
from bridge.replay.plan import Does, Plan

_SPREAD = 100_000
"""More partitions than a topic has: keeps two dead-letter topics of one source topic apart."""


class Replayed:
    """A dead letter's record under its first topic, perhaps with a mended value. Key and headers are as they are."""

    __slots__ = ("_record", "_value", "_where")

    def __init__(self, record: Record, where: TopicPartition, value: bytes | None) -> None:
        self._record, self._where, self._value = record, where, value

    def topic(self) -> str:
        return self._where.topic

    def partition(self) -> int:
        return self._where.partition

    def offset(self) -> int:
        return self._record.offset()

    def key(self) -> bytes | None:
        return self._record.key()

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Headers | None:
        return self._record.headers()

    def timestamp(self) -> tuple[int, int]:
        return self._record.timestamp()


class ReplaySource:
    """`ports.Source` over dead-letter topics, bounded by the plan. `park` must not return before the broker has acknowledged what it is given."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        plan: Plan,
        listener: RebalanceListener,
        *,
        default_topic: str,
        patch: Patch | None = None,
        rate: float = 0,
        park: Callable[[Sequence[Record]], None],
        settled: Callable[[Sequence[tuple[str, int]]], None],
        events: ConsumerCallbacks | None = None,
    ) -> None:
        """`rate`: records a second, 0 for no limit. `settled` hears the identity and the count of each letter that is done with."""
        self._plan, self._listener, self._patch, self._rate, self._park, self._settled = (
            plan,
            listener,
            patch,
            rate,
            park,
            settled,
        )
        topics = sorted({where.topic for where in plan.bounds.end})
        self._starts = plan.starts()
        self._elsewhere = ""
        self._lanes: dict[TopicPartition, dict[str, TopicPartition]] = {}
        for where in plan.bounds.end:
            number = topics.index(where.topic) * _SPREAD + where.partition
            self._lanes[where] = {
                origin: TopicPartition(origin, number) for origin in plan.origins(where) or [default_topic]
            }
        self._real = {lane: where for where, lanes in self._lanes.items() for lane in lanes.values()}
        self._marks: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._open = {where for where, start in self._starts.items() if start < plan.bounds.end[where]}
        self._budget, self._at = 1.0, time.monotonic()
        self.parked = 0
        self._inner = KafkaConsumer(properties, topics, lambda _: False, self, events)

    @property
    def finished(self) -> bool:
        """Everything is settled and stored, up to the ends."""
        return not self._open

    def position(self) -> dict[TopicPartition, int]:
        """Where this run stands in each of its partitions."""
        return self._starts | self._told

    # -- ports.Source -----------------------------------------------------------------

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
        if self._rate:
            now = time.monotonic()
            self._budget = min(max(1.0, self._rate / 4), self._budget + (now - self._at) * self._rate)
            self._at = now
            if self._budget < 1:
                time.sleep(min(timeout_s, 0.05))
                return ()
            limit = min(limit, int(self._budget))
        slices: list[Slice] = []
        for part in self._inner.read(limit, timeout_s):
            slices += self._turned(part)
        if self._elsewhere:
            raise Fatal(
                f"another replay began at the same moment and has moved {self._elsewhere}; wait until it has ended, and give the same command again"
            )
        return slices

    def _turned(self, part: Slice) -> list[Slice]:
        end = self._plan.bounds.end[part.partition]
        next_offset = min(part.next_offset, end)
        chosen: dict[int, tuple[str, Does]] = {}
        if part.records:  # what was settled before a partition was lost and came back is not sent again
            chosen = self._plan.chosen(
                part.partition, max(part.records[0].offset(), self._told.get(part.partition, 0)), next_offset
            )
        parked = [
            record
            for record in part.records
            if record.offset() in chosen and chosen[record.offset()][1] is Does.PARK
        ]
        if parked:
            self._park(parked)
            self.parked += len(parked)
        turned = []
        for origin, lane in self._lanes[part.partition].items():
            records = [
                self._replayed(record, lane)
                for record in part.records
                if chosen.get(record.offset()) == (origin, Does.SEND)
            ]
            self._budget -= len(records) if self._rate else 0
            overhead = part.overhead * len(records) // max(1, len(part.records))
            turned.append(Slice(lane, records, [record.value() for record in records], next_offset, overhead))
        return turned

    def _replayed(self, record: Record, lane: TopicPartition) -> Replayed:
        return Replayed(
            record, lane, record.value() if self._patch is None else self._patch.apply(record.value())
        )

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._marks.update(offsets)
        moved = {}
        for where in {self._real[lane] for lane in offsets}:
            marks = [self._marks.get(lane) for lane in self._lanes[where].values()]
            known = [mark for mark in marks if mark is not None]
            before = self._told.get(where, self._starts[where])
            if len(known) == len(marks) and min(known) > before:
                moved[where] = min(known)
                self._told[where] = moved[where]
                self._settled(self._plan.identities(where, before, moved[where]))
                if moved[where] >= self._plan.bounds.end[where]:
                    self._open.discard(where)
        if moved:
            self._inner.store(moved)

    def uncommitted(self) -> int:
        return self._inner.uncommitted()

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(partitions)
        self._inner.pause({self._real[lane] for lane in self._paused})

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        going = set(partitions)
        self._paused -= going
        self._inner.resume({self._real[lane] for lane in going} - {self._real[lane] for lane in self._paused})

    def close(self) -> None:
        self._inner.close()

    # -- ports.Listener: what the real source tells ------------------------------------------

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        lanes: dict[TopicPartition, int | None] = {}
        for where, offset in offsets.items():
            if where not in self._lanes:  # a partition that was added since the plan was made
                continue
            if where not in self._told and offset is not None and offset != self._starts[where]:
                self._elsewhere = str(where)
            self._told[where] = max(self._told.get(where, 0), self._starts[where], offset or 0)
            for lane in self._lanes[where].values():
                lanes[lane] = offset
                self._marks[lane] = self._told[where]
        paused = set(self._listener.assigned(lanes)) if lanes else set()
        self._paused |= paused
        return {self._real[lane] for lane in paused} | {
            where for where in offsets if where not in self._lanes
        }

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        gone = [where for where in partitions if where in self._lanes]
        self._listener.revoked([lane for where in gone for lane in self._lanes[where].values()])
        for where in gone:
            self._paused.difference_update(self._lanes[where].values())

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        gone = [where for where in partitions if where in self._lanes]
        self._listener.lost([lane for where in gone for lane in self._lanes[where].values()])
        for where in gone:
            self._paused.difference_update(self._lanes[where].values())
