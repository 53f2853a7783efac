"""The headers of a dead letter: the record's own, unchanged, then Kafka Connect's and the bridge's. Pure.

docs/reference/headers.md is generated from this; replays read these headers again (replay/dead_letter).
"""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.kafka.coordinates import original_coordinates
from bridge.model import DeadLetter, Headers, Record, Refusal

CONNECTOR_NAME = "aep-bridge"
CLASS_NAME = "bridge.DeadLetter"
"""Kafka Connect writes the class of an exception. The bridge writes this name and the reason."""

REPLAY_COUNT = "aep.replay.count"
"""How often the record had been dead-lettered before. A record that carries this header has been a dead
letter."""

ERROR_BYTES = 8192
"""A longer error text is truncated, between two characters."""

_TIMESTAMP_TYPES = {1: "CreateTime", 2: "LogAppendTime"}

_Header = tuple[str, bytes | None]


def dead_letter_headers(letter: DeadLetter, now: datetime | None = None) -> list[_Header]:
    """Return every header of the dead letter. `now` stands for the present time in tests.

    A record that was a dead letter before, and was replayed, keeps the coordinates of the record that was
    read the first time. The error, status, attempts and time are appended each time, so that the last
    header of a name is the current one. A header without a value, such as a status where AEP gave none, is
    empty and not left out: otherwise the one of an earlier time would seem current.
    """
    record, refusal = letter.record, letter.refusal
    own = list(record.headers() or ())
    earlier_times = _earlier_times(record, own)
    coordinates = [] if earlier_times else _coordinate_headers(record)
    failure = _failure_headers(letter, now or datetime.now(UTC))
    count = (REPLAY_COUNT, b"%d" % earlier_times)
    return [*own, *coordinates, *failure, count, *refusal.extra]


def truncate(text: str, limit: int = ERROR_BYTES) -> bytes:
    """Return a text as at most `limit` bytes of UTF-8, without half a character at the end."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded
    return encoded[:limit].decode("utf-8", "ignore").encode()


def _earlier_times(record: Record, headers: Headers) -> int:
    """Return how often a record has been dead-lettered before, as its headers say.

    Any producer can write headers of these names. A record that claims to come from another topic than the
    one it was read from has not been replayed, and gets coordinates of its own: a dead letter leads back to
    the topic of its record, and never to another one.
    """
    times = sum(name == REPLAY_COUNT for name, _ in headers)
    if times == 0:
        return 0
    original = original_coordinates(headers)
    return times if original is not None and original.topic == record.topic() else 0


def _coordinate_headers(record: Record) -> list[_Header]:
    timestamp_type, milliseconds = record.timestamp()
    type_name = _TIMESTAMP_TYPES.get(timestamp_type, "NoTimestampType")
    return [
        ("__connect.errors.topic", record.topic().encode()),
        ("__connect.errors.partition", b"%d" % record.partition()),
        ("__connect.errors.offset", b"%d" % record.offset()),
        ("__connect.errors.connector.name", CONNECTOR_NAME.encode()),
        ("aep.source.timestamp", b"%d" % milliseconds if timestamp_type else b""),
        ("aep.source.timestamp.type", type_name.encode()),
    ]


def _failure_headers(letter: DeadLetter, now: datetime) -> list[_Header]:
    refusal = letter.refusal
    error = truncate(refusal.error)
    return [
        ("__connect.errors.stage", _stage(refusal)),
        ("__connect.errors.exception.class.name", f"{CLASS_NAME}.{refusal.reason.value}".encode()),
        ("__connect.errors.exception.message", error),
        ("aep.status", b"" if refusal.status is None else b"%d" % refusal.status),
        ("aep.error", error),
        ("aep.reason", refusal.reason.value.encode()),
        ("aep.batch.id", letter.batch_id.encode()),
        ("aep.inlet.id", letter.inlet_id.encode()),
        ("aep.dataset.id", (letter.dataset_id or "").encode()),
        ("aep.attempts", b"%d" % refusal.attempts),
        ("aep.failed.at", _iso_8601(now)),
    ]


def _stage(refusal: Refusal) -> bytes:
    """Return Kafka Connect's name of what failed: to send the record, or to read its value."""
    return b"TASK_PUT" if refusal.attempts else b"VALUE_CONVERTER"


def _iso_8601(moment: datetime) -> bytes:
    """Return a moment in UTC, with milliseconds: `2026-03-01T12:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
