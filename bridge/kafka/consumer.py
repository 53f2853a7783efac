"""The only room that touches `Consumer`: records in, offsets out, and the rebalance callbacks as calls to the pump's listener."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count, islice, pairwise
from operator import ne
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Position

from bridge.config.kafka_clients import CONSUMER
from bridge.kafka.header_repair import UNREADABLE_ERRORS, rename_unreadable_headers
from bridge.model import Record, Slice, TopicPartition
from bridge.ports import Fatal, RebalanceListener

OBJECT_BYTES = 600
"""Memory of one record's objects beside its own bytes: the client's message, its Python wrapper, tuples."""

FETCHES = 8
"""Runs of one partition that are looked for in a read by counting; each costs a look at all of it."""

COMMITTED_S = 2.0
"""How long an assignment may wait for the committed offsets; without them it goes on all the same."""

_TOPIC, _PARTITION, _ERROR = Message.topic, Message.partition, Message.error
_KEY, _VALUE, _HEADERS, _OFFSET = Message.key, Message.value, Message.headers, Message.offset

_NOT_OURS = frozenset({KafkaError._STATE, KafkaError._UNKNOWN_PARTITION})
_EOF, _FATAL = KafkaError._PARTITION_EOF, KafkaError._FATAL


def _nothing(*_: object) -> None:
    """A hook that nobody listens to."""


@dataclass(frozen=True, slots=True)
class ConsumerCallbacks:
    """What the source tells besides the listener's calls; all on the thread that calls `read` or `close`. None of these may raise."""

    on_commit: Callable[[KafkaError | None, Mapping[TopicPartition, int]], None] = _nothing
    """A commit finished: its error, or the offsets that are committed."""
    on_error: Callable[[KafkaError], None] = _nothing
    """Something is wrong which the client goes on from: brokers away, an ACL, a topic that is not there."""
    on_statistics: Callable[[str], None] = _nothing
    """The client's statistics, JSON, every `statistics.interval.ms`."""
    on_offset_reset: Callable[[TopicPartition, int, int], None] = _nothing
    """The offset that is the second argument is gone, and reading went on at the third.

    Above it: the records between were deleted before they were read, and are lost to us. The client only logs this; here it is a gap that the
    partition's low watermark has passed, at an assignment (against the committed offset) or while reading. Below it: the log was truncated or
    created anew since the commit. (Within an assignment the slices tell that themselves.)"""
    on_store_refused: Callable[[Mapping[TopicPartition, int]], None] = _nothing
    """Offsets that were not stored, because their partitions are no longer ours."""
    on_partitions_ignored: Callable[[Sequence[TopicPartition]], None] = _nothing
    """Partitions of dead-letter topics that a regex matched and the group gave us: assigned on paper, never read."""
    on_headers_renamed: Callable[[TopicPartition, Sequence[int]], None] = _nothing
    """The records at these offsets have a header whose name is not UTF-8; it was renamed to `UNREADABLE_NAME`, its value is kept."""
    on_callback_failure: Callable[[str, BaseException], None] = _nothing
    """A callback of ours raised (its name first); the next `read` raises `Fatal`."""


