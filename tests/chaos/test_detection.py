"""Invented duplicates: the campaign fails if the evaluation would not notice them."""

from __future__ import annotations

import pytest

from tests.chaos.detection import MAX_INVENTED, check_detection, invent_duplicates
from tests.chaos.duplicates import FaultExplanations, WaitingRecords
from tests.chaos.timeline import Arrival, FaultWindow, Handover, Release

PER_S = 100.0
NOTHING_WAITED = WaitingRecords({}, {}, {})
MUST_REPEAT_NOTHING = (
    "replica terminated",
    "scaled 1-6-2",
    "partition added",
    "429 storm",
    "503 for everything",
    "400 for everything",
    "token revoked",
    "token endpoint down",
    "secret rotated",
    "lower size limit",
)


@pytest.mark.parametrize("kind", MUST_REPEAT_NOTHING)
def test_duplicates_added_to_a_fault_that_must_repeat_nothing_are_noticed(kind: str) -> None:
    """All 300 are noticed, although partitions move, and faults before and after may repeat something."""
    before = FaultWindow(
        "replica killed", 100, 106, moves_partitions=True, replica="a", partitions=frozenset({0})
    )
    before.explain_only_before(150)
    window = FaultWindow(kind, 200, 210, alone=True)
    after = FaultWindow(
        "brokers frozen", 300, 310, moves_partitions=True, blocks_commits=True, loses_acknowledgements=True
    )
    windows = [before, window, after]
    accepted = {f"e{number}": [Arrival(195 + number / 50, "abc"[number % 3])] for number in range(1000)}
    positions = {f"e{number}": (number % 3, number) for number in range(1000)}
    moves = {
        partition: [Handover(partition, at, "abc"[partition]) for at in (105, 203, 305)]
        for partition in range(3)
    }
    explanations = FaultExplanations(windows, moves, PER_S)

    figures, problems = check_detection(explanations, NOTHING_WAITED, windows, positions, accepted)

    assert problems == []
    assert figures["added_duplicates_noticed"] == f"{MAX_INVENTED} of {MAX_INVENTED}"


def test_an_evaluation_that_does_not_notice_them_is_a_problem() -> None:
    """The campaign fails if duplicates that are added to a fault alone find an explanation."""
    window = FaultWindow("429 storm", 100, 110, alone=True)
    cut = FaultWindow("AEP frozen", 90, 120, loses_responses=True, allowed_duplicates=100)
    accepted = {f"e{number}": [Arrival(100 + number / 20, "a")] for number in range(100)}
    positions = dict.fromkeys(accepted, (0, 1))
    explanations = FaultExplanations([window, cut], {0: [Handover(0, 105, "b", 0)]}, PER_S)

    _, problems = check_detection(explanations, NOTHING_WAITED, [window, cut], positions, accepted)

    assert problems == ["of 100 duplicates added to '429 storm' alone, 0 were noticed"]


def test_duplicates_that_a_waiting_record_would_explain_do_not_count_as_noticed() -> None:
    """The evaluation has two ways to explain a duplicate, so the check must use both."""
    window = FaultWindow("scaled 1-6-2", 100, 110, alone=True)
    accepted = {f"e{number}": [Arrival(100 + number / 20, "a")] for number in range(100)}
    positions = {event: (0, 41 + number) for number, event in enumerate(accepted)}
    times = [at / 20 for at in range(2000, 2200, 4)]
    moves = {0: [Handover(0, at, "a", 40) for at in times]}
    releases = {0: [Release(at, "a", owned_since=90) for at in times]}
    waiting = WaitingRecords(moves, releases, {0: {40: []}})
    explanations = FaultExplanations([window], moves, PER_S)

    figures, problems = check_detection(explanations, waiting, [window], positions, accepted)

    assert figures["added_duplicates_noticed"] != "100 of 100"
    assert problems


def test_invented_duplicates_come_from_the_time_of_the_fault() -> None:
    """Every second one comes from another replica than the first arrival."""
    arrivals = [(f"e{number}", 0, number, Arrival(100 + number, "a")) for number in range(10)]
    invented = invent_duplicates(arrivals, FaultWindow("429 storm", 103, 106), ["a", "b"])

    assert [duplicate.first.at for duplicate in invented] == [103, 104, 105]
    assert [duplicate.second.replica for duplicate in invented] == ["a", "b", "a"]
