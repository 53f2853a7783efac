"""Read topics from given offsets to where they ended when asked.

Joins no consumer group and commits nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Position

from bridge.config.kafka_clients import CONSUMER
from bridge.kafka.client_errors import Unreachable, properties_checked, text_of
from bridge.kafka.header_repair import rename_unreadable_headers
from bridge.model import Record, TopicPartition

PATIENCE_S = 30.0
ANSWER_S = 10.0
"""How long the brokers may take to say where a partition begins and ends."""

_HOPELESS = frozenset(
    {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET}
)
"""Errors of a partition that do not pass by waiting; the client goes on by itself after all others."""


@dataclass(slots=True)
class Bounds:
    """The first offset and the end of each partition, at one moment."""

    low: dict[TopicPartition, int] = field(default_factory=dict)
    end: dict[TopicPartition, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """The most records that can lie within the bounds; compaction and transactions leave fewer."""
        return sum(self.end[partition] - self.low[partition] for partition in self.end)


class TopicReader:
    """A client that reads within bounds. Close it. One thread uses it."""

    def __init__(self, properties: Mapping[str, Any], patience_s: float = PATIENCE_S) -> None:
        """`properties` are librdkafka's, with a `group.id`, which the client wants but this reader never
        joins.

        Raises `PropertiesRefused`.
        """
        self._patience_s = patience_s
        own = {"enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error"}
        with properties_checked():
            self._consumer = Consumer({**CONSUMER.complete(properties), **own})

    def bounds(self, partition_counts: Mapping[str, int]) -> Bounds:
        """Return where every partition of these topics begins and ends now. Raises `Unreachable`."""
        bounds = Bounds()
        for topic, count in partition_counts.items():
            for number in range(count):
                partition = TopicPartition(topic, number)
                bounds.low[partition], bounds.end[partition] = self.offsets(partition)
        return bounds

    def offsets(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the first offset of a partition and its end. Raises `Unreachable`."""
        try:
            low, end = self._consumer.get_watermark_offsets(Position(*partition), timeout=ANSWER_S)
        except KafkaException as problem:
            raise Unreachable(f"{partition}: {text_of(problem)}") from None
        return low, end

    def records(self, bounds: Bounds) -> Iterator[Record]:
        """Yield every record within the bounds. Raises `Unreachable` where nothing comes for `patience_s`."""
        unread = {partition: end for partition, end in bounds.end.items() if end > bounds.low[partition]}
        self._consumer.assign([Position(*partition, bounds.low[partition]) for partition in unread])
        last_progress = time.monotonic()
        while unread:
            for message in self._consumer.consume(1000, 0.1):
                partition = TopicPartition(cast("str", message.topic()), cast("int", message.partition()))
                if message.error() is not None:
                    if _is_end_of_partition(message, partition):
                        unread.pop(partition, None)
                    continue
                last_progress = time.monotonic()
                try:
                    message.headers()
                except (SystemError, UnicodeDecodeError):  # a header's name that is not UTF-8
                    rename_unreadable_headers([message])
                offset = cast("int", message.offset())
                if partition in unread and offset < unread[partition]:
                    yield cast("Record", message)
                if partition in unread and offset + 1 >= unread[partition]:
                    del unread[partition]
            if time.monotonic() - last_progress > self._patience_s:
                partitions = ", ".join(map(str, unread))
                raise Unreachable(f"nothing came from {partitions} for {self._patience_s:.0f} s")

    def close(self) -> None:
        """Close the connections to the brokers."""
        self._consumer.close()


def _is_end_of_partition(message: Message, partition: TopicPartition) -> bool:
    """Return whether an error message only says that a partition has ended.

    Raises `Unreachable` for hopeless errors.
    """
    error = cast("KafkaError", message.error())
    if error.code() in _HOPELESS:
        raise Unreachable(f"{partition}: {error.str()}")
    return error.code() == KafkaError._PARTITION_EOF