class KafkaConsumer:
    """A member of a consumer group, implementing `ports.Source`. One thread owns it, from the constructor to `close`.

    `topics` are names, and regexes that begin with `^`. A partition of a topic for which `is_dead_letter_topic` holds is left out of the
    assignment that the client gets to see: it is never fetched, stored or committed. The group still counts it as ours, which keeps
    the group's protocol consistent.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        topics: Sequence[str],
        is_dead_letter_topic: Callable[[str], bool],
        listener: RebalanceListener,
        events: ConsumerCallbacks | None = None,
        *,
        client: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        config = CONSUMER.complete(properties)
        consumer_protocol = str(config.get("group.protocol", "classic")).lower() == "consumer"
        self._incremental = consumer_protocol or "cooperative" in str(config["partition.assignment.strategy"])
        self._is_dead_letter_topic = is_dead_letter_topic
        self._listener = listener
        self._events = events or ConsumerCallbacks()
        self._held: set[TopicPartition] = set()
        self._committed: dict[TopicPartition, int] = {}  # what is known to be committed of a held partition
        self._expected: dict[TopicPartition, int] = {}  # where the next record of one that was read should be
        self._gone: set[TopicPartition] = set()  # revoked or lost, of late
        self._stored: dict[TopicPartition, int] = {}  # stored, and not known to be committed
        self._fatal: Fatal | None = None
        self._consumer = client(
            {
                **config,
                "error_cb": self._on_error,
                "stats_cb": self._events.on_statistics,
                "on_commit": self._on_commit,
            },
        )
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    @property
    def held(self) -> frozenset[TopicPartition]:
        """The partitions that are ours now."""
        return frozenset(self._held)

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
        """Up to `limit` records and the ends of partitions; waits `timeout_s` for the first only. Raises `Fatal`."""
        try:
            first = self._consumer.poll(timeout_s)
            messages: list[Message] = []
            if first is not None:
                self._gone.clear()
                # consume(n, t) waits all of t unless n messages are there, hence poll for the first and no wait for the others.
                messages = self._consumer.consume(limit - 1, 0) if limit > 1 else []
                if (
                    _source(first) not in self._gone
                ):  # the second call may have taken the first one's partition away
                    messages.insert(0, first)
        except KafkaException as problem:
            raise Fatal(f"the Kafka client can't read: {problem.args[0]}") from problem
        except RuntimeError as problem:
            raise Fatal(f"the Kafka consumer is closed: {problem}") from problem
        slices = self._slices(messages) if messages else ()
        if self._fatal is not None:
            raise self._fatal
        return slices

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Marks offsets to be committed; those of partitions that aren't ours are refused and told to `on_store_refused`."""
        refused = {source: offset for source, offset in offsets.items() if source not in self._held}
        ours = [
            Position(source.topic, source.partition, offset)
            for source, offset in offsets.items()
            if source in self._held
        ]
        if ours:
            try:
                self._consumer.store_offsets(offsets=ours)
                self._stored.update(
                    (source, offset) for source, offset in offsets.items() if source in self._held
                )
                self._commit_back(
                    [
                        each
                        for each in ours
                        if each.offset < self._committed.get(TopicPartition(each.topic, each.partition), 0)
                    ]
                )
            except KafkaException as problem:
                if problem.args[0].code() not in _NOT_OURS:
                    raise Fatal(f"the Kafka client can't store offsets: {problem.args[0]}") from problem
                refused.update({TopicPartition(each.topic, each.partition): each.offset for each in ours})
        if refused:
            self._events.on_store_refused(refused)

    def _commit_back(self, positions: list[Position]) -> None:
        """Commits offsets that lie below the committed ones, after a log began anew: the client's own commits never go back while it runs.

        An offset of the old log would stay behind, and a restart after a crash could skip what the new one has below it.
        """
        if positions:
            with contextlib.suppress(KafkaException):  # the next store tries again, and so does `close`
                self._consumer.commit(offsets=positions, asynchronous=True)

    def uncommitted(self) -> int:
        """Partitions whose stored offset is not known to be committed yet. The client commits while it is read; not during a rebalance."""
        return len(self._stored)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stops fetching these, and throws away what was fetched ahead; those that aren't ours are left out."""
        if ours := self._positions(partitions):
            self._consumer.pause(ours)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetches these again; those that aren't ours are left out."""
        if ours := self._positions(partitions):
            self._consumer.resume(ours)

    def close(self) -> None:
        """Revokes what is held (the listener hears of it), commits what is stored, leaves the group. Can be called twice."""
        try:
            self._consumer.close()
        except (KafkaException, RuntimeError) as problem:
            self._events.on_callback_failure("close", problem)

    # Messages to slices: the hot path, so whole lists go through C.

    def _slices(self, messages: list[Message]) -> list[Slice]:
        ends: dict[TopicPartition, int] = {}
        if any(map(_ERROR, messages)):
            messages = self._without_errors(messages, ends)
        slices = []
        for key, records in _grouped(messages).items():
            source = TopicPartition(cast("str", key[0]), cast("int", key[1]))
            if source in self._held:
                next_offset = max(cast("int", records[-1].offset()) + 1, ends.pop(source, 0))
                self._follow(source, cast("int", records[0].offset()), next_offset)
                if cast("int", records[-1].offset()) - cast("int", records[0].offset()) >= len(records):
                    self._look_into(source, records)
                try:
                    overhead = _overhead(records)
                except (
                    UNREADABLE_ERRORS
                ):  # one record must not end the process: it would come back after every restart
                    self._events.on_headers_renamed(source, rename_unreadable_headers(records))
                    overhead = _overhead(records)
                slices.append(
                    Slice(
                        source,
                        cast("list[Record]", records),
                        list(map(_VALUE, records)),
                        next_offset,
                        overhead,
                    )
                )
        for source, offset in ends.items():
            if source in self._held:
                self._follow(source, offset, offset)
                slices.append(Slice(source, (), (), offset, 0))
        return slices

    def _follow(self, source: TopicPartition, first: int, next_offset: int) -> None:
        """Tells of offsets that are gone. A gap alone is compaction or a transaction; the low watermark behind it is loss."""
        begun = source in self._expected
        expected = (self._expected if begun else self._committed).get(source, first)
        if first > expected:
            low, _ = self._consumer.get_watermark_offsets(
                Position(source.topic, source.partition), cached=True
            )
            if low > expected:
                self._events.on_offset_reset(source, expected, first)
        elif first < expected and not begun:
            self._events.on_offset_reset(source, expected, first)
        self._expected[source] = next_offset

    def _look_into(self, source: TopicPartition, records: list[Message]) -> None:
        """Tells of loss within one read, where what was fetched ahead comes together with what follows a reset: the widest gap below the low watermark."""
        low, _ = self._consumer.get_watermark_offsets(Position(source.topic, source.partition), cached=True)
        if low > cast("int", records[0].offset()):
            gaps = [
                (before + 1, after)
                for before, after in pairwise(cast("list[int]", list(map(_OFFSET, records))))
                if before + 1 < min(after, low)
            ]
            if gaps:
                self._events.on_offset_reset(source, *max(gaps, key=lambda gap: gap[1] - gap[0]))

    def _without_errors(self, messages: list[Message], ends: dict[TopicPartition, int]) -> list[Message]:
        """The records among them; fills `ends` with the offsets at which partitions ended, and tells of every other error."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
                if ends:  # an end before it says nothing: the log may have begun anew between
                    ends.pop(_source(message), None)
            elif error.code() == _EOF:
                ends[_source(message)] = cast("int", message.offset())
            else:
                self._on_error(error)
        return records

    # The client's callbacks. They run inside poll, consume and close, and never raise: an exception would come out of those calls.

    def _on_assign(self, _: Consumer, positions: list[Position]) -> None:
        ours: list[Position] = []
        ignored: list[Position] = []
        for position in positions:
            (ignored if self._is_dead_letter_topic(position.topic) else ours).append(position)
        sources = _sources(ours)
        try:
            if self._incremental:
                self._consumer.incremental_assign(ours)
            else:
                self._consumer.assign(ours)
                self._held.clear()
            self._held.update(sources)
            if ignored:
                self._events.on_partitions_ignored(_sources(ignored))
            committed = self._committed_of(sources)
            self._committed.update(
                {source: offset for source, offset in committed.items() if offset is not None}
            )
            paused = set(self._listener.assigned(committed)) if sources else set()
            # Explicitly both: a partition that was revoked while paused and came back stays paused otherwise (librdkafka #1849, #5113).
            self.pause(source for source in sources if source in paused)
            self.resume(source for source in sources if source not in paused)
        except Exception as problem:  # it must not leave the callback; read raises it as Fatal
            self._failed("assign", problem)

    def _committed_of(self, sources: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Where the group is in each; one request of a few milliseconds, and None where it does not answer at once."""
        known: dict[TopicPartition, int | None] = dict.fromkeys(sources)
        if sources:
            with contextlib.suppress(KafkaException):
                for position in self._consumer.committed(self._positions(sources), COMMITTED_S):
                    if position.error is None and position.offset >= 0:
                        known[TopicPartition(position.topic, position.partition)] = position.offset
        return known

    def _on_revoke(self, _: Consumer, positions: list[Position]) -> None:
        going = [source for source in _sources(positions) if source in self._held]
        try:
            if going:
                self._listener.revoked(
                    going
                )  # still held: what the listener stores now is committed before the next owner starts
        except Exception as problem:
            self._failed("revoke", problem)
        self._let_go(going)

    def _on_lost(self, _: Consumer, positions: list[Position]) -> None:
        going = [source for source in _sources(positions) if source in self._held]
        self._held.difference_update(going)  # first: nothing can be stored from now on
        try:
            if going:
                self._listener.lost(going)
        except Exception as problem:
            self._failed("lost", problem)
        self._let_go(going)

    def _let_go(self, going: list[TopicPartition]) -> None:
        self._held.difference_update(going)
        self._gone.update(going)
        for source in going:
            for known in (self._committed, self._expected, self._stored):
                known.pop(source, None)
        try:
            if self._incremental:
                self._consumer.incremental_unassign(
                    [Position(source.topic, source.partition) for source in going]
                )
            else:
                self._consumer.unassign()
        except Exception as problem:
            self._failed("unassign", problem)

    def _on_commit(self, error: KafkaError | None, positions: list[Position]) -> None:
        done = {}
        for position in positions:
            if position.error is not None:
                error = error or position.error
            elif position.offset >= 0:
                where = TopicPartition(position.topic, position.partition)
                done[where] = position.offset
                if where in self._held:
                    self._committed[where] = position.offset
                if position.offset >= self._stored.get(where, 0):
                    self._stored.pop(where, None)
        self._events.on_commit(error, done)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == _FATAL:
            self._fatal = Fatal(f"the Kafka client can't go on: {error.name()}: {error.str()}")
        self._events.on_error(error)

    def _failed(self, callback: str, problem: Exception) -> None:
        self._fatal = (
            problem
            if isinstance(problem, Fatal)
            else Fatal(f"the rebalance callback {callback!r} failed: {problem!r}")
        )
        self._events.on_callback_failure(callback, problem)

    def _positions(self, partitions: Iterable[TopicPartition]) -> list[Position]:
        return [Position(source.topic, source.partition) for source in partitions if source in self._held]


