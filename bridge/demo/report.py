"""What the demo saw. Each number is counted where it happened: at the producer, in the local
AEP, in Kafka.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bridge.model import Record

_BRACKETS = re.compile(r"\[[^\]]*\]")
_NUMBER = re.compile(r"\d[\d,]*\d")


@dataclass(frozen=True, slots=True)
class DemoDeadLetter:
    """A dead letter as it stands in its topic, as text."""

    topic: str
    key: str
    headers: tuple[tuple[str, str], ...]
    """All of them, in order: the record's own, then ours."""

    @classmethod
    def of(cls, record: Record) -> DemoDeadLetter:
        """Return the dead letter that a record of a dead-letter topic is."""
        headers = [
            (name, (value or b"").decode("utf-8", "replace")) for name, value in record.headers() or ()
        ]
        return cls(record.topic(), (record.key() or b"").decode(), tuple(headers))

    def header(self, name: str) -> str:
        """Return the last header of this name; empty if there is none."""
        return next((value for each, value in reversed(self.headers) if each == name), "")

    @property
    def error(self) -> str:
        """What was wrong."""
        return self.header("aep.error")

    @property
    def kind(self) -> str:
        """The error without what differs between records of the same fault."""
        return _NUMBER.sub("…", _BRACKETS.sub("[…]", self.error), count=1)


@dataclass(slots=True)
class Report:
    """Every event, accounted for by its id."""

    produced: int = 0
    accepted: int = 0
    """Different events in AEP."""
    duplicates: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    """By the status of their response."""
    dead_letters: list[DemoDeadLetter] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Ids of events that are neither in AEP nor in a dead-letter topic."""
    wrongly_dead_lettered: list[str] = field(default_factory=list)
    """Ids of good events in a dead-letter topic."""
    retries: int = 0
    """Waits before another attempt."""
    seconds: float = 0.0

    def first_of_each_kind(self) -> list[DemoDeadLetter]:
        """Return the first dead letter of each kind, by key."""
        first = {letter.kind: letter for letter in reversed(self.dead_letters)}
        return sorted(first.values(), key=lambda letter: letter.key)

    def as_json(self) -> dict[str, Any]:
        """Return the report under the names that scripts read."""
        return {
            "produced": self.produced,
            "accepted": self.accepted,
            "dead_lettered": len(self.dead_letters),
            "dead_lettered_by_error": dict(Counter(letter.error for letter in self.dead_letters)),
            "first_dead_letters": [
                {"topic": letter.topic, "key": letter.key, "headers": [list(pair) for pair in letter.headers]}
                for letter in self.first_of_each_kind()
            ],
            "retried": self.retries,
            "duplicates": self.duplicates,
            "lost": len(self.lost),
            "wrongly_dead_lettered": len(self.wrongly_dead_lettered),
            "requests": dict(self.requests),
            "seconds": round(self.seconds, 1),
        }
