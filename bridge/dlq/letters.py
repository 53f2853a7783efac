"""One dead letter, read from its topic: where the record came from, what was wrong, and the record itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bridge.letterhead import REPLAY_COUNT
from bridge.model import Record


class Place(NamedTuple):
    """A record's coordinates."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


_NORMAL = (
    (re.compile(r"\[[^\]]*\]"), "[…]"),
    (re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{18,}"), "…"),
    (re.compile(r"\b[0-9a-fA-F]{16,}\b"), "…"),
    (re.compile(r"\d[\d,.]*"), "…"),
)


def normal(error: str) -> str:
    """An error's text without what differs between records of the same fault: ids, numbers, what stands in brackets."""
    text = " ".join(error.split())
    for pattern, put in _NORMAL:
        text = pattern.sub(put, text)
    return text[:300]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of a dead-letter topic, with its headers understood. Foreign ones (Kafka Connect's) have what their headers say."""

    record: Record
    place: Place
    """Where the dead letter is."""
    source: Place
    """Where the record was read the first time; the dead letter's own place where no header tells."""
    reason: str
    error: str
    status: str
    dataset: str
    count: int
    """How often it had been dead-lettered before."""
    failed_ms: int
    """When it failed last, in milliseconds since the epoch."""
    made: str
    """The source record's timestamp, as the headers have it; empty where they don't tell."""

    @property
    def identity(self) -> str:
        """The same for all letters of one source record; the timestamp tells records apart whose topic was made anew, with offsets from 0."""
        return f"{self.source}@{self.made}"

    @property
    def normal(self) -> str:
        """What it is grouped by."""
        return normal(self.error) or self.reason

    def as_json(self) -> dict[str, Any]:
        """Everything but the payload, as plain values."""
        return {
            "letter": str(self.place),
            "source": str(self.source),
            "reason": self.reason,
            "status": self.status or None,
            "error": self.error,
            "dataset": self.dataset or None,
            "replay_count": self.count,
            "failed_at": stamp(self.failed_ms),
        }


def stamp(milliseconds: int) -> str:
    """A time for people and scripts: ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def understood(record: Record) -> DeadLetter:
    """What the headers say: the first of each of the source's coordinates, the last of everything else."""
    place = Place(record.topic(), record.partition(), record.offset())
    first: dict[str, str] = {}
    last: dict[str, str] = {}
    for name, value in record.headers() or ():
        text = (value or b"").decode("utf-8", "replace")
        first.setdefault(name, text)
        last[name] = text
    return DeadLetter(
        record=record,
        place=place,
        source=_source(first, place),
        reason=last.get("aep.reason") or last.get("__connect.errors.exception.class.name", "").rpartition(".")[2] or "unknown",
        error=last.get("aep.error") or last.get("__connect.errors.exception.message", ""),
        status=last.get("aep.status", ""),
        dataset=last.get("aep.dataset.id", ""),
        count=int(last[REPLAY_COUNT]) if last.get(REPLAY_COUNT, "").isdecimal() else 0,
        failed_ms=record.timestamp()[1],
        made=first.get("aep.source.timestamp", ""),
    )


def _source(first: Mapping[str, str], place: Place) -> Place:
    topic, partition, offset = (first.get(f"__connect.errors.{part}", "") for part in ("topic", "partition", "offset"))
    if topic and partition.isdecimal() and offset.isdecimal():
        return Place(topic, int(partition), int(offset))
    return place
