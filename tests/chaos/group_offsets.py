"""What the consumer group has committed, where the partitions end, and the lag between the two.

The brokers are asked past the gateways, so a cut of the bridge does not cut this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Position


class GroupOffsets:
    """The offsets of one group and topic. `partition_count` returns how many partitions the topic has now."""

    def __init__(
        self, properties: Mapping[str, str], group: str, topic: str, partition_count: Callable[[], int]
    ) -> None:
        self._properties = {**properties, "group.id": group, "log_level": 0}
        self._topic, self._partition_count = topic, partition_count
        self.commits: dict[int, list[tuple[float, int]]] = {}
        """By partition: the time at which an offset was known to be committed, and the offset."""

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer(self._properties)
        try:
            yield consumer
        finally:
            consumer.close()

    def _committed(self, consumer: Consumer, timeout_s: float) -> list[Position]:
        positions = [Position(self._topic, number) for number in range(self._partition_count())]
        return consumer.committed(positions, timeout_s)

    def watch(self, over: Event) -> None:
        """Note the committed offsets twice a second, until `over` is set."""
        with self._consumer() as consumer:
            while not over.wait(0.5):
                try:
                    positions = self._committed(consumer, 5)
                except KafkaException:
                    continue
                usable = [
                    position for position in positions if position.error is None and position.offset >= 0
                ]
                self.note(time.time(), {position.partition: position.offset for position in usable})

    def note(self, at: float, offsets: Mapping[int, int]) -> None:
        """Note what was committed at this time at the latest."""
        for partition, offset in offsets.items():
            self.commits.setdefault(partition, []).append((at, offset))

    def lag(self) -> int:
        """Return the number of records that are not committed; -1 where the brokers don't say."""
        with self._consumer() as consumer:
            try:
                return sum(
                    self._end(consumer, self._topic, position.partition) - max(position.offset, 0)
                    for position in self._committed(consumer, 10)
                )
            except KafkaException:
                return -1

    def ends(self, deadline: float) -> dict[int, int]:
        """Return the end of each partition.

        Raises `KafkaException` if the brokers do not say before the deadline (monotonic).
        """
        with self._consumer() as consumer:
            while True:
                partitions = range(self._partition_count())
                try:
                    return {number: self._end(consumer, self._topic, number) for number in partitions}
                except KafkaException:
                    if time.monotonic() > deadline:
                        raise

    def size(self, topic: str, partitions: int) -> int:
        """Return the sum of the ends of another topic's partitions; -1 where the brokers don't say."""
        with self._consumer() as consumer:
            try:
                return sum(self._end(consumer, topic, number) for number in range(partitions))
            except KafkaException:
                return -1

    def committed_up_to(self, ends: Mapping[int, int]) -> bool:
        """Say whether the last noted commit of each partition has reached its end."""
        return all(self.commits.get(number, [(0.0, -1)])[-1][1] >= end for number, end in ends.items() if end)

    @staticmethod
    def _end(consumer: Consumer, topic: str, partition: int) -> int:
        return int(consumer.get_watermark_offsets(Position(topic, partition), 10)[1])
