"""Rounds to figures: medians with their spread, and ratios within a round. Pure.

Results are what `store` reads and writes: `{part: {"machine": …, "command": …, "runs": {step: [a dict of each round, or None where it failed]}}}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

Results = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A median of rounds, the least and the most."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        """`4.12 (3.98–4.40)`; one round has no spread."""
        if self.low == self.high:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}–{self.high:,.{digits}f})"


def figure(values: Iterable[float]) -> Figure | None:
    """None where there is nothing."""
    found = list(values)
    return Figure(median(found), min(found), max(found)) if found else None


def rounds(results: Results, part: str, step: str) -> list[dict[str, Any] | None]:
    """What each round brought."""
    found: list[dict[str, Any] | None] = results.get(part, {}).get("runs", {}).get(step, [])
    return found


def of(results: Results, part: str, step: str, key: str) -> Figure | None:
    """One value over the rounds."""
    return figure(each[key] for each in rounds(results, part, step) if each and each.get(key) is not None)


def nested(results: Results, part: str, step: str, key: str) -> dict[str, Figure]:
    """The same for each key of a value that is a dict; one that a round does not have is 0 there."""
    found = [each[key] for each in rounds(results, part, step) if each and each.get(key)]
    names = dict.fromkeys(name for each in found for name in each)
    return {name: shape for name in names if (shape := figure(each.get(name, 0.0) for each in found)) is not None}


def ratio(results: Results, part: str, above: str, below: str, key: str, use: Callable[[float, float], float] = lambda a, b: a / b) -> Figure | None:
    """A step against another, each round by itself."""
    pairs = zip(rounds(results, part, above), rounds(results, part, below), strict=False)
    return figure(use(a[key], b[key]) for a, b in pairs if a and b and b[key])
