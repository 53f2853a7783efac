"""Dead letters for the tests of the replay's rooms."""

from __future__ import annotations

from bridge.model import TopicPartition
from bridge.replay.dead_letter import StoredDeadLetter, parse_dead_letter
from tests.support.memory import MemoryRecord

DEAD = TopicPartition("t.dlq", 0)


def letter(
    offset: int,
    source: int,
    *,
    count: int = 0,
    failed: int = 1000,
    timestamp: str = "7",
    topic: str = "t",
    value: bytes = b"{}",
    reason: str = "refused",
    error: str = "no",
) -> StoredDeadLetter:
    """Return a dead letter at an offset of `DEAD`, of the record at offset `source`
    of a topic's partition 0.
    """
    headers = [
        ("__connect.errors.topic", topic.encode()),
        ("__connect.errors.partition", b"0"),
        ("__connect.errors.offset", b"%d" % source),
        ("aep.source.timestamp", timestamp.encode()),
        ("aep.reason", reason.encode()),
        ("aep.error", error.encode()),
        ("aep.replay.count", b"%d" % count),
    ]
    return parse_dead_letter(
        MemoryRecord(DEAD, offset, value, record_headers=headers, record_timestamp=(1, failed))
    )
