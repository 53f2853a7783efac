"""The dead letters that were published last, for the status page."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from bridge.engine import events
from bridge.engine.events import Observer

MAX_ENTRIES = 20
ERROR_CHARACTERS = 300


class LastDeadLetters(Observer):
    """Keeps an entry for each of the last dead letters. Any thread may read `entries`."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=MAX_ENTRIES)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries, of which the oldest comes first. `at` is in seconds since the epoch."""
        return list(self._entries)

    def dead_letter_published(self, event: events.DeadLetterPublished) -> None:
        letter = event.dead_letter
        record, refusal = letter.record, letter.refusal
        self._entries.append(
            {
                "topic": record.topic(),
                "partition": record.partition(),
                "offset": record.offset(),
                "reason": refusal.reason.value,
                "status": refusal.status,
                "error": refusal.error[:ERROR_CHARACTERS],
                "to": letter.topic,
                "at": time.time(),
            }
        )
