"""A member's memory, counted from what it read, and the organisation's rate, counted from its requests.

Nothing here uses the engine's own counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.truth import Life, Rec, Violation

OBJECT_BYTES = 600
"""What a record's objects take beside its bytes, as the real source says."""
ROUNDED = 2_000
"""Bytes by which the engine may be off: what records hold beside their values is averaged over a slice."""
GRACE_S = 4.0
"""After a change in the group, shares of the rate are worked out anew."""


def beside(rec: Rec) -> int:
    """Bytes that a record holds beside its value."""
    return (
        OBJECT_BYTES
        + len(rec.name or b"")
        + sum(len(name) + len(value or b"") for name, value in rec.more or ())
    )


def held(rec: Rec) -> int:
    """Bytes that a record holds until it is settled: the value, and the message made of it where that is
    another.
    """
    value = rec.data or b""
    copy = len(rec.piece) if rec.piece is not None and rec.piece is not rec.data else 0
    return beside(rec) + len(value) + copy


class Window:
    """One inlet's records in one member: read in a lane that lives, and not known to be settled; or on the
    wire.
    """

    def __init__(self, member: str, window_bytes: int) -> None:
        self._member, self._bytes = member, window_bytes
        self._records: list[tuple[Rec, Life, int]] = []
        self._most = 0
        """At most so much; counted anew when it matters."""

    def read(self, rec: Rec, life: Life) -> None:
        size = held(rec)
        self._records.append((rec, life, size))
        self._most += size

    @property
    def full(self) -> bool:
        """Whether nothing more may be read."""
        if self._most >= self._bytes + ROUNDED:
            self._records = [each for each in self._records if self._open(*each[:2])]
            self._most = sum(size for _, _, size in self._records)
        return self._most >= self._bytes + ROUNDED

    def _open(self, rec: Rec, life: Life) -> bool:
        if life in rec.known or not life.ended:
            return life not in rec.known
        return self._member in rec.under_way and any(  # another life of it, read again, may be on the wire
            request.arrived_seq is None and request.lives[request.recs.index(rec)] is life
            for request in rec.requests
        )

    def __str__(self) -> str:
        return f"{self._most:,} bytes of {len(self._records)} records, of {self._bytes:,}"


@dataclass(slots=True)
class Quota:
    """An organisation-wide rate, over all members."""

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
