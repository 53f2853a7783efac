"""Which dead letters a command is about: the filters that every command shares. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.replay.dead_letter import StoredDeadLetter

_AGE = re.compile(r"(\d+)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters, all of which must match; an empty one matches everything."""

    reason: str = ""
    """A part of the reason, the status or the error, in any case."""
    since_ms: int = 0
    dataset: str = ""
    source_topic: str = ""

    def matches(self, letter: StoredDeadLetter) -> bool:
        """Return whether a dead letter is selected."""
        searched = f"{letter.reason} {letter.status} {letter.error}".lower()
        return (
            (not self.reason or self.reason.lower() in searched)
            and (not self.since_ms or letter.failed_ms >= self.since_ms)
            and (not self.dataset or letter.dataset == self.dataset)
            and (not self.source_topic or letter.source.topic == self.source_topic)
        )


def parse_since(text: str, now: datetime | None = None) -> int:
    """Return `2h`, `7d`, `2026-11-24` or `2026-11-24T12:00:00Z` in milliseconds since the epoch; 0 for no
    text.

    Raises ValueError.
    """
    if not text:
        return 0
    try:
        if age := _AGE.fullmatch(text.strip()):
            moment = (now or datetime.now(UTC)) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        else:
            moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):  # OverflowError: an age from before the year 1
        raise ValueError(f"{text}: give an age (90s, 15m, 2h, 7d) or a time (2026-11-24T12:00:00Z)") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
