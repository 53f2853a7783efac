"""Write at most one log line a second for each kind of event; the next line says how many were left out."""

from __future__ import annotations

from collections.abc import Callable

INTERVAL_S = 1.0
MAX_KINDS = 1000
"""The throttle forgets all kinds when there are more: a producer can cause any number of them."""


class Throttle:
    """Decides which log lines are written."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[tuple[object, ...], tuple[float, int]] = {}

    def suppressed(self, *kind: object) -> int | None:
        """Return how many lines of this kind were left out since the last one that was written.

        None means that this line must be left out too.
        """
        now = self._clock()
        last, count = self._last.get(kind, (float("-inf"), 0))
        if now - last < INTERVAL_S:
            self._last[kind] = last, count + 1
            return None
        if len(self._last) > MAX_KINDS:
            self._last.clear()
        self._last[kind] = now, 0
        return count
