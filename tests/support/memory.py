"""Kafka in memory, for tests without network and time: topics, groups, sources and dead letters.

It passes the same contract suite as the real ones (tests/contract). One thread uses it. A rebalance happens
inside `read`, as it does in the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.codec.routes import matches
from bridge.kafka.dead_letter_headers import dead_letter_headers
from bridge.model import DeadLetter, Headers, PublishResult, Slice, TopicPartition
from bridge.ports import Completions, Fatal, RebalanceListener

CLIENT_OVERHEAD_BYTES = 600
"""What a record of the client takes beside its key and its value."""


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A record with the accessors of the client's message."""

    topic_partition: TopicPartition
    record_offset: int
    record_value: bytes | None
    record_key: bytes | None = None
    record_headers: Headers | None = None
    record_timestamp: tuple[int, int] = (1, 1_700_000_000_000)

    def topic(self) -> str:
        return self.topic_partition.topic

    def partition(self) -> int:
        return self.topic_partition.partition

    def offset(self) -> int:
        return self.record_offset

    def key(self) -> bytes | None:
        return self.record_key

    def value(self) -> bytes | None:
        return self.record_value

    def headers(self) -> Headers | None:
        return self.record_headers

    def timestamp(self) -> tuple[int, int]:
        return self.record_timestamp


@dataclass
class _Group:
    members: list[MemorySource] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)


class MemoryKafka:
    """The broker: a log for each partition, and the groups by their names."""

    def __init__(self) -> None:
        self.logs: dict[TopicPartition, list[MemoryRecord]] = {}
        self.ends: dict[TopicPartition, int] = {}
        """By partition: the next offset. Where there is a gap it is not the one after the last record."""
        self.groups: dict[str, _Group] = {}

    def create_topic(self, name: str, partitions: int = 1) -> str:
        for number in range(partitions):
            self.logs.setdefault(TopicPartition(name, number), [])
            self.ends.setdefault(TopicPartition(name, number), 0)
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
        target = TopicPartition(topic, partition)
        for value in values:
            self.logs[target].append(MemoryRecord(target, self.ends[target], value, key, headers))
            self.ends[target] += 1

    def skip(self, topic: str, partition: int, offsets: int) -> None:
        """Leave a gap of so many offsets without records, as compaction and transactions do."""
        self.ends[TopicPartition(topic, partition)] += offsets

    def read_all(self, topic: str) -> list[MemoryRecord]:
        logs = [log for partition, log in sorted(self.logs.items()) if partition.topic == topic]
        return [record for log in logs for record in log]

    def committed(self, group: str, topic: str, partitions: int = 1) -> dict[int, int]:
        offsets = self.groups.setdefault(group, _Group()).committed
        wanted = {number: TopicPartition(topic, number) for number in range(partitions)}
        return {number: offsets[partition] for number, partition in wanted.items() if partition in offsets}


