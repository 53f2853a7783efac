"""Routes: what the topic mapping says of a topic, and which of its entries a topic takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.model import Format


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One entry of the topic mapping, with everything that a record needs on its way to AEP."""

    name: str
    """The topic's name, or a regex that begins with ^."""
    format: Format
    inlet: str
    """The inlet's name."""
    dataset_id: str | None
    """The dataset of records that name none themselves."""
    wrapper: tuple[bytes, bytes] = (b"", b"")
    """For `Format.ENTITY`: the bytes before and after the value."""
    tombstones: bool = False
    """Whether null values are dead-lettered; otherwise they are skipped."""
    dead_letter_topic: Callable[[str], str] = "{}.dlq".format
    """Returns the dead-letter topic of a topic that takes this route."""


def is_regex(pattern: str) -> bool:
    """Return whether an entry of the topic mapping is a regex; otherwise it is the name of one topic."""
    return pattern.startswith("^")


def matches(pattern: str, topic: str) -> bool:
    """Return whether an entry of the topic mapping stands for a topic. This is the only place with that rule.

    A regex is searched for, not matched from the start, because Kafka's client does the same when it
    subscribes: `^a|b` is anchored in its first half only.
    """
    return re.search(pattern, topic) is not None if is_regex(pattern) else pattern == topic


def routes_by_topic(routes: Sequence[Route]) -> Callable[[str], Route | None]:
    """Return a function that finds the first route that matches a topic."""

    def find(topic: str) -> Route | None:
        return next((route for route in routes if matches(route.name, topic)), None)

    return find
