"""Conversions between the bridge's `TopicPartition` and the client's, which is called `Position` here.

The client's has the same name, an offset, and room for an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from confluent_kafka import Message
from confluent_kafka import TopicPartition as Position

from bridge.model import TopicPartition


def positions(partitions: Iterable[TopicPartition]) -> list[Position]:
    """Return positions without an offset."""
    return [Position(*partition) for partition in partitions]


def positions_at(offsets: Mapping[TopicPartition, int]) -> list[Position]:
    """Return positions with offsets."""
    return [Position(*partition, offset) for partition, offset in offsets.items()]


def partition_at(position: Position) -> TopicPartition:
    """Return the partition of a position."""
    return TopicPartition(position.topic, position.partition)


def partition_of(message: Message) -> TopicPartition:
    """Return the partition that a message belongs to."""
    return TopicPartition(cast("str", message.topic()), cast("int", message.partition()))
