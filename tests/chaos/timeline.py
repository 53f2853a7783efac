"""What a campaign notes: its faults with what they touch, every arrival, and who was given which partition. Times are seconds since the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple


@dataclass(slots=True)
class Window:
    """One fault: when it began and was over, and what it may have repeated. Without any of `rule`, `answers`, `lanes`, `letters`: nothing."""

    kind: str
    start: float
    end: float = math.inf
    rule: int | None = None
    """Of the simulator: what a request that met it got accepted may be sent again."""
    answers: bool = False
    """Answers of requests that arrived while it was on may be lost."""
    lanes: bool = False
    """Lanes may be lost, with what is not committed of them."""
    commits: bool = False
    """Commits may fail as long as it is on."""
    letters: bool = False
    """Dead letters that were published while it was on may be published again: appended, not acknowledged."""
    replica: str | None = None
    """The one that it touches; none for everybody."""
    partitions: frozenset[int] | None = None
    """Those that it touches; none for all."""
    alone: bool = False
    """Calm before and after, and nothing beside it: it must repeat nothing."""
    until: float = math.inf
    """What comes later it can't have caused: everything of before was settled and committed by then."""
    hits: int = 0
    """How often it is known to have hit something: requests, connections, lanes, processes."""
    repeats: int = 0
    """The most copies that it explains."""
    copies: int = 0
    letter_copies: int = 0
    detail: dict[str, Any] = field(default_factory=dict)

    def over(self, now: float) -> None:
        """Now everything is settled and committed: from here on it explains nothing."""
        self.until = min(self.until, now)


class Arrival(NamedTuple):
    """A request that AEP accepted, or a dead letter."""

    at: float
    replica: str | None
    """Who sent it; none where that is not known."""
    rule: int | None = None
    """What spoilt its answer."""


@dataclass(slots=True)
class Handover:
    """A partition was given to a replica, which reads on from what was committed."""

    partition: int
    at: float
    replica: str
    base: int = 0
    """What was seen to be committed before: nothing below it may be read again."""
    copies: int = 0
    allowed: int = 0
    """Copies that losing the lane may cause; 0 where no fault touched it."""
    causes: list[Window] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LaneEvent:
    """A line of a replica's log about its partitions."""

    at: float
    what: Literal["assigned", "revoked", "lost", "cut off"]
    """`cut off`: a revoke or a drain whose deadline passed with requests open."""
    partitions: frozenset[int]


def held(events: Sequence[LaneEvent], start: float = math.inf, end: float = math.inf) -> frozenset[int]:
    """The partitions that a replica had at any time between the two; now, where nothing is given."""
    now: set[int] = set()
    found: set[int] = set()
    for event in events:
        if event.at > end:
            break
        if event.at > start:
            found |= now
        now = now | event.partitions if event.what == "assigned" else now - event.partitions
    return frozenset(found | now)


def handovers(
    lanes: Iterable[tuple[str, Sequence[LaneEvent]]], commits: dict[int, list[tuple[float, int]]]
) -> dict[int, list[Handover]]:
    """By partition, in order. `commits`: what was seen to be committed, and when that was known."""
    found: dict[int, list[Handover]] = {}
    for replica, events in lanes:
        for event in events:
            for partition in event.partitions if event.what == "assigned" else ():
                found.setdefault(partition, []).append(Handover(partition, event.at, replica))
    for partition, each in found.items():
        each.sort(key=lambda handover: handover.at)
        seen, index = commits.get(partition, []), 0
        base = 0
        for handover in each:
            while index < len(seen) and seen[index][0] < handover.at:
                base = max(base, seen[index][1])
                index += 1
            handover.base = base
    return found


class Release(NamedTuple):
    """A replica gave a partition back in good order."""

    at: float
    replica: str
    since: float
    """When it was given it."""

    def knew(self, arrivals: Iterable[Arrival]) -> bool:
        """Whether it had settled that record itself: what an earlier owner sent and did not commit, it had read again, and had to send again."""
        return any(
            self.since <= arrival.at <= self.at and arrival.replica in (None, self.replica)
            for arrival in arrivals
        )


def releases(lanes: Iterable[tuple[str, Sequence[LaneEvent]]]) -> dict[int, list[Release]]:
    """By partition, in order."""
    found: dict[int, list[Release]] = {}
    for replica, events in lanes:
        since: dict[int, float] = {}
        for event in events:
            for partition in event.partitions:
                if event.what == "assigned":
                    since[partition] = event.at
                elif event.what == "revoked":
                    found.setdefault(partition, []).append(
                        Release(event.at, replica, since.get(partition, 0.0))
                    )
    return {partition: sorted(each) for partition, each in found.items()}
