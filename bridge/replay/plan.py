"""What a replay would do, worked out before anything is sent: one action for each source record that has dead letters within the bounds.

Only coordinates are held, in a database that spills to a file: a plan takes the same memory for a hundred letters and for a hundred million. The payloads are
read again when they are sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from bridge.kafka.coordinates import Coordinates
from bridge.model import TopicPartition
from bridge.replay.dead_letter import StoredDeadLetter
from bridge.replay.marks import Replayed, scratch
from bridge.replay.patch import CannotPatch, Patch
from bridge.replay.reading import Bounds
from bridge.replay.selection import Selection

_TABLES = """
CREATE TABLE letters (
  identity TEXT PRIMARY KEY, part INTEGER, at INTEGER, count INTEGER, failed INTEGER, origin INTEGER, does INTEGER, why INTEGER
) WITHOUT ROWID;
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT UNIQUE)
"""
_ADD = """
INSERT INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  part = excluded.part, at = excluded.at, count = excluded.count, failed = excluded.failed, origin = excluded.origin, does = excluded.does, why = excluded.why
WHERE (-excluded.count, excluded.failed, excluded.part, excluded.at) < (-letters.count, letters.failed, letters.part, letters.at)
"""
"""Of several letters of a record the one counts that was replayed most; of equals, the earliest, so that a repeat of a done one is not new."""
_ORIGIN = "FROM letters JOIN texts ON texts.id = origin"
_WHY = "FROM letters JOIN texts ON texts.id = why"


class Does(IntEnum):
    """What becomes of a letter."""

    SEND = 0
    PARK = 1
    """It was replayed too often."""
    DONE = 2
    """It was replayed before."""
    NOT_MEANT = 3
    UNPATCHABLE = 4


class Plan:
    """Which letters go where. Made by `plan`; not changed any more."""

    def __init__(self, bounds: Bounds, marks_end: int = 0) -> None:
        self.bounds, self.marks_end = bounds, marks_end
        self.seen = 0
        self._base = scratch()
        self._base.executescript(_TABLES)
        self._base.execute("BEGIN")
        self._parts = list(bounds.end)
        self._counts: dict[Does, int] = {}
        self._number = {where: number for number, where in enumerate(self._parts)}

    def add(self, letter: StoredDeadLetter, does: Does, why: str = "") -> None:
        """Takes a letter in."""
        self.seen += 1
        part = self._number[TopicPartition(letter.place.topic, letter.place.partition)]
        origin, told = self._text(letter.source.topic), self._text(why[:300])
        self._base.execute(
            _ADD,
            (
                letter.identity,
                part,
                letter.place.offset,
                letter.count,
                letter.failed_ms,
                origin,
                int(does),
                told,
            ),
        )

    def _text(self, text: str) -> int:
        """The number of a topic's name or of an error, each of which is kept once."""
        row = self._base.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
        return int(
            row[0]
            if row
            else self._base.execute("INSERT INTO texts (text) VALUES (?)", (text,)).lastrowid or 0
        )

    def close(self) -> None:
        """No more letters come."""
        self._base.execute("CREATE INDEX chosen ON letters (part, at, origin, does) WHERE does < 2")
        self._base.execute("COMMIT")
        self._counts = {
            Does(does): int(count)
            for does, count in self._base.execute("SELECT does, COUNT(*) FROM letters GROUP BY does")
        }

    # -- what a person is told ---------------------------------------------------------

    def count(self, does: Does) -> int:
        """Letters of which this becomes."""
        return self._counts.get(does, 0)

    @property
    def sending(self) -> int:
        """Letters to replay."""
        return self.count(Does.SEND)

    @property
    def parking(self) -> int:
        """Letters to park."""
        return self.count(Does.PARK)

    @property
    def repeats(self) -> int:
        """Letters of a record that another letter stands for."""
        return self.seen - sum(self._counts.values())

    @property
    def where_to(self) -> dict[tuple[str, Does], int]:
        """(source topic, SEND or PARK) → letters."""
        rows = self._base.execute(
            f"SELECT text, does, COUNT(*) {_ORIGIN} WHERE does < 2 GROUP BY text, does ORDER BY text, does"
        )
        return {(origin, Does(does)): count for origin, does, count in rows}

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """The most frequent errors among what is sent."""
        return list(
            self._base.execute(
                f"SELECT text, COUNT(*) {_WHY} WHERE does = 0 GROUP BY text ORDER BY COUNT(*) DESC, text LIMIT 5"
            )
        )

    @property
    def unpatchable(self) -> tuple[Coordinates, str] | None:
        """The first letter that the patch does not fit, and why."""
        row = self._base.execute(
            f"SELECT part, at, text {_WHY} WHERE does = ? ORDER BY part, at LIMIT 1", (int(Does.UNPATCHABLE),)
        ).fetchone()
        if row is None:
            return None
        where = self._parts[row[0]]
        return Coordinates(where.topic, where.partition, row[1]), row[2]

    # -- what the sending asks -----------------------------------------------------------

    def starts(self) -> dict[TopicPartition, int]:
        """The first letter to send or park in each partition; its end where there is none."""
        found = dict(self._base.execute("SELECT part, MIN(at) FROM letters WHERE does < 2 GROUP BY part"))
        return {where: found.get(number, self.bounds.end[where]) for number, where in enumerate(self._parts)}

    def origins(self, where: TopicPartition) -> list[str]:
        """The source topics of what is sent out of a partition."""
        rows = self._base.execute(
            f"SELECT DISTINCT text {_ORIGIN} WHERE part = ? AND does = 0 ORDER BY text",
            (self._number[where],),
        )
        return [origin for (origin,) in rows]

    def parking_from(self) -> list[str]:
        """The dead-letter topics out of which letters are parked."""
        return sorted(
            {
                self._parts[number].topic
                for (number,) in self._base.execute("SELECT DISTINCT part FROM letters WHERE does = 1")
            }
        )

    def chosen(self, where: TopicPartition, first: int, stop: int) -> dict[int, tuple[str, Does]]:
        """The letters between two offsets to send or park, each with its record's source topic."""
        rows = self._base.execute(
            f"SELECT at, text, does {_ORIGIN} WHERE part = ? AND at >= ? AND at < ? AND does < 2",
            (self._number[where], first, stop),
        )
        return {at: (origin, Does(does)) for at, origin, does in rows}

    def identities(self, where: TopicPartition, first: int, stop: int) -> list[tuple[str, int]]:
        """What marks the letters between two offsets that are sent or parked: identity and count."""
        rows = self._base.execute(
            "SELECT identity, count FROM letters WHERE part = ? AND at >= ? AND at < ? AND does < 2",
            (self._number[where], first, stop),
        )
        return list(rows)


def plan(
    letters: Iterable[StoredDeadLetter],
    bounds: Bounds,
    replayed: Replayed,
    selection: Selection,
    patch: Patch | None,
    max_replays: int,
) -> Plan:
    """Looks at every letter once. Those of a record that was replayed with as many failures before it are done."""
    made = Plan(bounds, replayed.end)
    for letter in letters:
        if not selection.takes(letter):
            made.add(letter, Does.NOT_MEANT)
        elif replayed.of(letter) is not None:
            made.add(letter, Does.DONE)
        elif letter.count >= max_replays:
            made.add(letter, Does.PARK)
        elif patch is None:
            made.add(letter, Does.SEND, letter.normal)
        else:
            try:
                patch.apply(letter.record.value())
                made.add(letter, Does.SEND, letter.normal)
            except CannotPatch as problem:
                made.add(letter, Does.UNPATCHABLE, str(problem))
    made.close()
    return made
