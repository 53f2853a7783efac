"""Which replica had which partition, by the replicas' own log lines."""

from __future__ import annotations

from tests.chaos.timeline import PartitionEvent, Release, handovers, partitions_held, releases

EVENTS = [
    PartitionEvent(1, "assigned", frozenset({0, 1})),
    PartitionEvent(5, "revoked", frozenset({0})),
    PartitionEvent(9, "lost", frozenset({1})),
]


def test_partitions_are_held_from_their_assignment_to_their_revocation_or_loss() -> None:
    """A span of time counts every partition that the replica had in it at any moment."""
    assert partitions_held(EVENTS, 4, 6) == {0, 1}
    assert partitions_held(EVENTS, 6, 7) == {1}
    assert partitions_held(EVENTS) == frozenset()


def test_a_replica_reads_on_from_what_was_committed_before_its_assignment() -> None:
    """Later commits say nothing of where it began to read."""
    other = [PartitionEvent(6, "assigned", frozenset({0}))]
    moves = handovers([("a", EVENTS), ("b", other)], {0: [(2, 10), (5.5, 20), (7, 30)]})

    assert [(move.replica, move.committed) for move in moves[0]] == [("a", 0), ("b", 20)]


def test_a_release_names_the_owner_and_the_time_since_which_it_had_the_partition() -> None:
    """A partition may come to the same replica twice. A lost partition is not released."""
    events = [
        PartitionEvent(90, "assigned", frozenset({0, 1})),
        PartitionEvent(95, "revoked", frozenset({0})),
        PartitionEvent(97, "lost", frozenset({1})),
        PartitionEvent(98, "assigned", frozenset({0})),
        PartitionEvent(104, "revoked", frozenset({0})),
    ]
    other = [
        PartitionEvent(96, "assigned", frozenset({0})),
        PartitionEvent(97, "revoked", frozenset({0})),
    ]

    assert releases([("a", events), ("b", other)]) == {
        0: [Release(95, "a", 90), Release(97, "b", 96), Release(104, "a", 98)]
    }
