"""What a replay would do, decided before anything is sent: one action for each source record with dead
letters.

The plan holds coordinates only, in a database that spills to a file, so that it takes the same memory for a
hundred dead letters and for a hundred million. The payloads are read again when they are sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from bridge.kafka.coordinates import Coordinates
from bridge.kafka.reader import Bounds
from bridge.model import TopicPartition
from bridge.replay.dead_letter import StoredDeadLetter
from bridge.replay.marks import ReplayMarks
from bridge.replay.patch import CannotPatch, Patch
from bridge.replay.selection import Selection
from bridge.replay.temporary_database import temporary_database

_TABLES = """
CREATE TABLE letters (
  identity TEXT PRIMARY KEY, part INTEGER, at INTEGER, count INTEGER, failed INTEGER, source_topic INTEGER,
  action INTEGER, why INTEGER
) WITHOUT ROWID;
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT UNIQUE)
"""
_ADD = """
INSERT INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  part = excluded.part, at = excluded.at, count = excluded.count, failed = excluded.failed,
  source_topic = excluded.source_topic, action = excluded.action, why = excluded.why
WHERE (-excluded.count, excluded.failed, excluded.part, excluded.at)
    < (-letters.count, letters.failed, letters.part, letters.at)
"""
"""Of several dead letters of a record, the one that failed most often counts; of equals the earliest, so
that a repeat of a replayed one does not count as new.
"""
_WITH_SOURCE_TOPIC = "FROM letters JOIN texts ON texts.id = source_topic"
_WITH_WHY = "FROM letters JOIN texts ON texts.id = why"


class Action(IntEnum):
    """What becomes of a dead letter. Only the first two do anything (`action < 2` in the queries)."""

    SEND = 0
    PARK = 1
    """It was replayed too often."""
    DONE = 2
    """It was replayed before."""
    NOT_SELECTED = 3
    UNPATCHABLE = 4


class Plan:
    """Which dead letters go where. `make_plan` fills it; after `finish` it does not change any more."""

    def __init__(self, bounds: Bounds, marks_end: int = 0) -> None:
        """`marks_end` is where the topic of the marks ended when the plan was begun."""
        self.bounds, self.marks_end = bounds, marks_end
        self.total = 0
        """Dead letters that were looked at."""
        self._database = temporary_database()
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")
        self._partitions = list(bounds.end)
        self._number = {partition: number for number, partition in enumerate(self._partitions)}
        self._counts: dict[Action, int] = {}

    def add(self, letter: StoredDeadLetter, action: Action, why: str = "") -> None:
        """Add a dead letter; `why` is the kind of its error, or why the patch does not fit."""
        self.total += 1
        partition = TopicPartition(letter.coordinates.topic, letter.coordinates.partition)
        row = (
            letter.identity,
            self._number[partition],
            letter.coordinates.offset,
            letter.earlier_failures,
            letter.failed_ms,
            self._text_id(letter.source.topic),
            int(action),
            self._text_id(why[:300]),
        )
        self._database.execute(_ADD, row)

    def _text_id(self, text: str) -> int:
        """Return the id of a topic's name or of an error, each of which is stored once."""
        row = self._database.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
        if row:
            return int(row[0])
        return self._database.execute("INSERT INTO texts (text) VALUES (?)", (text,)).lastrowid or 0

    def finish(self) -> None:
        """Say that no more dead letters come."""
        self._database.execute(
            "CREATE INDEX chosen ON letters (part, at, source_topic, action) WHERE action < 2"
        )
        self._database.execute("COMMIT")
        rows = self._database.execute("SELECT action, COUNT(*) FROM letters GROUP BY action")
        self._counts = {Action(action): int(count) for action, count in rows}

    # -- for the summary -----------------------------------------------------------------

    def count(self, action: Action) -> int:
        """Return how many dead letters have this action."""
        return self._counts.get(action, 0)

    @property
    def to_send(self) -> int:
        """Dead letters to replay."""
        return self.count(Action.SEND)

    @property
    def to_park(self) -> int:
        """Dead letters to park."""
        return self.count(Action.PARK)

    @property
    def repeats(self) -> int:
        """Dead letters of a record for which another one counts."""
        return self.total - sum(self._counts.values())

    @property
    def destinations(self) -> dict[tuple[str, Action], int]:
        """How many dead letters each source topic has to send, and how many to park."""
        rows = self._database.execute(
            f"SELECT text, action, COUNT(*) {_WITH_SOURCE_TOPIC} WHERE action < 2 "
            "GROUP BY text, action ORDER BY text, action"
        )
        return {(source_topic, Action(action)): count for source_topic, action, count in rows}

    @property
    def frequent_errors(self) -> list[tuple[str, int]]:
        """The five most frequent kinds of error among what is sent, each with its count."""
        rows = self._database.execute(
            f"SELECT text, COUNT(*) {_WITH_WHY} WHERE action = 0 "
            "GROUP BY text ORDER BY COUNT(*) DESC, text LIMIT 5"
        )
        return list(rows)

    @property
    def first_unpatchable(self) -> tuple[Coordinates, str] | None:
        """The first dead letter that the patch does not fit, and why; None if it fits all."""
        row = self._database.execute(
            f"SELECT part, at, text {_WITH_WHY} WHERE action = ? ORDER BY part, at LIMIT 1",
            (int(Action.UNPATCHABLE),),
        ).fetchone()
        if row is None:
            return None
        partition = self._partitions[row[0]]
        return Coordinates(partition.topic, partition.partition, row[1]), row[2]

    def counts_as_json(self) -> dict[str, int]:
        """Return the counts under the names that scripts read."""
        return {
            "replay": self.to_send,
            "park": self.to_park,
            "done_before": self.count(Action.DONE),
            "repeats": self.repeats,
            "not_meant": self.count(Action.NOT_SELECTED),
            "unpatchable": self.count(Action.UNPATCHABLE),
            "letters": self.total,
        }

    def destinations_as_json(self) -> list[dict[str, Any]]:
        """Return the destinations under the names that scripts read."""
        names = {Action.SEND: "replay", Action.PARK: "park"}
        return [
            {"source_topic": source_topic, "action": names[action], "count": count}
            for (source_topic, action), count in self.destinations.items()
        ]

    # -- for the replay ------------------------------------------------------------------

    def starts(self) -> dict[TopicPartition, int]:
        """Return the first offset to send or park in each partition; its end if there is none."""
        first = dict(
            self._database.execute("SELECT part, MIN(at) FROM letters WHERE action < 2 GROUP BY part")
        )
        return {
            partition: first.get(number, self.bounds.end[partition])
            for number, partition in enumerate(self._partitions)
        }

    def source_topics(self, partition: TopicPartition) -> list[str]:
        """Return the source topics of what is sent out of a partition."""
        rows = self._database.execute(
            f"SELECT DISTINCT text {_WITH_SOURCE_TOPIC} WHERE part = ? AND action = 0 ORDER BY text",
            (self._number[partition],),
        )
        return [source_topic for (source_topic,) in rows]

    def topics_with_parked(self) -> list[str]:
        """Return the dead-letter topics out of which dead letters are parked."""
        rows = self._database.execute("SELECT DISTINCT part FROM letters WHERE action = 1")
        return sorted({self._partitions[number].topic for (number,) in rows})

    def actions(self, partition: TopicPartition, first: int, stop: int) -> dict[int, tuple[str, Action]]:
        """Return the offsets from `first` up to `stop` to send or park, each with
        its record's source topic.
        """
        rows = self._database.execute(
            f"SELECT at, text, action {_WITH_SOURCE_TOPIC} "
            "WHERE part = ? AND at >= ? AND at < ? AND action < 2",
            (self._number[partition], first, stop),
        )
        return {offset: (source_topic, Action(action)) for offset, source_topic, action in rows}

    def identities(self, partition: TopicPartition, first: int, stop: int) -> list[tuple[str, int]]:
        """Return what marks the dead letters of these offsets that are sent or parked: identity and count."""
        rows = self._database.execute(
            "SELECT identity, count FROM letters WHERE part = ? AND at >= ? AND at < ? AND action < 2",
            (self._number[partition], first, stop),
        )
        return list(rows)


def make_plan(
    letters: Iterable[StoredDeadLetter],
    bounds: Bounds,
    marks: ReplayMarks,
    selection: Selection,
    patch: Patch | None,
    max_replays: int,
) -> Plan:
    """Look at every dead letter once, and decide what becomes of it."""
    plan = Plan(bounds, marks.end)
    for letter in letters:
        action, why = _decide(letter, marks, selection, patch, max_replays)
        plan.add(letter, action, why)
    plan.finish()
    return plan


def _decide(
    letter: StoredDeadLetter,
    marks: ReplayMarks,
    selection: Selection,
    patch: Patch | None,
    max_replays: int,
) -> tuple[Action, str]:
    if not selection.matches(letter):
        return Action.NOT_SELECTED, ""
    if marks.of(letter) is not None:
        return Action.DONE, ""
    if letter.earlier_failures >= max_replays:
        return Action.PARK, ""
    if patch is not None:
        try:
            patch.apply(letter.record.value())
        except CannotPatch as problem:
            return Action.UNPATCHABLE, str(problem)
    return Action.SEND, letter.kind
