"""Which dead letters were replayed already: a mark for each source record, in a compacted topic of the bridge's own.

A mark is written when a letter is settled (accepted, refused once more, or parked), and says how often the record had been dead-lettered before.
A letter with that count, or a lower one, was replayed; one that failed again has a higher count, and was not. A crash between an answer and its mark
leaves the letter unmarked.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.config.settings import Settings
from bridge.kafka.coordinates import parse_number
from bridge.kafka.topics import TopicAdmin
from bridge.replay.dead_letter import MOST_REPLAYS, StoredDeadLetter
from bridge.replay.reading import Bounds, Reader

ACKNOWLEDGED_S = 120.0


class NotAcknowledged(Exception):
    """The brokers did not take a record; what stands behind it was not committed."""


class Mark(NamedTuple):
    """That a letter was replayed: how often it had failed before, when (ISO 8601), and where to."""

    failures: int
    at: str
    to: str


def scratch() -> sqlite3.Connection:
    """A database of this process alone, in a temporary file once it is large: what is held in memory stays the same however many letters there are."""
    made = sqlite3.connect("", check_same_thread=False, isolation_level=None)
    made.executescript(
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8192; PRAGMA locking_mode=EXCLUSIVE"
    )
    return made


class Replayed:
    """The marks that there are."""

    def __init__(self, marks: Iterable[tuple[str, Mark]] = ()) -> None:
        self._base = scratch()
        self._base.execute(
            "CREATE TABLE marks (identity TEXT PRIMARY KEY, count INTEGER, at TEXT, goal TEXT) WITHOUT ROWID"
        )
        self._base.execute("BEGIN")
        self._base.executemany(
            "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)",
            ((identity, *mark) for identity, mark in marks),
        )
        self._base.execute("COMMIT")
        self.end = 0
        """Where the topic of the marks ended."""

    @classmethod
    def read(cls, settings: Settings, reader: Reader) -> Replayed:
        """Raises `Unreachable`."""
        bounds = _bounds(settings, reader)
        found = cls(_understood(reader, bounds) if bounds.records else ())
        found.end = sum(bounds.end.values())
        return found

    @staticmethod
    def ends(settings: Settings, reader: Reader) -> int:
        """Where the topic of the marks ends now. Raises `Unreachable`."""
        return sum(_bounds(settings, reader).end.values())

    def of(self, letter: StoredDeadLetter) -> Mark | None:
        """The mark that holds for a letter."""
        row = self._base.execute(
            "SELECT count, at, goal FROM marks WHERE identity = ? AND count >= ?",
            (letter.identity, letter.count),
        ).fetchone()
        return None if row is None else Mark(*row)


def _bounds(settings: Settings, reader: Reader) -> Bounds:
    return reader.bounds(TopicAdmin(settings.admin_properties()).partition_counts([settings.replayed_topic]))


def _understood(reader: Reader, bounds: Bounds) -> Iterable[tuple[str, Mark]]:
    for record in reader.records(bounds):
        try:
            told = json.loads(record.value() or b"")
            count, at, to = (
                parse_number(str(told["count"]).encode(), MOST_REPLAYS),
                str(told["at"]),
                str(told["to"]),
            )
            (at + to).encode()  # half a surrogate pair is no text
            if count is not None:
                yield (record.key() or b"").decode(), Mark(count, at, to)
        except (
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
        ):  # nobody else's business there; what is no mark marks nothing
            continue


class Marker:
    """Writes marks; `flush` before what they tell of is reported. Makes the topic. Raises `TopicError`, `Unreachable`."""

    def __init__(self, settings: Settings, to: str) -> None:
        self._topic, self._to = settings.replayed_topic, to
        TopicAdmin(settings.admin_properties()).ensure_marks_topic(
            self._topic, create=settings.dead_letter.create_topics
        )
        self._producer = Producer(settings.producer_properties())
        self._error = ""

    def put(self, settled: Iterable[tuple[str, int]]) -> None:
        """Marks letters: their identities and counts. Raises `NotAcknowledged`, for earlier ones too."""
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        for identity, count in settled:
            value = json.dumps({"count": count, "at": at, "to": self._to}).encode()
            while True:
                try:
                    self._producer.produce(self._topic, value, identity.encode(), on_delivery=self._heard)
                    break
                except BufferError:
                    self._producer.poll(0.1)
                except KafkaException as problem:
                    raise NotAcknowledged(f"{self._topic}: {problem.args[0].str()}") from None
        self._producer.poll(0)
        if self._error:
            raise NotAcknowledged(self._error)

    def flush(self) -> None:
        """Raises `NotAcknowledged`."""
        left = self._producer.flush(ACKNOWLEDGED_S)
        if self._error or left:
            raise NotAcknowledged(
                self._error
                or f"{self._topic}: {left} marks were not acknowledged within {ACKNOWLEDGED_S:.0f} s"
            )

    def _heard(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._error = f"{message.topic()}: {error.str()}"
