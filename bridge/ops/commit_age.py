"""The time that stored offsets have waited for their commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from bridge.model import TopicPartition


class _Uncommitted(NamedTuple):
    oldest: int
    """The offset that has waited longest."""
    latest: int
    since: float
    """When the oldest one was stored."""


class CommitAge:
    """Follows each partition's stored offset until its commit. Any thread may call `seconds`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._uncommitted: dict[TopicPartition, _Uncommitted] = {}

    def stored(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Note that the client was told to commit these offsets."""
        now = self._clock()
        for partition, offset in offsets.items():
            before = self._uncommitted.get(partition, _Uncommitted(offset, offset, now))
            oldest = before.oldest if offset >= before.latest else offset
            self._uncommitted[partition] = _Uncommitted(oldest, offset, before.since)

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Note that the client committed these offsets."""
        for partition, offset in offsets.items():
            before = self._uncommitted.get(partition)
            if before is None or offset == before.latest:
                self._uncommitted.pop(partition, None)
            elif offset >= before.oldest:
                # Offsets that were stored after the committed one have waited for less than one interval.
                self._uncommitted[partition] = _Uncommitted(before.latest, before.latest, self._clock())

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that went to another member: this one never learns of their commit."""
        for partition in partitions:
            self._uncommitted.pop(partition, None)

    def seconds(self) -> float:
        """Return the age of the offset that has waited longest; 0 where all are committed."""
        waiting = list(self._uncommitted.values())
        return self._clock() - min(each.since for each in waiting) if waiting else 0.0
