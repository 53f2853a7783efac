"""A group knows its own of a slice's records, and groups that go the same way become one."""

from __future__ import annotations

from bridge.codec.record_groups import RecordGroup, merge_adjacent, merge_by_dataset, shifted
from bridge.model import Reason, Refusal

REFUSAL = Refusal(Reason.NOT_JSON, "no")


def test_a_group_selects_its_own_records() -> None:
    """Its records may follow each other or lie between others; a group of the whole slice needs no copy."""
    items = ["a", "b", "c", "d"]

    assert RecordGroup(1, 3).select(items) == ["b", "c"]
    assert RecordGroup(0, 4, indexes=[0, 3]).select(items) == ["a", "d"]
    assert RecordGroup(0, 4).select(items) is items
    assert [len(RecordGroup(1, 3)), len(RecordGroup(0, 4, indexes=[0, 3]))] == [2, 2]


def test_adjacent_groups_of_one_dataset_become_one() -> None:
    """A batch takes them in one step. Another dataset, a refusal or a skipped value separates them."""
    groups = [
        RecordGroup(0, 1, "a", [b"0"], oversize=1),
        RecordGroup(1, 3, "a", [b"1", b"2"], oversize=2),
        RecordGroup(3, 4, "b", [b"3"]),
        RecordGroup(4, 5, "b", refusal=REFUSAL),
        RecordGroup(5, 6, "b", refusal=REFUSAL),
        RecordGroup(6, 7),
        RecordGroup(7, 8),
    ]

    assert merge_adjacent(groups) == [
        RecordGroup(0, 3, "a", [b"0", b"1", b"2"], None, 3),
        *groups[2:5],
        RecordGroup(6, 8, None, []),
    ]


def test_without_order_all_groups_of_a_dataset_become_one() -> None:
    """If order is not kept, records of other groups in between must not make a dataset's batches smaller."""
    groups = [
        RecordGroup(0, 1, "a", [b"0"], oversize=1),
        RecordGroup(1, 2, "a", refusal=REFUSAL),
        RecordGroup(2, 5, "b", [b"2", b"4"], indexes=[2, 4]),
        RecordGroup(3, 4, "a", [b"3"], oversize=1),
        RecordGroup(5, 6, "b", [b"5"]),
        RecordGroup(6, 7, None),
        RecordGroup(7, 8, None, [b"7"]),
    ]

    assert merge_by_dataset(groups) == [
        groups[1],
        RecordGroup(0, 4, "a", [b"0", b"3"], None, 2, [0, 3]),
        RecordGroup(2, 6, "b", [b"2", b"4", b"5"], None, 0, [2, 4, 5]),
        RecordGroup(6, 7, None, [], None, 0, [6]),
        RecordGroup(7, 8, None, [b"7"], None, 0, [7]),
    ]


def test_a_group_of_a_part_gets_the_indexes_of_the_whole_slice() -> None:
    """A slice with a bad record is checked in parts, and offsets are looked up in the whole slice."""
    assert shifted(RecordGroup(1, 3, "a", [b"1", b"2"]), 10) == RecordGroup(11, 13, "a", [b"1", b"2"])
    assert shifted(RecordGroup(0, 3, "a", [b"0", b"2"], indexes=[0, 2]), 10) == RecordGroup(
        10, 13, "a", [b"0", b"2"], indexes=[10, 12]
    )
