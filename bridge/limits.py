"""What an inlet can take, learned from its answers: requests at once, and messages a second. Pure: `now` is an argument, in seconds."""

from __future__ import annotations

import math


class Concurrency:
    """Requests at once: one more for each window that went well, half when AEP pushes back. At most one cut for each request generation."""

    __slots__ = ("_cut_at", "ceiling", "limit")

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit = float(ceiling)
        self._cut_at = -1

    @property
    def allowed(self) -> int:
        """Requests that may be in flight."""
        return max(1, int(self.limit))

    def went_well(self) -> None:
        """A request was accepted."""
        self.limit = min(float(self.ceiling), self.limit + 1 / max(1.0, self.limit))

    def pushed_back(self, sent: int, tick: int) -> None:
        """A request that went out at tick `sent` met a limit; those sent before the last cut say nothing new."""
        if sent > self._cut_at:
            self._cut_at = tick
            self.limit = max(1.0, self.limit / 2)


class Rate:
    """Messages a second: none until a first 429, then what got through, cut a little at each further one and raised slowly between them."""

    CUT = 0.93
    GROWTH = 0.004
    """Of the rate, each second."""
    MEASURED_S = 10.0
    """What got through is counted over so long."""

    __slots__ = ("_accepted", "_cut_at", "_refilled_at", "_since", "_tokens", "configured", "learned")

    def __init__(self, configured: float | None = None) -> None:
        self.configured = configured
        """This process's share of the organisation-wide rate, where one is set."""
        self.learned = math.inf
        self._tokens = 0.0
        self._refilled_at: float | None = None
        self._accepted = 0
        self._since: float | None = None
        self._cut_at = -math.inf

    @property
    def limit(self) -> float:
        """Messages a second; infinite where nothing limits."""
        return self.learned if self.configured is None else min(self.learned, self.configured)

    def delay(self, now: float) -> float:
        """Seconds until the next request may go. A batch may overdraw, and the next one waits for it."""
        self._refill(now)
        limit = self.limit
        return 0.0 if limit == math.inf or self._tokens >= 0 else -self._tokens / limit

    def sent(self, messages: int, now: float) -> None:
        """A request with so many messages goes out."""
        if self.limit != math.inf:
            self._refill(now)
            self._tokens -= messages

    def accepted(self, messages: int, now: float) -> None:
        """So many messages got through."""
        if self._since is None or now - self._since > self.MEASURED_S:
            self._since, self._accepted = now, 0
        self._accepted += messages

    def pushed_back(self, now: float) -> None:
        """429: cut, once a second at most."""
        if now - self._cut_at < 1:
            return
        self._cut_at = now
        if self.learned == math.inf:
            if self._since is None or now - self._since > 2 * self.MEASURED_S:
                return  # nothing got through lately: no rate can be told, and a guess of 1/s would stall for minutes
            self.learned = max(1.0, self._accepted / max(1.0, now - self._since))
        else:
            self.learned = max(1.0, self.learned * self.CUT)
        self._tokens = min(self._tokens, 0.0)

    def _refill(self, now: float) -> None:
        if self._refilled_at is not None and self.limit != math.inf:
            passed = max(0.0, now - self._refilled_at)
            if self.learned != math.inf:
                self.learned *= 1 + self.GROWTH * min(passed, 10.0)
            self._tokens = min(self.limit * 0.1, self._tokens + passed * self.limit)
        self._refilled_at = now
