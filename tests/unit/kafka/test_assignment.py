"""The assigned partitions and their offsets."""

from __future__ import annotations

from bridge.kafka.assignment import Assignment
from bridge.model import TopicPartition

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def assignment(*partitions: TopicPartition) -> Assignment:
    made = Assignment()
    made.add(partitions)
    return made


def test_only_assigned_partitions_are_in_it() -> None:
    """Offsets of all others are refused, and they are neither paused nor resumed."""
    member = assignment(A, B)
    member.remove([B])

    assert member.only_assigned([B, A]) == [A]
    assert A in member
    assert B not in member


def test_a_stored_offset_waits_until_it_or_a_later_one_is_committed() -> None:
    """The drain waits for this before it leaves the group."""
    member = assignment(A, B)
    member.set_stored({A: 5, B: 7})
    member.set_committed(A, 4)

    assert member.uncommitted == 2

    member.set_committed(A, 5)
    member.set_committed(B, 8)

    assert member.uncommitted == 0


def test_offsets_below_the_committed_one_are_returned() -> None:
    """The client does not commit them by itself: its commits never go backwards."""
    member = assignment(A, B)
    member.set_committed(A, 1000)

    assert member.set_stored({A: 5, B: 7}) == {A: 5}


def test_a_partition_that_comes_back_has_no_offsets() -> None:
    """Another member may have committed others meanwhile."""
    member = assignment(A)
    member.set_committed(A, 1000)
    member.set_stored({A: 5})
    member.remove([A])
    member.add([A])

    assert member.committed(A) is None
    assert member.uncommitted == 0


def test_a_commit_that_ends_after_the_partition_went_is_not_kept() -> None:
    """It would be compared with the offsets of the next assignment."""
    member = assignment(A)
    member.remove([A])
    member.set_committed(A, 1000)
    member.add([A])

    assert member.committed(A) is None
