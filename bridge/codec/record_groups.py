"""Groups of a slice's records that go the same way: to one dataset, to the dead-letter topic, or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bridge.model import Refusal

T = TypeVar("T")

PROFILE_LIMIT_BYTES = 10_000
"""Size of an event above which Profile drops it without a word, after AEP accepted it with a 207."""


@dataclass(frozen=True, slots=True)
class RecordGroup:
    """Records of a slice that have one dataset, one refusal, or nothing to do (skipped null values)."""

    start: int
    """The first record's index in the slice."""
    stop: int
    """The index behind the last record's."""
    dataset: str | None = None
    pieces: Sequence[bytes] = ()
    """A message for each record, ready for a request body. Empty where nothing is sent."""
    refusal: Refusal | None = None
    """Why the only record of the group can't be sent."""
    oversize: int = 0
    """How many of the records Profile will drop for their size."""
    indexes: Sequence[int] | None = None
    """Every record's index, in ascending order, where records of other groups lie between them."""

    def __len__(self) -> int:
        """Return the number of records."""
        return self.stop - self.start if self.indexes is None else len(self.indexes)

    def select(self, items: Sequence[T]) -> Sequence[T]:
        """Return this group's own of `items`, a list with one item for each record of the slice."""
        if self.indexes is not None:
            return [items[index] for index in self.indexes]
        return items if self.stop - self.start == len(items) else items[self.start : self.stop]


def count_oversize(pieces: Sequence[bytes]) -> int:
    """Return how many messages Profile will drop for their size."""
    return sum(len(piece) > PROFILE_LIMIT_BYTES for piece in pieces)


def shifted(group: RecordGroup, by: int) -> RecordGroup:
    """Return the group of a part of a slice, with the indexes that its records have in the whole slice."""
    indexes = None if group.indexes is None else [by + index for index in group.indexes]
    return replace(group, start=by + group.start, stop=by + group.stop, indexes=indexes)


def merge_adjacent(groups: Sequence[RecordGroup]) -> list[RecordGroup]:
    """Merge groups that follow each other and go the same way; a refusal stays alone."""
    merged: list[RecordGroup] = []
    for group in groups:
        last = merged[-1] if merged else None
        if (
            last is not None
            and group.refusal is None is last.refusal
            and bool(group.pieces) == bool(last.pieces)
            and group.dataset == last.dataset
        ):
            pieces = [*last.pieces, *group.pieces]
            oversize = last.oversize + group.oversize
            merged[-1] = RecordGroup(last.start, group.stop, last.dataset, pieces, None, oversize)
        else:
            merged.append(group)
    return merged


def merge_by_dataset(groups: Sequence[RecordGroup]) -> list[RecordGroup]:
    """Merge all groups that go the same way, wherever their records are. Refusals come first."""
    merged = [group for group in groups if group.refusal is not None]
    same_way: dict[tuple[str | None, bool], list[RecordGroup]] = {}
    for group in groups:
        if group.refusal is None:
            same_way.setdefault((group.dataset, bool(group.pieces)), []).append(group)
    for (dataset, _), parts in same_way.items():
        indexes: list[int] = []
        pieces: list[bytes] = []
        for part in parts:
            indexes += range(part.start, part.stop) if part.indexes is None else part.indexes
            pieces += part.pieces
        oversize = sum(part.oversize for part in parts)
        merged.append(RecordGroup(indexes[0], indexes[-1] + 1, dataset, pieces, None, oversize, indexes))
    return merged
