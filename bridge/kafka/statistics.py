"""Read the client's statistics, which are JSON: where partitions end, and the group's state. Pure.

The format is librdkafka's (STATISTICS.md in its repository). Only the fields named here are decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from bridge.model import TopicPartition

_INTERNAL_PARTITION = "-1"
"""librdkafka's queue of messages that have no partition yet. It is listed like a partition of the topic."""


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """What the bridge uses of one publication of the statistics."""

    end_offsets: Mapping[TopicPartition, int]
    """The offset after the last record, as the last fetch response of each partition gave it.

    A partition that is not fetched (because it is paused) keeps an old value here.
    """
    group_is_steady: bool
    """Whether this member has joined its group and no rebalance is under way."""


class _Partition(msgspec.Struct):
    hi_offset: int = -1
    """Negative until the first fetch response."""


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition] = {}


class _ConsumerGroup(msgspec.Struct):
    join_state: str = ""


class _Statistics(msgspec.Struct):
    topics: dict[str, _Topic] = {}
    cgrp: _ConsumerGroup = msgspec.field(default_factory=_ConsumerGroup)


_decoder = msgspec.json.Decoder(_Statistics)


def parse_statistics(text: str) -> ClientStatistics | None:
    """Return what the bridge uses of a publication, or None for a text that is not in librdkafka's format."""
    try:
        statistics = _decoder.decode(text)
    except msgspec.DecodeError:
        return None
    end_offsets = {
        TopicPartition(name, int(number)): partition.hi_offset
        for name, topic in statistics.topics.items()
        for number, partition in topic.partitions.items()
        if partition.hi_offset >= 0 and number != _INTERNAL_PARTITION
    }
    return ClientStatistics(end_offsets, group_is_steady=statistics.cgrp.join_state == "steady")
