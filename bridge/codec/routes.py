"""The topic mapping, resolved: which route a topic takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.model import Format


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One entry of the topic mapping, resolved."""

    name: str
    """The topic's name, or its ^regex."""
    format: Format
    inlet: str
    dataset_id: str | None
    wrapper: tuple[bytes, bytes] = (b"", b"")
    """`entity`: what goes before and after the value."""
    tombstones: bool = False
    """Null values are dead-lettered instead of skipped."""
    dead_letter_topic: Callable[[str], str] = "{}.dlq".format
    """The dead-letter topic of an actual topic."""


def routes_by_topic(routes: Sequence[Route]) -> Callable[[str], Route | None]:
    """Finds the first route that matches a topic's name."""
    matchers = [(route, re.compile(route.name) if route.name.startswith("^") else None) for route in routes]

    def find(topic: str) -> Route | None:
        return next(
            (
                route
                for route, pattern in matchers
                if (pattern.search(topic) if pattern else route.name == topic)
            ),
            None,
        )

    return find
