"""Check the organisation-wide rate over all members, counted from their requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.ground_truth import Violation

GRACE_S = 4.0
"""Seconds after a change in the group in which the members' shares of the rate are computed again."""


@dataclass(slots=True)
class OrganisationRate:
    """What all members sent, to be compared with the rate."""

    sends: list[tuple[float, str, int]] = field(default_factory=list)
    """When, to which inlet, how many messages."""
    changes: list[float] = field(default_factory=list)
    """When a partition changed hands."""

    def check(self, inlets: Iterable[str], per_s: float, overdraft: int) -> None:
        """A bucket that fills evenly, holds a tenth of a second's worth, and may be overdrawn by
        `overdraft` messages.
        """
        for inlet in inlets:
            events = sorted(
                [
                    *((at, 0, 0) for at in self.changes),
                    *((at, 1, messages) for at, name, messages in self.sends if name == inlet),
                ]
            )
            level, at, changed = per_s / 10, 0.0, -GRACE_S
            for now, kind, messages in events:
                if kind == 0:
                    changed = now
                if now <= changed + GRACE_S:
                    level, at = per_s / 10, now
                    continue
                level, at = min(per_s / 10, level + (now - at) * per_s) - messages, now
                if level < -overdraft - 1e-6:
                    raise Violation(
                        f"{-level:.0f} messages to {inlet} above its rate "
                        f"of {per_s:.0f} a second, at {now:.1f}"
                    )
