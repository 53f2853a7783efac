"""Token buckets: so many units in a period, and at most one period's worth at once."""

from __future__ import annotations

import time

from bridge.simulator.config import Config


class TokenBucket:
    """One limit. An amount above its capacity passes when the bucket is full, and leaves a debt."""

    def __init__(self) -> None:
        self._level: float | None = None
        self._filled_at = 0.0

    def take(self, amount: float, capacity: float, period_s: float = 1.0) -> bool:
        """Take an amount if it is there. The bucket fills evenly once a period; capacity 0 is no limit."""
        if capacity <= 0:
            return True
        now = time.monotonic()
        level = capacity
        if self._level is not None:
            level = min(capacity, self._level + (now - self._filled_at) * capacity / period_s)
        self._filled_at = now
        allowed = level >= min(amount, capacity)
        self._level = level - amount if allowed else level
        return allowed


class RateLimits:
    """The limits of the collection endpoints, as the configuration sets them at each request."""

    def __init__(self) -> None:
        self._requests, self._messages, self._validations = TokenBucket(), TokenBucket(), TokenBucket()

    def allow(self, messages: int, config: Config, *, validation: bool) -> bool:
        """Return whether a request with so many messages is within every limit, and count it."""
        return (
            self._requests.take(1, config.requests_per_s)
            and self._messages.take(messages, config.messages_per_s)
            and (not validation or self._validations.take(1, config.sync_per_min, 60))
        )
