"""The headers of a dead letter: the record's own, untouched and in order, then Kafka Connect's and ours. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from bridge.kafka.coordinates import original_coordinates
from bridge.model import DeadLetter

CONNECTOR_NAME = "aep-bridge"
ERROR_BYTES = 8192
"""An error text is cut here, between two characters."""

REPLAY_COUNT = "aep.replay.count"
"""How often the record had been dead-lettered before; a record that carries it has been a dead letter."""

CLASS_NAME = "bridge.DeadLetter"

_TIMESTAMP_TYPES = {1: "CreateTime", 2: "LogAppendTime"}


def truncate(text: str, limit: int = ERROR_BYTES) -> bytes:
    """The text as UTF-8, of at most `limit` bytes, without half a character at its end."""
    whole = text.encode("utf-8", "replace")
    return whole if len(whole) <= limit else whole[:limit].decode("utf-8", "ignore").encode()


def dead_letter_headers(letter: DeadLetter, now: datetime | None = None) -> list[tuple[str, bytes | None]]:
    """Every header of the dead letter.

    A record that was a dead letter before (it was replayed) keeps the source coordinates of its first time; the error, status, attempts
    and time of this time are appended, so that the last header of a name is the current one. What has no value (a status that AEP never
    gave) is empty, not left out, or an older one would seem current.

    Anybody who produces can write headers of these names. A record that says it comes from another topic than the one it was read from has
    not been replayed, and gets its own coordinates: a letter leads back to the topic of its record, and nowhere else.
    """
    record, refusal = letter.record, letter.refusal
    original: Sequence[tuple[str, bytes | None]] = list(record.headers() or ())
    earlier = sum(name == REPLAY_COUNT for name, _ in original)
    if earlier and ((source := original_coordinates(original)) is None or source.topic != record.topic()):
        earlier = 0
    error = truncate(refusal.error)
    ours: list[tuple[str, bytes | None]] = []
    if not earlier:
        kind, milliseconds = record.timestamp()
        ours += [
            ("__connect.errors.topic", record.topic().encode()),
            ("__connect.errors.partition", b"%d" % record.partition()),
            ("__connect.errors.offset", b"%d" % record.offset()),
            ("__connect.errors.connector.name", CONNECTOR_NAME.encode()),
            ("aep.source.timestamp", b"%d" % milliseconds if kind else b""),
            ("aep.source.timestamp.type", _TIMESTAMP_TYPES.get(kind, "NoTimestampType").encode()),
        ]
    ours += [
        ("__connect.errors.stage", b"TASK_PUT" if refusal.attempts else b"VALUE_CONVERTER"),
        ("__connect.errors.exception.class.name", f"{CLASS_NAME}.{refusal.reason.value}".encode()),
        ("__connect.errors.exception.message", error),
        ("aep.status", b"" if refusal.status is None else b"%d" % refusal.status),
        ("aep.error", error),
        ("aep.reason", refusal.reason.value.encode()),
        ("aep.batch.id", letter.batch_id.encode()),
        ("aep.inlet.id", letter.inlet_id.encode()),
        ("aep.dataset.id", (letter.dataset_id or "").encode()),
        ("aep.attempts", b"%d" % refusal.attempts),
        (
            "aep.failed.at",
            (now or datetime.now(UTC))
            .astimezone(UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
            .encode(),
        ),
        (REPLAY_COUNT, b"%d" % earlier),
    ]
    return [*original, *ours, *refusal.extra]
