"""Rounds to figures: medians with their spread, and ratios within a round. Pure.

Results are what `store` reads and writes: `{part: {"machine": …, "command": …, "runs": {step: [a dict of each round, or None where it failed]}}}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from statistics import median
from typing import Any

Results = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A median of rounds, the least and the most."""

    median: float
    low: float
    high: float
    lost: tuple[int, int] | None = None
    """Where rounds were lost: how many there are, and of how many."""

    def text(self, digits: int = 2, unit: str = "") -> str:
        """`4.12 (3.98–4.40) ms`; one round has no spread. Lost rounds are told."""
        said = f"{self.median:,.{digits}f}"
        if self.low != self.high:
            said += f" ({self.low:,.{digits}f}–{self.high:,.{digits}f})"
        return f"{said}{unit}" + ("" if self.lost is None else f" ({self.lost[0]} of {self.lost[1]} rounds)")


def figure(values: Iterable[float | None]) -> Figure | None:
    """None where there is nothing. A value that is None is a round that was lost."""
    asked = list(values)
    found = [value for value in asked if value is not None]
    return (
        Figure(
            median(found),
            min(found),
            max(found),
            None if len(found) == len(asked) else (len(found), len(asked)),
        )
        if found
        else None
    )


def rounds(results: Results, part: str, step: str) -> list[dict[str, Any] | None]:
    """What each round brought."""
    found: list[dict[str, Any] | None] = results.get(part, {}).get("runs", {}).get(step, [])
    return found


def of(results: Results, part: str, step: str, key: str) -> Figure | None:
    """One value over the rounds."""
    return figure(each.get(key) if each else None for each in rounds(results, part, step))


def nested(results: Results, part: str, step: str, key: str) -> dict[str, Figure]:
    """The same for each key of a value that is a dict; one that a round does not have is 0 there."""
    found = [each.get(key) if each else None for each in rounds(results, part, step)]
    names = dict.fromkeys(name for each in found if each for name in each)
    return {
        name: shape
        for name in names
        if (shape := figure(each.get(name, 0.0) if each else None for each in found)) is not None
    }


def ratio(
    results: Results,
    part: str,
    above: str,
    below: str,
    key: str,
    use: Callable[[float, float], float] = lambda a, b: a / b,
) -> Figure | None:
    """A step against another, each round by itself."""
    pairs = zip_longest(rounds(results, part, above), rounds(results, part, below))
    return figure(use(a[key], b[key]) if a and b and b[key] else None for a, b in pairs)
