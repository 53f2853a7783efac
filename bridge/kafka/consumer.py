"""The consumer: reads slices of records, stores offsets, and handles the group's rebalances.

It is the only user of confluent_kafka's `Consumer` that joins a consumer group.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Position

from bridge.config.kafka_clients import CONSUMER
from bridge.kafka.assignment import Assignment
from bridge.kafka.client_errors import properties_checked
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.kafka.offset_resets import OffsetResets
from bridge.kafka.positions import partition_at, partition_of, positions, positions_at
from bridge.kafka.slices import slices_of
from bridge.model import Slice, TopicPartition
from bridge.ports import Fatal, RebalanceListener

COMMITTED_TIMEOUT_S = 2.0
"""How long an assignment waits for the committed offsets. Without an answer they stay unknown."""

_NOT_ASSIGNED = frozenset({KafkaError._STATE, KafkaError._UNKNOWN_PARTITION})
"""Errors with which the client refuses to store an offset of a partition that it does not have."""


class KafkaConsumer:
    """A member of a consumer group: `ports.Source` over Kafka. One thread builds, uses and closes it."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        topics: Sequence[str],
        is_excluded: Callable[[str], bool],
        listener: RebalanceListener,
        callbacks: ConsumerCallbacks | None = None,
        *,
        client: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        """Subscribe to topics: names, and regexes that begin with `^`. Raises `PropertiesRefused`.

        A regex may match topics that must not be read, such as dead-letter topics. The partitions of a
        topic for which `is_excluded` returns true are left out of the assignment that the client gets: they
        are never fetched, stored or committed. The group still counts them as this member's, which keeps
        the group's protocol intact.
        """
        config = CONSUMER.complete(properties)
        uses_consumer_protocol = str(config.get("group.protocol", "classic")).lower() == "consumer"
        self._is_incremental = uses_consumer_protocol or "cooperative" in str(
            config["partition.assignment.strategy"]
        )
        self._is_excluded = is_excluded
        self._listener = listener
        self._callbacks = callbacks or ConsumerCallbacks()
        self._assignment = Assignment()
        self._resets = OffsetResets(self._low_watermark, self._callbacks.on_offset_reset)
        self._removed_since_poll: set[TopicPartition] = set()
        self._fatal: Fatal | None = None
        """What the next `read` raises."""
        callbacks_of_client = {
            "error_cb": self._on_error,
            "stats_cb": self._callbacks.on_statistics,
            "on_commit": self._on_commit,
        }
        with properties_checked():
            self._consumer = client({**config, **callbacks_of_client})
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    # -- ports.Source ---------------------------------------------------------------------

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
        messages = self._messages(limit, timeout_s)
        slices: list[Slice] = []
        if messages:
            slices = slices_of(
                messages,
                self._assignment,
                on_error=self._on_error,
                on_headers_renamed=self._callbacks.on_headers_renamed,
            )
            for part in slices:
                self._resets.check(part, self._assignment.committed(part.partition))
        if self._fatal is not None:
            raise self._fatal
        return slices

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        own = {partition: offset for partition, offset in offsets.items() if partition in self._assignment}
        refused = {
            partition: offset for partition, offset in offsets.items() if partition not in self._assignment
        }
        if own and not self._store(own):
            refused |= own
        if refused:
            self._callbacks.on_store_refused(refused)

    def uncommitted(self) -> int:
        return self._assignment.uncommitted

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        if own := self._assignment.only_assigned(partitions):
            self._consumer.pause(positions(own))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        if own := self._assignment.only_assigned(partitions):
            self._consumer.resume(positions(own))

    def close(self) -> None:
        try:
            self._consumer.close()
        except (KafkaException, RuntimeError) as problem:
            self._callbacks.on_callback_failure("close", problem)

    # -- reading and storing --------------------------------------------------------------

    def _messages(self, limit: int, timeout_s: float) -> list[Message]:
        """Return up to `limit` messages; wait for the first one only. A rebalance may run in between."""
        try:
            # consume(n, t) waits for the whole t unless n messages are there. So poll waits for the first
            # message, and consume returns those that are there already.
            first = self._consumer.poll(timeout_s)
            if first is None:
                return []
            self._removed_since_poll.clear()
            messages = self._consumer.consume(limit - 1, 0) if limit > 1 else []
        except KafkaException as problem:
            raise Fatal(f"the Kafka client can't read: {problem.args[0]}") from problem
        except RuntimeError as problem:
            raise Fatal(f"the Kafka consumer is closed: {problem}") from problem
        if partition_of(first) not in self._removed_since_poll:
            messages.insert(0, first)
        return messages

    def _store(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Store offsets of assigned partitions. Return False where the client says that they have gone."""
        try:
            self._consumer.store_offsets(offsets=positions_at(offsets))
        except KafkaException as problem:
            if problem.args[0].code() not in _NOT_ASSIGNED:
                raise Fatal(f"the Kafka client can't store offsets: {problem.args[0]}") from problem
            return False
        if backwards := self._assignment.set_stored(offsets):
            self._commit_backwards(backwards)
        return True

    def _commit_backwards(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets that lie below the committed ones, because the log began anew.

        The client's own commits never go backwards while it runs. The offset of the old log would stay
        committed, and after a crash a restart could skip records of the new log below it.
        """
        with contextlib.suppress(KafkaException):  # the next `store` tries again, and so does `close`
            self._consumer.commit(offsets=positions_at(offsets), asynchronous=True)

    def _low_watermark(self, partition: TopicPartition) -> int:
        """Return the first offset that a partition still has, as the last fetch response gave it."""
        low, _ = self._consumer.get_watermark_offsets(Position(*partition), cached=True)
        return low

    # -- the client's callbacks -----------------------------------------------------------
    # They run inside poll, consume and close. An exception would come out of those calls, so none may raise.

    def _on_assign(self, _: Consumer, client_positions: list[Position]) -> None:
        own: list[TopicPartition] = []
        ignored: list[TopicPartition] = []
        for partition in map(partition_at, client_positions):
            (ignored if self._is_excluded(partition.topic) else own).append(partition)
        try:
            if self._is_incremental:
                self._consumer.incremental_assign(positions(own))
            else:
                self._consumer.assign(positions(own))
                self._assignment.clear()
            self._assignment.add(own)
            if ignored:
                self._callbacks.on_partitions_ignored(ignored)
            if not own:
                return
            committed = self._committed_offsets(own)
            for partition, offset in committed.items():
                if offset is not None:
                    self._assignment.set_committed(partition, offset)
            paused = set(self._listener.assigned(committed))
            # Pause and resume explicitly. A partition that was revoked while it was paused would stay
            # paused when it comes back (librdkafka #1849, #5113).
            self.pause(partition for partition in own if partition in paused)
            self.resume(partition for partition in own if partition not in paused)
        except Exception as problem:  # it must not leave the callback
            self._fail("assign", problem)

    def _on_revoke(self, _: Consumer, client_positions: list[Position]) -> None:
        partitions = self._assignment.only_assigned(map(partition_at, client_positions))
        try:
            # They are still assigned: what the listener stores now is committed before the next owner starts.
            if partitions:
                self._listener.revoked(partitions)
        except Exception as problem:  # it must not leave the callback
            self._fail("revoke", problem)
        self._remove(partitions)

    def _on_lost(self, _: Consumer, client_positions: list[Position]) -> None:
        partitions = self._assignment.only_assigned(map(partition_at, client_positions))
        self._assignment.remove(partitions)  # first, so that the listener can't store anything of them
        try:
            if partitions:
                self._listener.lost(partitions)
        except Exception as problem:  # it must not leave the callback
            self._fail("lost", problem)
        self._remove(partitions)

    def _remove(self, partitions: list[TopicPartition]) -> None:
        self._assignment.remove(partitions)
        self._resets.forget(partitions)
        self._removed_since_poll.update(partitions)
        try:
            if self._is_incremental:
                self._consumer.incremental_unassign(positions(partitions))
            else:
                self._consumer.unassign()
        except Exception as problem:  # it must not leave the callback
            self._fail("unassign", problem)

    def _committed_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Return the committed offset of each partition, from one request that takes a few milliseconds.

        A partition without a committed offset has None, and so has every partition if there is no answer in
        time.
        """
        offsets: dict[TopicPartition, int | None] = dict.fromkeys(partitions)
        with contextlib.suppress(KafkaException):
            for position in self._consumer.committed(positions(partitions), COMMITTED_TIMEOUT_S):
                if position.error is None and position.offset >= 0:
                    offsets[partition_at(position)] = position.offset
        return offsets

    def _on_commit(self, error: KafkaError | None, client_positions: list[Position]) -> None:
        committed: dict[TopicPartition, int] = {}
        for position in client_positions:
            if position.error is not None:
                error = error or position.error
            elif position.offset >= 0:
                partition = partition_at(position)
                committed[partition] = position.offset
                self._assignment.set_committed(partition, position.offset)
        self._callbacks.on_commit(error, committed)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._fatal = Fatal(f"the Kafka client can't go on: {error.name()}: {error.str()}")
        self._callbacks.on_error(error)

    def _fail(self, callback: str, problem: Exception) -> None:
        """Have the next `read` raise `Fatal`."""
        if isinstance(problem, Fatal):
            self._fatal = problem
        else:
            self._fatal = Fatal(f"the rebalance callback {callback!r} failed: {problem!r}")
        self._callbacks.on_callback_failure(callback, problem)
