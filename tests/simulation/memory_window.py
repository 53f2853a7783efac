"""Count the memory that a member's records take, from what it read, without the engine's own counts."""

from __future__ import annotations

from tests.simulation.ground_truth import LaneLife, SimulatedRecord

OBJECT_BYTES = 600
"""What a record's objects take beside its bytes, as the real source says."""
ROUNDED = 2_000
"""Bytes by which the engine may be off: what records hold beside their values is averaged over a slice."""


def bytes_beside_value(record: SimulatedRecord) -> int:
    """Bytes that a record holds beside its value."""
    return (
        OBJECT_BYTES
        + len(record.name or b"")
        + sum(len(name) + len(value or b"") for name, value in record.more or ())
    )


def bytes_held(record: SimulatedRecord) -> int:
    """Bytes that a record holds until it is settled: the value, and the message made of it where that is
    another.
    """
    value = record.data or b""
    copy = len(record.piece) if record.piece is not None and record.piece is not record.data else 0
    return bytes_beside_value(record) + len(value) + copy


class MemoryWindow:
    """One inlet's records in one member: read in a lane that lives, and not known to be settled; or on the
    wire.
    """

    def __init__(self, member: str, window_bytes: int) -> None:
        self._member, self._bytes = member, window_bytes
        self._records: list[tuple[SimulatedRecord, LaneLife, int]] = []
        self._most = 0
        """An upper bound of the bytes held; counted again when it reaches the limit."""

    def read(self, record: SimulatedRecord, life: LaneLife) -> None:
        size = bytes_held(record)
        self._records.append((record, life, size))
        self._most += size

    @property
    def full(self) -> bool:
        """Whether nothing more may be read."""
        if self._most >= self._bytes + ROUNDED:
            self._records = [each for each in self._records if self._open(*each[:2])]
            self._most = sum(size for _, _, size in self._records)
        return self._most >= self._bytes + ROUNDED

    def _open(self, record: SimulatedRecord, life: LaneLife) -> bool:
        if life in record.settled_for or not life.ended:
            return life not in record.settled_for
        return self._member in record.under_way and any(  # another life of it, read again, may be on the wire
            request.arrived_seq is None and request.lives[request.records.index(record)] is life
            for request in record.requests
        )

    def __str__(self) -> str:
        return f"{self._most:,} bytes of {len(self._records)} records, of {self._bytes:,}"
