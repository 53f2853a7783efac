"""What a campaign notes: its faults and what they touch, every arrival, every move of a partition.

Times are seconds since the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Commits = Mapping[int, Sequence[tuple[float, int]]]
"""By partition: the time at which an offset was known to be committed, and the offset."""


@dataclass(slots=True)
class FaultWindow:
    """One fault: when it began and ended, and which duplicates it may cause.

    A fault that has none of `rule`, `loses_responses`, `moves_partitions`, `loses_acknowledgements` may cause
    none.
    """

    kind: str
    start: float
    end: float = math.inf
    rule: int | None = None
    """Number of the simulator's rule: what AEP accepted of a request that met this rule may be sent again."""
    loses_responses: bool = False
    """Responses to requests that arrived during the fault may be lost."""
    moves_partitions: bool = False
    """Partitions may move to another replica, which reads again what was not committed."""
    blocks_commits: bool = False
    """Commits may fail as long as the fault lasts."""
    loses_acknowledgements: bool = False
    """Dead letters may be published again: the broker appended them and did not acknowledge them."""
    replica: str | None = None
    """The name of the replica that the fault touches; None if it touches all of them."""
    partitions: frozenset[int] | None = None
    """The partitions that the fault touches; None if it touches all of them."""
    alone: bool = False
    """The fault comes alone, with calm before and after it, and must cause no duplicate."""
    explains_until: float = math.inf
    """By this time everything older was settled and committed, so the fault causes nothing after it."""
    hits: int = 0
    """How often the fault is known to have hit something: requests, connections, partitions or processes."""
    allowed_duplicates: int = 0
    """The most duplicates that the fault may explain."""
    duplicates: int = 0
    duplicate_dead_letters: int = 0
    detail: dict[str, Any] = field(default_factory=dict)

    def explain_only_before(self, now: float) -> None:
        """Note that everything is settled and committed now: the fault explains nothing from here on."""
        self.explains_until = min(self.explains_until, now)


class Arrival(NamedTuple):
    """An event in a request that AEP accepted, or a dead letter."""

    at: float
    replica: str | None
    """The sender; None where it is not known."""
    rule: int | None = None
    """Number of the simulator's rule that the request met."""


@dataclass(slots=True)
class Handover:
    """A partition was given to a replica, which reads on from the committed offset."""

    partition: int
    at: float
    replica: str
    committed: int = 0
    """The highest offset that was known to be committed before: nothing below it may be read again."""
    duplicates: int = 0
    allowed_duplicates: int = 0
    """The most duplicates that this move of the partition may explain; 0 where no fault touched it."""
    causes: list[FaultWindow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PartitionEvent:
    """A line of a replica's log about its partitions."""

    at: float
    kind: Literal["assigned", "revoked", "lost", "cut off"]
    """`cut off`: the deadline of a revoke or a drain passed while requests were open."""
    partitions: frozenset[int]


NamedEvents = Iterable[tuple[str, Sequence[PartitionEvent]]]
"""For each replica its name and its partition events in the order of time."""


def partitions_held(
    events: Sequence[PartitionEvent], start: float = math.inf, end: float = math.inf
) -> frozenset[int]:
    """Return the partitions that a replica had at any time from `start` to `end`; by default, has now."""
    current: set[int] = set()
    held: set[int] = set()
    for event in events:
        if event.at > end:
            break
        if event.at > start:
            held |= current
        current = current | event.partitions if event.kind == "assigned" else current - event.partitions
    return frozenset(held | current)


def handovers(replicas: NamedEvents, commits: Commits) -> dict[int, list[Handover]]:
    """Return the handovers of each partition in the order of time, with the offset committed before each."""
    by_partition: dict[int, list[Handover]] = {}
    for replica, events in replicas:
        for event in events:
            for partition in event.partitions if event.kind == "assigned" else ():
                by_partition.setdefault(partition, []).append(Handover(partition, event.at, replica))
    for partition, moves in by_partition.items():
        moves.sort(key=lambda move: move.at)
        observed, index = commits.get(partition, []), 0
        committed = 0
        for move in moves:
            while index < len(observed) and observed[index][0] < move.at:
                committed = max(committed, observed[index][1])
                index += 1
            move.committed = committed
    return by_partition


class Release(NamedTuple):
    """A replica gave a partition back in good order."""

    at: float
    replica: str
    owned_since: float
    """When the replica was given the partition."""

    def owner_settled(self, arrivals: Iterable[Arrival]) -> bool:
        """Say whether the owner itself had settled the record with these arrivals.

        What an earlier owner sent and did not commit was read again by this one, which had to send it again.
        """
        return any(
            self.owned_since <= arrival.at <= self.at and arrival.replica in (None, self.replica)
            for arrival in arrivals
        )


def releases(replicas: NamedEvents) -> dict[int, list[Release]]:
    """Return the releases of each partition in the order of time."""
    by_partition: dict[int, list[Release]] = {}
    for replica, events in replicas:
        owned_since: dict[int, float] = {}
        for event in events:
            for partition in event.partitions:
                if event.kind == "assigned":
                    owned_since[partition] = event.at
                elif event.kind == "revoked":
                    release = Release(event.at, replica, owned_since.get(partition, 0.0))
                    by_partition.setdefault(partition, []).append(release)
    return {partition: sorted(each) for partition, each in by_partition.items()}