def _source(message: Message) -> TopicPartition:
    return TopicPartition(cast("str", message.topic()), cast("int", message.partition()))


def _sources(positions: Iterable[Position]) -> list[TopicPartition]:
    return [TopicPartition(position.topic, position.partition) for position in positions]


def _grouped(messages: list[Message]) -> dict[tuple[str | None, int | None], list[Message]]:
    """Those of each partition, in order."""
    topics, partitions = list(map(_TOPIC, messages)), list(map(_PARTITION, messages))
    grouped: dict[tuple[str | None, int | None], list[Message]] = {}
    for start, stop in pairwise(sorted({0, len(messages), *_changes(topics), *_changes(partitions)})):
        source, run = (topics[start], partitions[start]), messages[start:stop]
        if source in grouped:
            grouped[source] += run
        else:
            grouped[source] = run
    return grouped


def _changes(items: Sequence[object]) -> Iterator[int]:
    """Where an item differs from the one before it. Most reads come out of few fetches: counting tells those, and is cheaper than comparing."""
    at = 0
    for _ in range(FETCHES):
        if at == len(items) or (alike := items.count(items[at])) == len(items) - at:
            return
        if items[at : at + alike].count(items[at]) < alike:
            break
        yield (at := at + alike)
    yield from compress(count(1), map(ne, items, islice(items, 1, None)))


def _overhead(records: list[Message]) -> int:
    """Bytes that these hold beside their values: keys, headers, objects."""
    held = len(records) * OBJECT_BYTES + sum(map(len, filter(None, map(_KEY, records))))
    for headers in filter(None, map(_HEADERS, records)):
        held += sum(
            len(name) + len(value or b"") for name, value in cast("list[tuple[str, bytes | None]]", headers)
        )
    return held
