"""How many requests of one inlet may be in flight: additive increase, multiplicative decrease. Pure."""

from __future__ import annotations


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
