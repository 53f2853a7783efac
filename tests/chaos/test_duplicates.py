"""Which faults explain which duplicates: an evaluation that explains everything proves nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.chaos.duplicates import Duplicate, FaultExplanations, WaitingRecords
from tests.chaos.replica_config import AFTERMATH_S, IN_TRANSIT_S, MAX_UNCOMMITTED_RECORDS
from tests.chaos.timeline import Arrival, FaultWindow, Handover, Release

PER_S = 100.0
COMMITTED = 40


def duplicate(
    first_at: float = 99,
    second_at: float = 110,
    *,
    partition: int = 0,
    offset: int = 50,
    first_by: str = "a",
    second_by: str = "b",
    dead_letter: bool = False,
    rule: int | None = None,
) -> Duplicate:
    """Return a duplicate that, by default, a move of partition 0 at 105 explains."""
    first, second = Arrival(first_at, first_by, rule), Arrival(second_at, second_by)
    return Duplicate("e", partition, offset, first, second, dead_letter)


def explanations(*windows: FaultWindow, moved_at: float = 105, committed: int = 0) -> FaultExplanations:
    """Return explanations by these faults, where partition 0 moved to `b`, which read from `committed`."""
    return FaultExplanations(windows, {0: [Handover(0, moved_at, "b", committed)]}, PER_S)


def killed(partition: int = 0, **fields: Any) -> FaultWindow:
    """Return the fault that killed replica `a`, which had one partition, from 100 to 106."""
    partitions = frozenset({partition})
    return FaultWindow(
        "replica killed", 100, 106, moves_partitions=True, replica="a", partitions=partitions, **fields
    )


def test_a_moved_partition_explains_what_was_not_committed_of_it() -> None:
    """It moved to one of the two senders between both arrivals, during the fault or its aftermath."""
    assert explanations(killed()).assign([duplicate()]) == []


@pytest.mark.parametrize(
    "other",
    [
        duplicate(partition=1),
        duplicate(first_by="c", second_by="b"),
        duplicate(second_by="c"),
        duplicate(offset=39),
        duplicate(second_at=104),
        duplicate(first_at=111, second_at=120),
    ],
    ids=[
        "another partition",
        "a sender that lived",
        "nobody was given it",
        "committed already",
        "before it moved",
        "delivered after it moved",
    ],
)
def test_a_moved_partition_explains_nothing_else(other: Duplicate) -> None:
    """Other partitions, other replicas, committed offsets and other times need another explanation."""
    assert explanations(killed(), committed=COMMITTED).assign([other]) == [other]


@pytest.mark.parametrize("at", [99.9, 106 + AFTERMATH_S + 0.1])
def test_a_fault_did_not_move_a_partition_that_moved_at_another_time(at: float) -> None:
    """The partition moved before the fault began, or when its aftermath was over."""
    late_or_early = duplicate(first_at=at - 1, second_at=at + 1)

    assert explanations(killed(), moved_at=at).assign([late_or_early]) == [late_or_early]


def test_the_end_of_a_replica_did_not_move_a_partition_that_it_did_not_have() -> None:
    """The move from one of the two senders to the other at that time has another reason."""
    assert explanations(killed(partition=1)).assign([duplicate()]) == [duplicate()]


def test_a_fault_explains_nothing_after_a_calm() -> None:
    """What moved, or was in transit, after everything was settled and committed has another reason."""
    window, cut = killed(), FaultWindow("AEP frozen", 90, 104, loses_responses=True, allowed_duplicates=9)
    window.explain_only_before(104)
    cut.explain_only_before(104)
    after_calm = duplicate(first_at=104.5)

    assert explanations(window, cut).assign([after_calm]) == [after_calm]


def test_a_move_explains_no_more_duplicates_than_its_bound() -> None:
    """The bound is `max_uncommitted_records` and one commit interval for each partition that moved."""
    allowed = MAX_UNCOMMITTED_RECORDS + math.ceil(PER_S / 2)
    duplicates = [duplicate(offset=number, second_at=110 + number / 1000) for number in range(allowed + 2)]
    window = killed()

    assert explanations(window).assign(duplicates) == duplicates[-2:]
    assert (window.duplicates, window.allowed_duplicates) == (allowed, allowed)


def test_a_fault_that_blocks_commits_has_a_larger_bound() -> None:
    """Everything that was settled since the fault began may come again, beside the commit interval."""
    allowed = MAX_UNCOMMITTED_RECORDS + math.ceil(PER_S * (0.5 + 5))
    duplicates = [duplicate(offset=number, second_at=110 + number / 1000) for number in range(allowed + 2)]
    window = FaultWindow("brokers frozen", 100, 106, moves_partitions=True, blocks_commits=True)

    assert explanations(window).assign(duplicates) == duplicates[-2:]


def test_a_stopped_replica_loses_only_its_own_responses() -> None:
    """The responses to other replicas were not lost by that fault."""
    window = FaultWindow("zombie", 100, 110, loses_responses=True, replica="a", allowed_duplicates=9)
    own = duplicate(first_at=101, first_by="a", second_at=104)
    other = duplicate(first_at=101, first_by="c", second_at=104)

    assert explanations(window).assign([own, other]) == [other]


def test_a_spoilt_response_explains_each_message_of_its_request_once() -> None:
    """The rule that spoilt the response explains the duplicate, whenever the message comes again."""
    window = FaultWindow("504 after acceptance", 100, 106, rule=7, allowed_duplicates=1)
    spoilt, confirmed = duplicate(rule=7, second_at=500), duplicate(rule=None)

    assert explanations(window).assign([spoilt, confirmed]) == [confirmed]
    assert window.duplicates == 1


def test_a_cut_explains_what_was_accepted_during_it_up_to_its_bound() -> None:
    """What was in transit when the cut began or ended belongs to it too."""
    window = FaultWindow("AEP frozen", 100, 106, loses_responses=True, allowed_duplicates=2)
    during = [duplicate(first_at=at) for at in (100 - IN_TRANSIT_S, 103, 105)]
    outside = [duplicate(first_at=at) for at in (98, 106 + IN_TRANSIT_S + 0.1)]

    assert explanations(window).assign([*during, *outside]) == [during[2], *outside]


@pytest.mark.parametrize(
    ("expected", "again", "older", "released_at"),
    [
        (True, duplicate(offset=50), Arrival(109, "b"), 104),
        (False, duplicate(offset=50), Arrival(103, "a"), 104),
        (False, duplicate(offset=50), Arrival(103, None), 104),
        (False, duplicate(offset=40), Arrival(109, "b"), 104),
        (False, duplicate(offset=50, second_by="c"), Arrival(109, "b"), 104),
        (False, duplicate(offset=50), Arrival(109, "b"), 98),
        (False, duplicate(offset=50), Arrival(109, "b"), 106),
        (True, duplicate(offset=50), Arrival(89, "a"), 104),
        (True, duplicate(offset=50), Arrival(103, "z"), 104),
    ],
    ids=[
        "it waited",
        "it was settled",
        "it was dead-lettered",
        "it was not older",
        "another replica sent it",
        "released before it was accepted",
        "released after the next had it",
        "it was settled by an earlier owner, and read again",
        "it was settled by another replica",
    ],
)
def test_what_was_accepted_behind_a_waiting_record_may_come_again(
    expected: bool, again: Duplicate, older: Arrival, released_at: float
) -> None:
    """The next owner reads from the record that the last owner gave back unsent.

    It does not matter who had sent that record before the last owner had the partition.
    """
    release = Release(released_at, "a", owned_since=90)
    settled = {0: {45: [older], 50: [Arrival(99, "a")]}}
    waiting = WaitingRecords({0: [Handover(0, 105, "b", COMMITTED)]}, {0: [release]}, settled)

    assert waiting.explain(again) is expected


def test_an_offset_without_an_event_waits_for_nothing() -> None:
    """It is the marker of a transaction, or compaction removed its record."""
    moves, release = {0: [Handover(0, 105, "b", COMMITTED)]}, Release(104, "a", owned_since=90)
    waiting = WaitingRecords(moves, {0: [release]}, {0: {50: [Arrival(99, "a")]}})

    assert not waiting.explain(duplicate(offset=50))


@pytest.mark.parametrize(
    ("expected", "moves"),
    [
        (True, [Handover(0, 105, "c", 40), Handover(0, 160, "b", 40)]),
        (False, [Handover(0, 105, "c", 40), Handover(0, 160, "b", 51)]),
        (False, [Handover(0, 105, "c", 40), Handover(0, 160, "d", 40)]),
        (False, [Handover(0, 105, "c", 51), Handover(0, 160, "b", 40)]),
        (False, [Handover(0, 140, "c", 40), Handover(0, 160, "b", 40)]),
    ],
    ids=[
        "passed on",
        "committed meanwhile",
        "passed on to another",
        "committed before",
        "moved for no fault",
    ],
)
def test_a_lost_partition_may_be_passed_on_by_a_replica_that_could_not_send(
    expected: bool, moves: list[Handover]
) -> None:
    """AEP could not be reached as long as the third replica had the partition."""
    passed_on = duplicate(first_at=99, second_at=165)
    unexplained = FaultExplanations([killed()], {0: moves}, PER_S).assign([passed_on])

    assert unexplained == ([] if expected else [passed_on])


def test_a_dead_letter_may_be_published_again_if_its_acknowledgement_was_lost() -> None:
    """The broker appended it, and refused it for too few replicas.

    A spoilt response of AEP does not explain that, and a lost acknowledgement explains no event.
    """
    spoilt = FaultWindow("504 after acceptance", 100, 106, rule=7)
    cluster = FaultWindow("too few in-sync replicas", 100, 106, loses_acknowledgements=True)
    letter, event = duplicate(first_at=101, dead_letter=True, rule=7), duplicate(first_at=101)

    assert explanations(spoilt).assign([letter]) == [letter]
    assert explanations(cluster).assign([letter, event]) == [event]
