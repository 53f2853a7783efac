"""The checks of single events and offsets that decide whether a campaign passes."""

from __future__ import annotations

import pytest
from confluent_kafka import Message

from tests.chaos.duplicates import Duplicate, WaitingRecords
from tests.chaos.event_checks import (
    early_commits,
    event_positions,
    faults_without_hits,
    never_confirmed,
    settling_arrivals,
    standing_commits,
)
from tests.chaos.replica_config import AFTERMATH_S
from tests.chaos.timeline import Arrival, FaultWindow, Handover, Release

SPOILING_RULE, OTHER_RULE = 7, 8


def test_a_record_whose_response_was_spoilt_waits_to_be_sent_again() -> None:
    """The replica does not know that AEP has it; what was accepted behind it comes again with a new owner."""
    positions = {"old": (0, 45), "e": (0, 50)}
    accepted = {
        "old": [Arrival(99, "a", SPOILING_RULE), Arrival(109, "b")],
        "e": [Arrival(99, "a"), Arrival(110, "b")],
    }
    settled = settling_arrivals(positions, accepted, {}, {SPOILING_RULE})
    release = Release(104, "a", owned_since=90)
    waiting = WaitingRecords({0: [Handover(0, 105, "b", 40)]}, {0: [release]}, settled)

    assert settled == {0: {45: [Arrival(109, "b")], 50: accepted["e"]}}
    assert waiting.explain(Duplicate("e", 0, 50, *accepted["e"]))


def test_only_a_rule_that_spoils_responses_leaves_a_record_unsettled() -> None:
    """A response that refuses one message of the request is true for the other messages."""
    accepted = {"e": [Arrival(99, "a", OTHER_RULE)]}

    assert settling_arrivals({"e": (0, 45)}, accepted, {}, {SPOILING_RULE}) == {0: {45: accepted["e"]}}


def test_an_event_that_was_accepted_only_under_spoilt_responses_was_never_confirmed() -> None:
    """It must have come again; if not, a replica took such a response for a good one."""
    accepted = {
        "again": [Arrival(99, "a", SPOILING_RULE), Arrival(101, "a")],
        "spoilt twice": [Arrival(99, "a", SPOILING_RULE), Arrival(101, "a", SPOILING_RULE)],
        "fine": [Arrival(99, "a", OTHER_RULE)],
    }

    assert never_confirmed(accepted, {SPOILING_RULE}) == {"spoilt twice"}


def test_a_kind_of_fault_that_never_hit_anything_is_a_problem() -> None:
    """One hit in any of its windows is enough."""
    windows = [
        FaultWindow("hang", 1, 2),
        FaultWindow("hang", 3, 4, hits=2),
        FaultWindow("garbage", 1, 2),
    ]

    assert faults_without_hits(windows) == ["the fault 'garbage' hit nothing"]


def test_an_offset_that_no_broker_told_is_looked_up_in_the_topic() -> None:
    """A broker that has a record from an attempt whose acknowledgement was lost names no offset.

    An event that is not in the topic either gets -1: whatever is committed then comes too early for it.
    """
    log = [
        Message("t", 0, 3, b"a", b"v"),
        Message("t", 1, 7, b"b", b"v"),
        Message("t", 1, 8, b"never acknowledged", b"v"),
    ]
    acknowledged = {"a": (0, 3), "b": (1, None)}

    assert event_positions(acknowledged, lambda: log) == {"a": (0, 3), "b": (1, 7)}
    assert event_positions(acknowledged, lambda: log[:1]) == {"a": (0, 3), "b": (1, -1)}
    assert event_positions({"a": (0, 3)}, lambda: pytest.fail("nothing to look up")) == {"a": (0, 3)}


def test_a_commit_before_its_records_are_settled_is_a_problem() -> None:
    """Every offset below a commit must be accepted or dead-lettered by then."""
    positions = {f"e{offset}": (0, offset) for offset in range(4)}
    settled = {f"e{offset}": [Arrival(at, "a")] for offset, at in enumerate([10, 12, 11])}
    two_early = ["partition 0: 2 was committed before e1 was settled"]
    four_early = ["partition 0: 4 was committed before e3 was settled"]

    assert early_commits(positions, settled, {0: [(11, 1), (13, 3)]}) == []
    assert early_commits(positions, settled, {0: [(11, 2)]}) == two_early
    assert early_commits(positions, settled, {0: [(99, 4)]}) == four_early


def went_back(start: int, end: int) -> list[str]:
    return [f"partition 0: the committed offset went back from {start} to {end}"]


@pytest.mark.parametrize(
    ("fault", "observed", "standing", "problems"),
    [
        ("broker killed", [(99, 40), (103, 60), (107, 50)], [(99, 40), (107, 50)], []),
        ("broker killed", [(99, 40), (103, 60), (107, 39)], [(107, 39)], went_back(60, 39)),
        ("zombie", [(99, 40), (103, 60), (107, 50)], [(99, 40), (107, 50)], went_back(60, 50)),
        ("broker killed", [(103, 60), (107 + AFTERMATH_S, 50)], [(107 + AFTERMATH_S, 50)], went_back(60, 50)),
        ("broker killed", [(103, 50), (104, 50), (105, 60)], [(103, 50), (104, 50), (105, 60)], []),
    ],
    ids=["brokers were away", "below what was committed before", "a zombie", "much later", "forwards"],
)
def test_a_committed_offset_goes_back_only_while_brokers_are_away(
    fault: str,
    observed: list[tuple[float, int]],
    standing: list[tuple[float, int]],
    problems: list[str],
) -> None:
    """The client repeats an unanswered commit after a later one, which then no longer counts."""
    window = FaultWindow(fault, 100, 106, moves_partitions=True, blocks_commits=fault != "zombie")
    times_back = 1 if len(standing) < len(observed) else 0

    assert standing_commits({0: observed}, [window]) == ({0: standing}, times_back, problems)
