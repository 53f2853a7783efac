"""Kafka in memory: topics, groups that rebalance, sources and dead letters, for tests that need neither a network nor time.

It passes the same contract suite as the real ones (tests/contract). One thread uses it; rebalances happen inside `read`, as the client's do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.codec.routes import matches
from bridge.kafka.dead_letter_headers import dead_letter_headers
from bridge.model import DeadLetter, Headers, PublishResult, Slice, TopicPartition
from bridge.ports import Completions, Fatal, RebalanceListener


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A record with the accessors of the client's message."""

    source: TopicPartition
    at: int
    data: bytes | None
    name: bytes | None = None
    more: Headers | None = None
    time: tuple[int, int] = (1, 1_700_000_000_000)

    def topic(self) -> str:
        return self.source.topic

    def partition(self) -> int:
        return self.source.partition

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.name

    def value(self) -> bytes | None:
        return self.data

    def headers(self) -> Headers | None:
        return self.more

    def timestamp(self) -> tuple[int, int]:
        return self.time


@dataclass
class _Group:
    members: list[MemorySource] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)


class MemoryKafka:
    """The broker: logs by partition, groups by name."""

    def __init__(self) -> None:
        self.logs: dict[TopicPartition, list[MemoryRecord]] = {}
        self.ends: dict[TopicPartition, int] = {}
        """The next offset; beyond the last record's after a gap."""
        self.groups: dict[str, _Group] = {}

    def create_topic(self, name: str, partitions: int = 1) -> str:
        for partition in range(partitions):
            self.logs.setdefault(TopicPartition(name, partition), [])
            self.ends.setdefault(TopicPartition(name, partition), 0)
        return name

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        partition: int = 0,
        key: bytes | None = None,
        headers: Headers | None = None,
    ) -> None:
        source = TopicPartition(topic, partition)
        for value in values:
            self.logs[source].append(MemoryRecord(source, self.ends[source], value, key, headers))
            self.ends[source] += 1

    def skip(self, topic: str, partition: int, offsets: int) -> None:
        """Offsets without records: what compaction and transactions leave."""
        self.ends[TopicPartition(topic, partition)] += offsets

    def read_all(self, topic: str) -> list[MemoryRecord]:
        return [
            record for source, log in sorted(self.logs.items()) if source.topic == topic for record in log
        ]

    def committed(self, group: str, topic: str, partitions: int = 1) -> dict[int, int]:
        found = self.groups.setdefault(group, _Group()).committed
        return {
            each: found[TopicPartition(topic, each)]
            for each in range(partitions)
            if TopicPartition(topic, each) in found
        }


class MemorySource:
    """`ports.Source` over a `MemoryKafka`; commits what is stored at the start of every `read`, at revoke and at close."""

    def __init__(
        self,
        kafka: MemoryKafka,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        is_dead_letter_topic: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._kafka, self._topics, self._listener, self._excluded = (
            kafka,
            topics,
            listener,
            is_dead_letter_topic,
        )
        self._group = kafka.groups.setdefault(group, _Group())
        self._group.members.append(self)
        self.positions: dict[TopicPartition, int] = {}
        self._ended: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._stored: dict[TopicPartition, int] = {}
        self.fatal: str | None = None

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:  # noqa: ARG002  (time stands still here)
        if self.fatal:
            raise Fatal(self.fatal)
        self._commit(self.positions)
        self._rebalance()
        slices = []
        for source in [each for each in self.positions if each not in self._paused]:
            start, end = self.positions[source], self._kafka.ends[source]
            records = [record for record in self._kafka.logs[source] if record.at >= start][:limit]
            limit -= len(records)
            last = not records or records[-1] is self._kafka.logs[source][-1]
            if (limit > 0 or records) and (records or (last and source not in self._ended)):
                position = end if last else records[-1].at + 1
                self.positions[source] = position
                self._ended.add(source)
                overhead = sum(len(record.name or b"") + 600 for record in records)
                slices.append(Slice(source, records, [record.data for record in records], position, overhead))
        return slices

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._stored.update(
            {source: offset for source, offset in offsets.items() if source in self.positions}
        )

    def uncommitted(self) -> int:
        """None: what is stored is committed at the next read, revoke or close, and no commit fails here."""
        return 0

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(source for source in partitions if source in self.positions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def close(self) -> None:
        if self in self._group.members:
            self._revoke(list(self.positions))
            self._group.members.remove(self)

    def lose(self) -> None:
        """Everything held is lost, as after a session time-out; the next `read` joins again."""
        lost = list(self.positions)
        self.positions.clear()
        self._stored.clear()
        if lost:
            self._listener.lost(lost)

    def _rebalance(self) -> None:
        wanted = {
            source
            for source in self._kafka.logs
            if any(matches(pattern, source.topic) for pattern in self._topics)
            and not self._excluded(source.topic)
        }
        place, count = self._group.members.index(self), len(self._group.members)
        mine = [source for number, source in enumerate(sorted(wanted)) if number % count == place]
        if going := [source for source in self.positions if source not in mine]:
            self._revoke(going)
        taken = {
            source for member in self._group.members if member is not self for source in member.positions
        }
        if coming := [source for source in mine if source not in self.positions and source not in taken]:
            for source in coming:
                self.positions[source] = self._group.committed.get(source, 0)
            self._ended.difference_update(coming)
            self._paused.difference_update(coming)
            self._paused.update(
                self._listener.assigned({source: self._group.committed.get(source) for source in coming})
            )

    def _revoke(self, going: list[TopicPartition]) -> None:
        if going:
            self._listener.revoked(going)
        self._commit(going)
        for source in going:
            del self.positions[source]

    def _commit(self, sources: Iterable[TopicPartition]) -> None:
        for source in list(sources):
            if source in self._stored:
                self._group.committed[source] = self._stored.pop(source)


class MemoryDeadLetters:
    """`ports.DeadLetters` into a `MemoryKafka`, acknowledged at once; `refuse` gives the error of a letter that shall fail, else ''."""

    def __init__(
        self, kafka: MemoryKafka, completions: Completions, refuse: Callable[[DeadLetter], str] = lambda _: ""
    ) -> None:
        self._kafka, self._completions, self.refuse = kafka, completions, refuse

    def publish(self, ticket: object, letters: Sequence[DeadLetter]) -> None:
        failed: list[int] = []
        error = ""
        for index, letter in enumerate(letters):
            problem = self.refuse(letter) or (
                ""
                if TopicPartition(letter.topic, 0) in self._kafka.ends
                else f"{letter.topic}: the topic does not exist"
            )
            if problem:
                failed.append(index)
                error = error or problem
            else:
                self._kafka.produce(
                    letter.topic,
                    [letter.record.value()],
                    key=letter.record.key(),
                    headers=dead_letter_headers(letter),
                )
        self._completions.put(ticket, PublishResult(tuple(failed), error))
