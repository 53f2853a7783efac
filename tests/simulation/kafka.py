"""Simulated Kafka: partitions with gaps, a consumer group, and fenced commits.

The group rebalances in good order, or a member loses its partitions without a revoke.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from bridge.model import TopicPartition
from tests.simulation.ground_truth import GroundTruth, Log, Violation
from tests.simulation.organisation_rate import OrganisationRate

if TYPE_CHECKING:
    from tests.simulation.member import Member


@dataclass(slots=True)
class Broker:
    """The partitions and the group."""

    truth: GroundTruth
    rng: Random
    organisation_rate: OrganisationRate
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    owner: dict[TopicPartition, str | None] = field(default_factory=dict)
    target: dict[TopicPartition, str] = field(default_factory=dict)
    free_at: dict[TopicPartition, float] = field(default_factory=dict)
    rewound: set[TopicPartition] = field(default_factory=set)
    """Partitions that are read again from further back than what is committed."""

    def create(self, where: TopicPartition) -> None:
        self.truth.logs[where] = Log(where)
        self.owner[where], self.free_at[where] = None, 0.0

    def partitions(self) -> dict[str, int]:
        """How many each topic has."""
        return Counter(where.topic for where in self.owner)

    def commit(self, member: str, where: TopicPartition, offset: int, now: float) -> None:
        """Commit an offset for the owner; the commit of another member is fenced."""
        if self.owner[where] != member:
            return
        before = self.committed.get(where)
        if before is not None and offset < before and where not in self.rewound:
            raise Violation(f"{member} moved the committed offset of {where} back from {before} to {offset}")
        self.truth.covers(where, offset, now, f"{member} committed")
        self.committed[where] = offset
        self.rewound.discard(where)

    def release(self, where: TopicPartition, at: float) -> None:
        """Nobody owns it any more."""
        self.owner[where], self.free_at[where] = None, at
        self.organisation_rate.changes.append(at)

    def rebalance(self, members: Sequence[Member], now: float) -> None:
        """Draw the new owner of each partition. A member that must give one up learns it in a later read."""
        if not members:
            return
        revokes: dict[str, list[TopicPartition]] = {}
        for where in self.owner:
            wanted = self.rng.choice(members)
            keeps = self.target.get(where)
            if keeps in [member.name for member in members] and self.rng.random() < 0.5:
                continue
            self.target[where] = wanted.name
            owner = self.owner[where]
            if owner is not None and owner != wanted.name:
                revokes.setdefault(owner, []).append(where)
        for member in members:
            if going := revokes.get(member.name):
                member.source.orders.append((now + self.rng.choice((0.0, 0.3)), "revoke", going))

    def lose(
        self, member: Member, parts: Sequence[TopicPartition], members: Sequence[Member], now: float
    ) -> None:
        """Take partitions away from a member that learns of it later, and is fenced from now on."""
        since = max(now, member.now)
        for where in parts:
            self.release(where, since)
            self.target[where] = self.rng.choice(members).name
        member.source.orders.append((since + self.rng.choice((0.0, 1.0, 6.0)), "lost", list(parts)))
