"""Rounds to figures: medians with their spread, and ratios within a round. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from statistics import median
from typing import Any

from bench.report.results import Results


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of some rounds, and the smallest and the largest value."""

    median: float
    low: float
    high: float
    rounds_left: tuple[int, int] | None = None
    """Where rounds failed: how many rounds count, and how many there were."""

    def text(self, digits: int = 2, unit: str = "") -> str:
        """Return text such as `4.12 (3.98–4.40) ms`. One round has no spread; failed rounds are mentioned."""
        text = f"{self.median:,.{digits}f}"
        if self.low != self.high:
            text += f" ({self.low:,.{digits}f}–{self.high:,.{digits}f})"
        text += unit
        if self.rounds_left is not None:
            text += f" ({self.rounds_left[0]} of {self.rounds_left[1]} rounds)"
        return text


def figure(values: Iterable[float | None]) -> Figure | None:
    """Return the figure of one value for each round; a value that is None is a round that failed.

    Return None where no round is left.
    """
    rounds = list(values)
    good = [value for value in rounds if value is not None]
    if not good:
        return None
    rounds_left = None if len(good) == len(rounds) else (len(good), len(rounds))
    return Figure(median(good), min(good), max(good), rounds_left)


def rounds(results: Results, part: str, step: str) -> list[dict[str, Any] | None]:
    """Return what each round of a step brought."""
    runs: list[dict[str, Any] | None] = results.get(part, {}).get("runs", {}).get(step, [])
    return runs


def figure_of(results: Results, part: str, step: str, key: str) -> Figure | None:
    """Return the figure of one value over the rounds of a step."""
    return figure(run.get(key) if run else None for run in rounds(results, part, step))


def figures_by_name(results: Results, part: str, step: str, key: str) -> dict[str, Figure]:
    """Return a figure for each name in a value that is a dict.

    A name that a round does not have is 0 there.
    """
    values = [run.get(key) if run else None for run in rounds(results, part, step)]
    names = dict.fromkeys(name for value in values if value for name in value)
    figures = {}
    for name in names:
        each = figure(value.get(name, 0.0) if value else None for value in values)
        if each is not None:
            figures[name] = each
    return figures


def ratio(
    results: Results,
    part: str,
    above: str,
    below: str,
    key: str,
    use: Callable[[float, float], float] = lambda a, b: a / b,
) -> Figure | None:
    """Return the figure of one step's value divided by another's, round by round."""
    pairs = zip_longest(rounds(results, part, above), rounds(results, part, below))
    return figure(use(a[key], b[key]) if a and b and b[key] else None for a, b in pairs)
