"""A token bucket: so many units a period, with one period's worth of burst."""

from __future__ import annotations

import time


class Bucket:
    """Takes that find the bucket empty are refused; one that is larger than the bucket passes when it is full, and leaves a debt."""

    def __init__(self) -> None:
        self._level: float | None = None
        self._at = 0.0

    def take(self, amount: float, capacity: float, period_s: float = 1.0) -> bool:
        """Takes `amount` from a bucket of `capacity`, refilled evenly once a period; capacity 0 is no limit."""
        if capacity <= 0:
            return True
        now = time.monotonic()
        level = (
            capacity
            if self._level is None
            else min(capacity, self._level + (now - self._at) * capacity / period_s)
        )
        self._at = now
        passes = level >= min(amount, capacity)
        self._level = level - amount if passes else level
        return passes
