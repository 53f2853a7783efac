"""Messages as the Kafka client returns them, built without a broker."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, Message

from bridge.model import TopicPartition


def message(
    partition: TopicPartition,
    offset: int,
    error: int | None = None,
    *,
    key: bytes | None = None,
    value: bytes | None = b"v",
    headers: Sequence[tuple[str, bytes | None]] | None = None,
) -> Message:
    """A record, or with an error's code the message with which the client reports that error."""
    problem = None if error is None else KafkaError(error)
    return Message(partition.topic, partition.partition, offset, key, value, headers=headers, error=problem)


def end_of_partition(partition: TopicPartition, offset: int) -> Message:
    """The message with which the client says that a partition ends at an offset."""
    return message(partition, offset, KafkaError._PARTITION_EOF)
