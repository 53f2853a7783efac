"""How many requests of one inlet may be in flight: additive increase, multiplicative decrease."""

from __future__ import annotations


class Concurrency:
    """Allows one more request for each round that went well, and half as many when AEP pushes back.

    Requests that went out before the last cut cause no other one.
    """

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
        """Note that a request was accepted."""
        self.limit = min(float(self.ceiling), self.limit + 1 / max(1.0, self.limit))

    def pushed_back(self, sent: int, tick: int) -> None:
        """Note at `tick` that a request which went out at tick `sent` met a limit."""
        if sent > self._cut_at:
            self._cut_at = tick
            self.limit = max(1.0, self.limit / 2)
