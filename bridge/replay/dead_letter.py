"""One dead letter, read from its topic: where the record came from, what was wrong, and the record itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.kafka.coordinates import Coordinates, original_coordinates, parse_number
from bridge.kafka.dead_letter_headers import ERROR_BYTES, REPLAY_COUNT
from bridge.model import Record

LABEL = 200
"""Characters of a reason, a status or a dataset: ours are shorter, those of others are cut."""
MOST_REPLAYS = 1_000_000
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999."""
_TIMESTAMP = re.compile(rb"-?\d{1,19}")

_NORMAL = (
    (re.compile(r"\[[^\]]*\]"), "[…]"),
    (re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{18,}"), "…"),
    (re.compile(r"\b[0-9a-fA-F]{16,}\b"), "…"),
    (re.compile(r"\d[\d,.]*"), "…"),
)


def normal(error: str) -> str:
    """An error's text without what differs between records of the same fault: ids, numbers, what stands in brackets."""
    text = " ".join(
        error[:2000].split()
    )  # no more is shown, and a pattern's time must not grow with what strangers wrote
    for pattern, put in _NORMAL:
        text = pattern.sub(put, text)
    return text[:300]


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A record of a dead-letter topic, with its headers understood. Foreign ones (Kafka Connect's) have what their headers say."""

    record: Record
    place: Coordinates
    """Where the dead letter is."""
    source: Coordinates
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
    """A time for people and scripts: ISO 8601, UTC, to the second. What no calendar has is the calendar's end."""
    seconds = min(max(milliseconds // 1000, _FIRST_S), _LAST_S)
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def understood(record: Record) -> StoredDeadLetter:
    """What the headers say, the last of each name. Headers are anybody's: what can't be true (a count of a thousand digits) counts as absent."""
    headers = record.headers() or ()
    place = Coordinates(record.topic(), record.partition(), record.offset())
    last = {name: value or b"" for name, value in headers}
    made = last.get("aep.source.timestamp", b"")
    return StoredDeadLetter(
        record=record,
        place=place,
        source=original_coordinates(headers) or place,
        reason=_text(last, "aep.reason")
        or _text(last, "__connect.errors.exception.class.name", ERROR_BYTES).rpartition(".")[2][:LABEL]
        or "unknown",
        error=_text(last, "aep.error", ERROR_BYTES)
        or _text(last, "__connect.errors.exception.message", ERROR_BYTES),
        status=_text(last, "aep.status"),
        dataset=_text(last, "aep.dataset.id"),
        count=parse_number(last.get(REPLAY_COUNT), MOST_REPLAYS) or 0,
        failed_ms=record.timestamp()[1],
        made=made.decode() if _TIMESTAMP.fullmatch(made) else "",
    )


def _text(last: Mapping[str, bytes], name: str, most: int = LABEL) -> str:
    return last.get(name, b"")[: 4 * most].decode("utf-8", "replace")[:most]
