"""Dead letters as a source of the engine: each record appears under its first topic, so that the engine's
routes fit.

A partition of a dead-letter topic holds records of one or more source topics. The engine sees it as one
partition for each of them; the names below say `dead-letter partition` and `engine partition`. The offset
of a dead-letter partition is stored, and its dead letters are marked, up to where all of its engine
partitions are settled.
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
from bridge.replay.plan import Action, Plan

_SPREAD = 100_000
"""More partitions than a topic has.

It keeps the engine partitions of two dead-letter topics of one source apart.
"""


class ReplayedRecord:
    """A dead letter's record under its first topic, perhaps with a patched value.

    Key and headers are as they are.
    """

    __slots__ = ("_partition", "_record", "_value")

    def __init__(self, record: Record, partition: TopicPartition, value: bytes | None) -> None:
        self._record, self._partition, self._value = record, partition, value

    def topic(self) -> str:
        return self._partition.topic

    def partition(self) -> int:
        return self._partition.partition

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


class _RateLimit:
    """A token bucket: at most `rate` records a second, and a quarter of a second's worth at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens, self._refilled_at = 1.0, time.monotonic()

    def available(self) -> int:
        """Return how many records may be read now."""
        now = time.monotonic()
        burst = max(1.0, self._rate / 4)
        self._tokens = min(burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
        return max(0, int(self._tokens))

    def spend(self, records: int) -> None:
        """Take the tokens of records that are sent."""
        self._tokens -= records


class ReplaySource:
    """`ports.Source` over dead-letter topics, within the bounds of a plan."""

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
        on_settled: Callable[[Sequence[tuple[str, int]]], None],
        events: ConsumerCallbacks | None = None,
    ) -> None:
        """`default_topic` names the engine partition of a dead-letter partition out of which nothing is
        sent.

        `rate` is in records a second, 0 for no limit. `park` returns once the brokers have acknowledged the
        records that it is given. `on_settled` gets identity and count of each dead letter that is done
        with.
        """
        self._plan, self._listener, self._patch = plan, listener, patch
        self._park, self._on_settled = park, on_settled
        self._rate_limit = _RateLimit(rate) if rate else None
        self._starts = plan.starts()
        self._moved_by_other_replay = ""
        topics = sorted({partition.topic for partition in plan.bounds.end})
        self._engine_partitions: dict[TopicPartition, dict[str, TopicPartition]] = {}
        self._dead_letter_partition: dict[TopicPartition, TopicPartition] = {}
        for partition in plan.bounds.end:
            number = topics.index(partition.topic) * _SPREAD + partition.partition
            source_topics = plan.source_topics(partition) or [default_topic]
            own = {source_topic: TopicPartition(source_topic, number) for source_topic in source_topics}
            self._engine_partitions[partition] = own
            self._dead_letter_partition |= dict.fromkeys(own.values(), partition)
        self._watermarks: dict[TopicPartition, int] = {}
        """Of engine partitions."""
        self._settled_to: dict[TopicPartition, int] = {}
        """Of dead-letter partitions: up to here all is settled and marked."""
        self._paused: set[TopicPartition] = set()
        """Engine partitions."""
        self._unfinished = {
            partition for partition, start in self._starts.items() if start < plan.bounds.end[partition]
        }
        self._kafka = KafkaConsumer(properties, topics, lambda _: False, self, events)

    @property
    def finished(self) -> bool:
        """Whether everything within the bounds is settled and stored."""
        return not self._unfinished

    def position(self) -> dict[TopicPartition, int]:
        """Return where this run stands in each dead-letter partition."""
        return self._starts | self._settled_to

    # -- ports.Source --------------------------------------------------------------------

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
        if self._rate_limit is not None:
            available = self._rate_limit.available()
            if not available:
                time.sleep(min(timeout_s, 0.05))
                return ()
            limit = min(limit, available)
        slices: list[Slice] = []
        for part in self._kafka.read(limit, timeout_s):
            slices += self._for_the_engine(part)
        if self._moved_by_other_replay:
            partition = self._moved_by_other_replay
            raise Fatal(
                f"another replay began at the same moment and has moved {partition}; "
                "wait until it has ended, and give the same command again"
            )
        return slices

    def _for_the_engine(self, part: Slice) -> list[Slice]:
        """Park what is to be parked of a slice; return what is to be sent, a slice
        for each engine partition.
        """
        partition = part.partition
        next_offset = min(part.next_offset, self._plan.bounds.end[partition])
        actions: dict[int, tuple[str, Action]] = {}
        if part.records:
            # What was settled before the partition was lost and came back is not sent again.
            first = max(part.records[0].offset(), self._settled_to.get(partition, 0))
            actions = self._plan.actions(partition, first, next_offset)
        self._park_some(part.records, actions)
        slices = []
        for source_topic, engine_partition in self._engine_partitions[partition].items():
            action = (source_topic, Action.SEND)
            records = [
                self._replayed(record, engine_partition)
                for record in part.records
                if actions.get(record.offset()) == action
            ]
            if self._rate_limit is not None:
                self._rate_limit.spend(len(records))
            overhead = part.overhead * len(records) // max(1, len(part.records))
            values = [record.value() for record in records]
            slices.append(Slice(engine_partition, records, values, next_offset, overhead))
        return slices

    def _park_some(self, records: Sequence[Record], actions: Mapping[int, tuple[str, Action]]) -> None:
        nothing = ("", Action.DONE)
        parked = [record for record in records if actions.get(record.offset(), nothing)[1] is Action.PARK]
        if parked:
            self._park(parked)

    def _replayed(self, record: Record, partition: TopicPartition) -> ReplayedRecord:
        value = record.value() if self._patch is None else self._patch.apply(record.value())
        return ReplayedRecord(record, partition, value)

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._watermarks.update(offsets)
        advanced = {}
        for partition in {self._dead_letter_partition[engine_partition] for engine_partition in offsets}:
            before = self._settled_to.get(partition, self._starts[partition])
            watermark = self._watermark(partition)
            if watermark is not None and watermark > before:
                advanced[partition] = self._settled_to[partition] = watermark
                self._on_settled(self._plan.identities(partition, before, watermark))
                if watermark >= self._plan.bounds.end[partition]:
                    self._unfinished.discard(partition)
        if advanced:
            self._kafka.store(advanced)

    def _watermark(self, partition: TopicPartition) -> int | None:
        """Return the lowest watermark of a partition's engine partitions; None while one has none."""
        engine_partitions = self._engine_partitions[partition].values()
        known = [self._watermarks[each] for each in engine_partitions if each in self._watermarks]
        return min(known) if len(known) == len(engine_partitions) else None

    def uncommitted(self) -> int:
        return self._kafka.uncommitted()

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(partitions)
        self._kafka.pause({self._dead_letter_partition[partition] for partition in self._paused})

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        resumed = set(partitions)
        self._paused -= resumed
        still_paused = {self._dead_letter_partition[partition] for partition in self._paused}
        self._kafka.resume({self._dead_letter_partition[partition] for partition in resumed} - still_paused)

    def close(self) -> None:
        self._kafka.close()

    # -- ports.RebalanceListener, which the Kafka source calls -----------------------------

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        engine_offsets: dict[TopicPartition, int | None] = {}
        added_later = {partition for partition in offsets if partition not in self._engine_partitions}
        for partition, offset in offsets.items():
            if partition in added_later:  # after the plan was made: never read
                continue
            start = self._starts[partition]
            if partition not in self._settled_to and offset is not None and offset != start:
                self._moved_by_other_replay = str(partition)
            self._settled_to[partition] = max(self._settled_to.get(partition, 0), start, offset or 0)
            for engine_partition in self._engine_partitions[partition].values():
                engine_offsets[engine_partition] = offset
                self._watermarks[engine_partition] = self._settled_to[partition]
        paused = set(self._listener.assigned(engine_offsets)) if engine_offsets else set()
        self._paused |= paused
        return {self._dead_letter_partition[partition] for partition in paused} | added_later

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        engine_partitions = self._engine_partitions_of(partitions)
        self._listener.revoked(engine_partitions)
        self._paused.difference_update(engine_partitions)

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        engine_partitions = self._engine_partitions_of(partitions)
        self._listener.lost(engine_partitions)
        self._paused.difference_update(engine_partitions)

    def _engine_partitions_of(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        own = [partition for partition in partitions if partition in self._engine_partitions]
        return [each for partition in own for each in self._engine_partitions[partition].values()]