class MemorySource:
    """`ports.Source` over a `MemoryKafka`.

    Stored offsets are committed at the start of every `read`, at a revoke and at `close`.
    """

    def __init__(
        self,
        kafka: MemoryKafka,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        is_dead_letter_topic: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._kafka, self._topics, self._listener = kafka, topics, listener
        self._is_dead_letter_topic = is_dead_letter_topic
        self._group = kafka.groups.setdefault(group, _Group())
        self._group.members.append(self)
        self.positions: dict[TopicPartition, int] = {}
        self._ended: set[TopicPartition] = set()
        """The partitions whose end was reported once."""
        self._paused: set[TopicPartition] = set()
        self._stored: dict[TopicPartition, int] = {}
        self.fatal: str | None = None

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:  # no time passes here
        if self.fatal:
            raise Fatal(self.fatal)
        self._commit(self.positions)
        self._rebalance()
        slices = []
        for partition in [each for each in self.positions if each not in self._paused]:
            log, end = self._kafka.logs[partition], self._kafka.ends[partition]
            start = self.positions[partition]
            records = [record for record in log if record.record_offset >= start][:limit]
            limit -= len(records)
            at_end = not records or records[-1] is log[-1]
            new_end = at_end and partition not in self._ended
            if (limit > 0 or records) and (records or new_end):
                position = end if at_end else records[-1].record_offset + 1
                self.positions[partition] = position
                self._ended.add(partition)
                values = [record.record_value for record in records]
                overhead = sum(len(record.record_key or b"") + CLIENT_OVERHEAD_BYTES for record in records)
                slices.append(Slice(partition, records, values, position, overhead))
        return slices

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        own = {partition: offset for partition, offset in offsets.items() if partition in self.positions}
        self._stored.update(own)

    def uncommitted(self) -> int:
        """Return 0: every read, revoke and close commits what is stored, and no commit fails here."""
        return 0

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(partition for partition in partitions if partition in self.positions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def close(self) -> None:
        if self in self._group.members:
            self._revoke(list(self.positions))
            self._group.members.remove(self)

    def lose(self) -> None:
        """Lose every partition, as after a session time-out. The next `read` joins the group again."""
        lost = list(self.positions)
        self.positions.clear()
        self._stored.clear()
        if lost:
            self._listener.lost(lost)

    def _rebalance(self) -> None:
        members, own = self._group.members, self._own_partitions()
        if revoked := [partition for partition in self.positions if partition not in own]:
            self._revoke(revoked)
        others = [member for member in members if member is not self]
        taken = {partition for member in others for partition in member.positions}
        assigned = [
            partition for partition in own if partition not in self.positions and partition not in taken
        ]
        if assigned:
            committed = {partition: self._group.committed.get(partition) for partition in assigned}
            for partition, offset in committed.items():
                self.positions[partition] = offset or 0
            self._ended.difference_update(assigned)
            self._paused.difference_update(assigned)
            self._paused.update(self._listener.assigned(committed))

    def _own_partitions(self) -> list[TopicPartition]:
        """Return every n-th of the subscribed partitions, where n is the number of members."""
        subscribed = [partition for partition in self._kafka.logs if self._is_subscribed(partition.topic)]
        members = self._group.members
        return sorted(subscribed)[members.index(self) :: len(members)]

    def _is_subscribed(self, topic: str) -> bool:
        return any(matches(pattern, topic) for pattern in self._topics) and not self._is_dead_letter_topic(
            topic
        )

    def _revoke(self, partitions: list[TopicPartition]) -> None:
        if partitions:
            self._listener.revoked(partitions)
        self._commit(partitions)
        for partition in partitions:
            del self.positions[partition]

    def _commit(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in list(partitions):
            if partition in self._stored:
                self._group.committed[partition] = self._stored.pop(partition)


class MemoryDeadLetterProducer:
    """`ports.DeadLetterProducer` into a `MemoryKafka`, which acknowledges at once.

    `refuse` returns the error of a dead letter that shall fail, and an empty text for one that shall not.
    """

    def __init__(
        self, kafka: MemoryKafka, completions: Completions, refuse: Callable[[DeadLetter], str] = lambda _: ""
    ) -> None:
        self._kafka, self._completions, self.refuse = kafka, completions, refuse

    def publish(self, ticket: object, letters: Sequence[DeadLetter]) -> None:
        errors = {index: error for index, letter in enumerate(letters) if (error := self._error(letter))}
        for index, letter in enumerate(letters):
            if index not in errors:
                record, headers = letter.record, dead_letter_headers(letter)
                self._kafka.produce(letter.topic, [record.value()], key=record.key(), headers=headers)
        first_error = next(iter(errors.values()), "")
        self._completions.put(ticket, PublishResult(tuple(errors), first_error))

    def _error(self, letter: DeadLetter) -> str:
        if error := self.refuse(letter):
            return error
        exists = TopicPartition(letter.topic, 0) in self._kafka.ends
        return "" if exists else f"{letter.topic}: the topic does not exist"
