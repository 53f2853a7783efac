"""The partitions that are assigned to this member, and what is stored and committed of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bridge.model import TopicPartition


class Assignment:
    """The assigned partitions, each with its committed offset and its stored one. One thread uses it.

    An offset is *stored* when it is marked for the client's next commit, and *committed* when the group's
    coordinator has acknowledged that commit. Offsets are those of the next record to read.
    """

    def __init__(self) -> None:
        self._partitions: set[TopicPartition] = set()
        self._committed: dict[TopicPartition, int] = {}
        """Only where it is known; the coordinator may not have answered in time."""
        self._stored: dict[TopicPartition, int] = {}
        """Stored, and not known to be committed."""

    def __contains__(self, partition: object) -> bool:
        return partition in self._partitions

    def add(self, partitions: Iterable[TopicPartition]) -> None:
        """Add partitions that the group has given to this member."""
        self._partitions.update(partitions)

    def remove(self, partitions: Iterable[TopicPartition]) -> None:
        """Remove partitions and their offsets: another member may commit others before they come back."""
        for partition in partitions:
            self._partitions.discard(partition)
            self._committed.pop(partition, None)
            self._stored.pop(partition, None)

    def clear(self) -> None:
        """Remove all partitions."""
        self.remove(list(self._partitions))

    def only_assigned(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Return those of the partitions that are assigned."""
        return [partition for partition in partitions if partition in self._partitions]

    def committed(self, partition: TopicPartition) -> int | None:
        """Return the committed offset of a partition where it is known."""
        return self._committed.get(partition)

    def set_committed(self, partition: TopicPartition, offset: int) -> None:
        """Note that an offset is committed. Of a partition that is not assigned, nothing is kept."""
        if partition in self._partitions:
            self._committed[partition] = offset
        if offset >= self._stored.get(partition, 0):
            self._stored.pop(partition, None)

    def set_stored(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Note offsets that were stored; return those that lie below the committed one of their partition."""
        self._stored.update(offsets)
        return {
            partition: offset
            for partition, offset in offsets.items()
            if offset < self._committed.get(partition, 0)
        }

    @property
    def uncommitted(self) -> int:
        """Return how many partitions have a stored offset that is not known to be committed."""
        return len(self._stored)
