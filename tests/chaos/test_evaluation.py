"""The evaluation as a whole: a campaign in which all went well passes, and one with any error fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Message

from tests.chaos.evaluation import CampaignResult, evaluate
from tests.chaos.report import console_table
from tests.chaos.timeline import Arrival, FaultWindow, PartitionEvent

EVENTS, PARTITIONS, PER_S = 300, 3, 100.0
BAD = "e30"
"""The event that AEP refuses."""
SPOILING_RULE = 7


class FinishedHarness:
    """A harness after its campaign: 300 events at 10 a second from 100 on, one of which AEP refuses.

    A replica was killed at 110, and a storm of 429 was on, alone, from 120 to 125.
    """

    def __init__(self) -> None:
        names = [f"e{number}" for number in range(EVENTS)]
        self.topic, self.dead_letter_topic = "t", "t.dlq"
        self.remaining_lag = 0
        self.plan = SimpleNamespace(per_s=PER_S)
        self.journal = SimpleNamespace(
            began=99.0,
            problems=[],
            windows=[
                FaultWindow("replica killed", 110, 112, moves_partitions=True, replica="a", hits=1),
                FaultWindow("429 storm", 120, 125, alone=True, hits=9),
            ],
        )
        self.producer = SimpleNamespace(
            acknowledged={
                name: (number % PARTITIONS, number // PARTITIONS) for number, name in enumerate(names)
            },
            kinds={name: "refused" if name == BAD else "good" for name in names},
            value=self.value,
        )
        self.dead_letters = [self.dead_letter(BAD, at=104)]
        self.cluster = SimpleNamespace(clients=SimpleNamespace(read_all=self.read_all))
        arrivals = {
            name: [Arrival(100 + number / 10, "a" if number < 100 else "b")]
            for number, name in enumerate(names)
            if name != BAD
        }
        self.accounting = SimpleNamespace(arrivals=arrivals, outcomes=Counter({"207": EVENTS}))
        self.simulator = SimpleNamespace(stats={"max_request_bytes": 999_000})
        commits = {number: [(109.95, 33), (131.0, EVENTS // PARTITIONS)] for number in range(PARTITIONS)}
        self.offsets = SimpleNamespace(commits=commits)
        replicas = [self.replica("a", assigned_at=99), self.replica("b", assigned_at=112)]
        self.replicas = SimpleNamespace(all=replicas, deadlines_passed=lambda _: [])

    @staticmethod
    def value(event: str) -> bytes:
        return b'{"_id":"%b"}' % event.encode()

    @staticmethod
    def replica(name: str, assigned_at: float) -> SimpleNamespace:
        events = [PartitionEvent(assigned_at, "assigned", frozenset(range(PARTITIONS)))]
        return SimpleNamespace(name=name, partition_events=events, files=set(), peak_bytes=99 << 20)

    def dead_letter(self, event: str, at: int, *, offset: int = 0, more: bytes = b"") -> Message:
        """Return a dead letter of this event at a time."""
        value = self.value(event) + more
        return Message(self.dead_letter_topic, 0, offset, event.encode(), value, timestamp=(1, at * 1000))

    def read_all(self, topic: str, _: float) -> list[Message]:
        return self.dead_letters if topic == self.dead_letter_topic else []

    def arrives_again(self, event: str, at: float, by: str) -> None:
        """Let an event arrive once more."""
        self.accounting.arrivals[event].append(Arrival(at, by))


def evaluation_of(harness: Any) -> CampaignResult:
    return evaluate(harness, 1.5)


def test_a_campaign_in_which_all_went_well_passes() -> None:
    """Every event arrived once, AEP's refusal is a dead letter, and one duplicate has an explanation.

    Its event was accepted and not committed when the replica was killed.
    """
    harness = FinishedHarness()
    harness.arrives_again("e99", 113, "b")
    result = evaluation_of(harness)
    expected = {
        "events_produced": EVENTS,
        "events_accepted": EVENTS - 1,
        "events_dead_lettered": 1,
        "duplicates": 1,
        "duplicates_unexplained": 0,
        "lost": 0,
        "faults": 2,
        "added_duplicates_noticed": "50 of 50",
    }

    assert result.problems == []
    assert result.passed
    assert {name: result.figures[name] for name in expected} == expected
    assert "replica killed" in console_table({"windows": result.windows, "figures": result.figures})


def lose_an_event(harness: Any) -> None:
    del harness.accounting.arrivals["e7"]


def leave_a_lag(harness: Any) -> None:
    lose_an_event(harness)
    harness.remaining_lag = 4


def lose_the_dead_letter(harness: Any) -> None:
    harness.dead_letters.clear()


def accept_a_foreign_event(harness: Any) -> None:
    harness.accounting.arrivals["nobody's"] = [Arrival(101, "a")]


def dead_letter_wrongly(harness: Any) -> None:
    harness.dead_letters.append(harness.dead_letter("e8", 104, offset=1))


def accept_the_refused_event(harness: Any) -> None:
    harness.accounting.arrivals[BAD] = [Arrival(103, "a")]


def leave_an_event_unacknowledged(harness: Any) -> None:
    harness.producer.kinds["e9999"] = "good"


def alter_the_dead_letter(harness: Any) -> None:
    harness.dead_letters[0] = harness.dead_letter(BAD, 104, more=b" ")


def commit_early(harness: Any) -> None:
    harness.offsets.commits[0].insert(1, (109.96, 80))


def let_a_commit_go_back(harness: Any) -> None:
    harness.offsets.commits[1].append((132.0, 33))


def let_a_fault_hit_nothing(harness: Any) -> None:
    harness.journal.windows[0].hits = 0


def duplicate_an_event(harness: Any) -> None:
    harness.arrives_again("e210", 124, "b")


def duplicate_the_dead_letter(harness: Any) -> None:
    harness.dead_letters.append(harness.dead_letter(BAD, 105, offset=1))


def settle_by_a_spoilt_response(harness: Any) -> None:
    spoiling = FaultWindow("504 after acceptance", 126, 127, rule=SPOILING_RULE, hits=1)
    harness.journal.windows.append(spoiling)
    harness.accounting.arrivals["e265"] = [Arrival(126.5, "b", SPOILING_RULE)]


def explain_everything(harness: Any) -> None:
    cut = FaultWindow("AEP frozen", 119, 126, loses_responses=True, hits=1, allowed_duplicates=99_999)
    harness.journal.windows.append(cut)


def open_a_file(harness: Any) -> None:
    harness.replicas.all[1].files.add("somewhere")


def send_a_request_that_is_too_large(harness: Any) -> None:
    harness.simulator.stats["max_request_bytes"] = 1_000_001


def report_a_problem(harness: Any) -> None:
    harness.journal.problems.append("a replica hung")


UNEXPLAINED_EVENT = (
    "1 duplicates have no fault that explains them within its bound, "
    "such as e210 of partition 0 by b at 22.0 and b at 25.0 s"
)
MISSED = "the evaluation misses duplicates: of 50 duplicates added to '429 storm' alone, 0 were noticed"


@pytest.mark.parametrize(
    ("happens", "problem"),
    [
        (lose_an_event, "1 events were lost: e7"),
        (leave_a_lag, "1 events are not settled yet, with a lag: e7"),
        (lose_the_dead_letter, f"1 events were lost: {BAD}"),
        (accept_a_foreign_event, "1 events were accepted that nobody produced: nobody's"),
        (dead_letter_wrongly, "1 events were dead-lettered wrongly: e8"),
        (accept_the_refused_event, f"1 events that AEP refuses were accepted: {BAD}"),
        (leave_an_event_unacknowledged, "1 events were not acknowledged to the producer: e9999"),
        (alter_the_dead_letter, "1 dead letters are not what was produced, byte for byte"),
        (commit_early, "partition 0: 80 was committed before"),
        (let_a_commit_go_back, "partition 1: the committed offset went back from 100 to 33"),
        (let_a_fault_hit_nothing, "the fault 'replica killed' hit nothing"),
        (duplicate_an_event, UNEXPLAINED_EVENT),
        (duplicate_the_dead_letter, "at 6.0 s, a dead letter"),
        (settle_by_a_spoilt_response, "1 events were settled by a response that did not say so: e265"),
        (explain_everything, MISSED),
        (open_a_file, "b had files open for writing: ['somewhere']"),
        (send_a_request_that_is_too_large, "a request had 1000001 bytes"),
        (report_a_problem, "a replica hung"),
    ],
)
def test_what_must_not_happen_fails_the_campaign(happens: Callable[[Any], None], problem: str) -> None:
    """Each of these alone makes the campaign fail, and the problem says what it was."""
    harness = FinishedHarness()
    happens(harness)
    result = evaluation_of(harness)

    assert not result.passed
    assert problem in "; ".join(result.problems)


def test_a_duplicate_of_a_committed_event_is_unexplained_although_a_replica_was_killed() -> None:
    """The next owner read on from the committed offset, so nothing below it may come again."""
    harness = FinishedHarness()
    harness.arrives_again("e90", 113, "b")
    problems = evaluation_of(harness).problems

    assert any("1 duplicates have no fault" in problem and "e90" in problem for problem in problems)
