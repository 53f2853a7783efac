"""Dead letters in groups: by what is wrong (`dlq list`), and in numbers (`dlq stats`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bridge.kafka.coordinates import Coordinates
from bridge.replay.dead_letter import StoredDeadLetter, iso_time
from bridge.replay.marks import Mark


@dataclass(slots=True)
class ErrorGroup:
    """Dead letters with one reason, one status and one kind of error."""

    reason: str
    status: str
    error: str
    sample: Coordinates
    first_ms: int
    last_ms: int
    count: int = 0
    replayed: int = 0
    source_topics: set[str] = field(default_factory=set)

    def add(self, letter: StoredDeadLetter, mark: Mark | None) -> None:
        """Count a dead letter of this group."""
        self.count += 1
        self.replayed += mark is not None
        self.first_ms = min(self.first_ms, letter.failed_ms)
        self.last_ms = max(self.last_ms, letter.failed_ms)
        self.source_topics.add(letter.source.topic)

    def as_json(self) -> dict[str, Any]:
        """Return the group under the names that scripts read."""
        return {
            "reason": self.reason,
            "status": self.status or None,
            "error": self.error,
            "count": self.count,
            "first": iso_time(self.first_ms),
            "last": iso_time(self.last_ms),
            "topics": sorted(self.source_topics),
            "sample": str(self.sample),
            "replayed": self.replayed,
        }


def group_by_error(letters: Iterable[tuple[StoredDeadLetter, Mark | None]]) -> list[ErrorGroup]:
    """Return the groups of these dead letters, the largest first."""
    groups: dict[tuple[str, str, str], ErrorGroup] = {}
    for letter, mark in letters:
        key = (letter.reason, letter.status, letter.kind)
        if key not in groups:
            groups[key] = ErrorGroup(*key, letter.coordinates, letter.failed_ms, letter.failed_ms)
        groups[key].add(letter, mark)
    return sorted(groups.values(), key=lambda group: -group.count)


class Statistic(NamedTuple):
    """What dead letters are counted by. The names are those that scripts read."""

    topic: str
    """The dead-letter topic."""
    source_topic: str
    reason: str
    replay_count: int
    """How often the records had been dead-lettered before."""
    replayed: bool


def count(letters: Iterable[tuple[StoredDeadLetter, Mark | None]]) -> Counter[Statistic]:
    """Return how many of these dead letters there are of each kind."""
    return Counter(
        Statistic(
            letter.coordinates.topic,
            letter.source.topic,
            letter.reason,
            letter.earlier_failures,
            mark is not None,
        )
        for letter, mark in letters
    )
