"""Which dead letters were replayed already: a mark for each source record, in a compacted topic of the
bridge's own.

A mark is written when a dead letter is settled: accepted, refused once more, or parked. It says how often
the record had been dead-lettered before. A dead letter with that count, or a lower one, was replayed; one
that failed again since has a higher count, and was not. A crash between a response and its mark leaves the
dead letter unmarked, so that it is replayed again: rather twice than never.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from bridge.config.settings import Settings
from bridge.kafka.acknowledged_producer import AcknowledgedProducer
from bridge.kafka.coordinates import parse_number
from bridge.kafka.reader import Bounds, TopicReader
from bridge.kafka.topics import TopicAdmin
from bridge.model import Record
from bridge.replay.dead_letter import MAX_REPLAYS, StoredDeadLetter
from bridge.replay.temporary_database import temporary_database


class Mark(NamedTuple):
    """That a dead letter was replayed."""

    earlier_failures: int
    """How often its record had been dead-lettered before."""
    replayed_at: str
    """ISO 8601."""
    destination: str
    """`aep` or `source`."""


class ReplayMarks:
    """The marks at one moment."""

    def __init__(self, marks: Iterable[tuple[str, Mark]] = (), end: int = 0) -> None:
        """`marks` are pairs of a dead letter's identity and its mark; `end` is where their topic ended."""
        self.end = end
        self._database = temporary_database()
        self._database.execute(
            "CREATE TABLE marks (identity TEXT PRIMARY KEY, earlier_failures INTEGER, replayed_at TEXT, "
            "destination TEXT) WITHOUT ROWID"
        )
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)",
            ((identity, *mark) for identity, mark in marks),
        )
        self._database.execute("COMMIT")

    @classmethod
    def read(cls, settings: Settings, reader: TopicReader) -> ReplayMarks:
        """Return the marks that were written up to now. Raises `Unreachable`."""
        bounds = _bounds(settings, reader)
        records = reader.records(bounds) if bounds.records else iter(())
        return cls(parse_marks(records), end=sum(bounds.end.values()))

    @staticmethod
    def current_end(settings: Settings, reader: TopicReader) -> int:
        """Return where the topic of the marks ends now. Raises `Unreachable`."""
        return sum(_bounds(settings, reader).end.values())

    def of(self, letter: StoredDeadLetter) -> Mark | None:
        """Return the mark which says that this dead letter was replayed; None if it was not."""
        row = self._database.execute(
            "SELECT earlier_failures, replayed_at, destination FROM marks "
            "WHERE identity = ? AND earlier_failures >= ?",
            (letter.identity, letter.earlier_failures),
        ).fetchone()
        return None if row is None else Mark(*row)


def _bounds(settings: Settings, reader: TopicReader) -> Bounds:
    topics = TopicAdmin(settings.admin_properties())
    return reader.bounds(topics.partition_counts([settings.replayed_topic]))


def parse_marks(records: Iterable[Record]) -> Iterator[tuple[str, Mark]]:
    """Yield the marks among these records. What is no mark, whoever wrote it, is left out."""
    for record in records:
        try:
            mark = json.loads(record.value() or b"")
            count = parse_number(str(mark["count"]).encode(), MAX_REPLAYS)
            replayed_at, destination = str(mark["at"]), str(mark["to"])
            (replayed_at + destination).encode()  # fails for half a surrogate pair, which is no text
            identity = (record.key() or b"").decode()
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if count is not None:
            yield identity, Mark(count, replayed_at, destination)


class MarkWriter:
    """Writes marks, and creates their topic. Call `flush` before anything that the marks say is reported."""

    def __init__(self, settings: Settings, destination: str) -> None:
        """Raises `TopicError`, `Unreachable`."""
        self._topic, self._destination = settings.replayed_topic, destination
        topics = TopicAdmin(settings.admin_properties())
        topics.ensure_marks_topic(self._topic, create=settings.dead_letter.create_topics)
        self._producer = AcknowledgedProducer(settings.producer_properties())

    def put(self, letters: Iterable[tuple[str, int]]) -> None:
        """Mark dead letters, given their identities and counts of earlier failures.

        Raises `NotAcknowledged` if these marks or earlier ones were refused.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        for identity, earlier_failures in letters:
            mark = {"count": earlier_failures, "at": now, "to": self._destination}
            self._producer.put(self._topic, json.dumps(mark).encode(), identity.encode())
        self._producer.poll()

    def flush(self) -> None:
        """Wait until every mark is acknowledged. Raises `NotAcknowledged`."""
        self._producer.flush()
