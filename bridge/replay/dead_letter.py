"""One dead letter, read from its topic: where its record came from, what was wrong,
and the record itself. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.kafka.coordinates import Coordinates, original_coordinates, parse_number
from bridge.kafka.dead_letter_headers import ERROR_BYTES, REPLAY_COUNT
from bridge.model import Record

LABEL_CHARACTERS = 200
"""Of a reason, a status or a dataset. Ours are shorter; those that others wrote are cut."""
MAX_REPLAYS = 1_000_000
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
"""The calendar of `datetime`: the years 1 to 9999, in seconds since the epoch."""
_TIMESTAMP = re.compile(rb"-?\d{1,19}")

_VARIABLE_PARTS = (
    (re.compile(r"\[[^\]]*\]"), "[…]"),
    (re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{18,}"), "…"),
    (re.compile(r"\b[0-9a-fA-F]{16,}\b"), "…"),
    (re.compile(r"\d[\d,.]*"), "…"),
)
"""What differs between the errors of one fault: brackets with values, UUIDs, ids, numbers."""


def error_kind(error: str) -> str:
    """Return an error's text without the parts that differ between records of the same fault."""
    # Cut first: no more is shown, and the time that a pattern takes must not grow with what strangers wrote.
    text = " ".join(error[:2000].split())
    for pattern, replacement in _VARIABLE_PARTS:
        text = pattern.sub(replacement, text)
    return text[:300]


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A record of a dead-letter topic, with its headers parsed: ours, or those that Kafka Connect writes."""

    record: Record
    coordinates: Coordinates
    """Where the dead letter is."""
    source: Coordinates
    """Where its record was read the first time; the dead letter's own coordinates
    if no header names others.
    """
    reason: str
    error: str
    status: str
    dataset: str
    earlier_failures: int
    """How often the record had been dead-lettered before."""
    failed_ms: int
    """When it failed last, in milliseconds since the epoch."""
    source_timestamp: str
    """The source record's timestamp as the headers have it; empty if they have none."""

    @property
    def identity(self) -> str:
        """Equal for all dead letters of one source record.

        The timestamp distinguishes records of a topic that was created anew, with offsets from 0.
        """
        return f"{self.source}@{self.source_timestamp}"

    @property
    def kind(self) -> str:
        """What dead letters are grouped by: the kind of the error, or the reason if there is no error."""
        return error_kind(self.error) or self.reason

    def as_json(self) -> dict[str, Any]:
        """Return everything but key, headers and payload, as plain values."""
        return {
            "letter": str(self.coordinates),
            "source": str(self.source),
            "reason": self.reason,
            "status": self.status or None,
            "error": self.error,
            "dataset": self.dataset or None,
            "replay_count": self.earlier_failures,
            "failed_at": iso_time(self.failed_ms),
        }


def iso_time(milliseconds: int) -> str:
    """Return a time in ISO 8601, UTC, to the second.

    A time outside of the calendar becomes the calendar's end.
    """
    seconds = min(max(milliseconds // 1000, _FIRST_S), _LAST_S)
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_dead_letter(record: Record) -> StoredDeadLetter:
    """Return what a record's headers say; of several headers with one name, the last counts.

    Anybody can write headers: what can't be true, such as a count of a thousand digits, counts as absent.
    """
    headers = record.headers() or ()
    coordinates = Coordinates(record.topic(), record.partition(), record.offset())
    last = {name: value or b"" for name, value in headers}
    exception_class = _text(last, "__connect.errors.exception.class.name", ERROR_BYTES).rpartition(".")[2]
    timestamp = last.get("aep.source.timestamp", b"")
    return StoredDeadLetter(
        record=record,
        coordinates=coordinates,
        source=original_coordinates(headers) or coordinates,
        reason=_text(last, "aep.reason") or exception_class[:LABEL_CHARACTERS] or "unknown",
        error=_text(last, "aep.error", ERROR_BYTES)
        or _text(last, "__connect.errors.exception.message", ERROR_BYTES),
        status=_text(last, "aep.status"),
        dataset=_text(last, "aep.dataset.id"),
        earlier_failures=parse_number(last.get(REPLAY_COUNT), MAX_REPLAYS) or 0,
        failed_ms=record.timestamp()[1],
        source_timestamp=timestamp.decode() if _TIMESTAMP.fullmatch(timestamp) else "",
    )


def _text(last: Mapping[str, bytes], name: str, characters: int = LABEL_CHARACTERS) -> str:
    return last.get(name, b"")[: 4 * characters].decode("utf-8", "replace")[:characters]
