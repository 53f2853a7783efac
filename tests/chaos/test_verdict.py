"""The verdict as a whole: a campaign in which everything went well passes, and each thing that may not happen is found when it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Message

from tests.chaos.timeline import Arrival, LaneEvent, Window
from tests.chaos.verdict import Verdict, judge, table

EVENTS, PARTITIONS, PER_S = 300, 3, 100.0
BAD = "e30"


class Finished(SimpleNamespace):
    """A stage after its campaign: 300 events at 10 a second, one of which AEP refuses; a replica was killed at 110, a storm of 429 was on from 120 to 125."""

    def __init__(self) -> None:
        names = [f"e{number}" for number in range(EVENTS)]
        log = [Message("t.dlq", 0, 0, BAD.encode(), self.value(BAD), timestamp=(1, 104_000))]
        lanes = {
            "a": [LaneEvent(99, "assigned", frozenset({0, 1, 2}))],
            "b": [LaneEvent(112, "assigned", frozenset({0, 1, 2}))],
        }
        arrivals = {
            name: [Arrival(100 + number / 10, "a" if number < 100 else "b")]
            for number, name in enumerate(names)
            if name != BAD
        }
        super().__init__(
            topic="t",
            dead_letter_topic="t.dlq",
            problems=[],
            behind=0,
            began=99.0,
            log=log,
            plan=SimpleNamespace(per_s=PER_S),
            producing=SimpleNamespace(
                acknowledged={name: (number % PARTITIONS, number // PARTITIONS) for number, name in enumerate(names)},
                asked={name: "refused" if name == BAD else "good" for name in names},
                value=self.value,
            ),
            kafka=SimpleNamespace(clients=SimpleNamespace(read_all=lambda topic, _: log if topic == "t.dlq" else [])),
            accounting=SimpleNamespace(arrivals=arrivals, outcomes=Counter({"207": EVENTS})),
            sim=SimpleNamespace(stats={"max_request_bytes": 999_000}),
            offsets=SimpleNamespace(commits={partition: [(109.95, 33), (131.0, EVENTS // PARTITIONS)] for partition in range(PARTITIONS)}),
            windows=[
                Window("replica killed", 110, 112, lanes=True, replica="a", hits=1),
                Window("429 storm", 120, 125, alone=True, hits=9),
            ],
            fleet=SimpleNamespace(every=[SimpleNamespace(name=name, lanes=each, files=set(), peak=99 << 20) for name, each in lanes.items()], cut_off=lambda _: []),
        )  # fmt: skip

    @staticmethod
    def value(event: str) -> bytes:
        return b'{"_id":"%b"}' % event.encode()

    def again(self, event: str, at: float, by: str) -> None:
        """It arrives once more."""
        self.accounting.arrivals[event].append(Arrival(at, by))


def verdict(stage: Any) -> Verdict:
    return judge(stage, 1.5)


def test_a_campaign_in_which_all_went_well_passes() -> None:
    """Every event once, what AEP refuses as a dead letter, and a copy that the killed replica explains: it was accepted and not committed yet."""
    stage = Finished()
    stage.again("e99", 113, "b")
    found = verdict(stage)

    assert [] == found.problems
    assert found.passed
    counted = (
        "events_produced",
        "events_accepted",
        "events_dead_lettered",
        "copies",
        "copies_unexplained",
        "lost",
        "faults",
    )
    assert (EVENTS, EVENTS - 1, 1, 1, 0, 0, 2) == tuple(found.figures[name] for name in counted)
    assert "50 of 50" == found.figures["added_copies_noticed"]
    assert "replica killed" in table(found)


def _lost(stage: Any) -> None:
    del stage.accounting.arrivals["e7"]


def _behind(stage: Any) -> None:
    _lost(stage)
    stage.behind = 4


def _dead_letter_lost(stage: Any) -> None:
    stage.log.clear()


def _foreign(stage: Any) -> None:
    stage.accounting.arrivals["nobody's"] = [Arrival(101, "a")]


def _buried_wrongly(stage: Any) -> None:
    stage.log.append(Message("t.dlq", 0, 1, b"e8", stage.value("e8"), timestamp=(1, 104_000)))


def _bad_accepted(stage: Any) -> None:
    stage.accounting.arrivals[BAD] = [Arrival(103, "a")]


def _not_acknowledged(stage: Any) -> None:
    stage.producing.asked["e9999"] = "good"


def _altered(stage: Any) -> None:
    stage.log[0] = Message("t.dlq", 0, 0, BAD.encode(), stage.value(BAD) + b" ", timestamp=(1, 104_000))


def _early(stage: Any) -> None:
    stage.offsets.commits[0].insert(1, (109.96, 80))


def _went_back(stage: Any) -> None:
    stage.offsets.commits[1].append((132.0, 33))


def _nothing_hit(stage: Any) -> None:
    stage.windows[0].hits = 0


def _copy(stage: Any) -> None:
    stage.again("e210", 124, "b")


def _letter_copy(stage: Any) -> None:
    stage.log.append(Message("t.dlq", 0, 1, BAD.encode(), stage.value(BAD), timestamp=(1, 105_000)))


def _settled_by_a_spoilt_answer(stage: Any) -> None:
    stage.windows.append(Window("504 after acceptance", 126, 127, rule=7, hits=1))
    stage.accounting.arrivals["e265"] = [Arrival(126.5, "b", 7)]


def _blind(stage: Any) -> None:
    stage.windows.append(Window("AEP frozen", 119, 126, answers=True, hits=1, repeats=99_999))


def _wrote(stage: Any) -> None:
    stage.fleet.every[1].files.add("somewhere")


def _too_large(stage: Any) -> None:
    stage.sim.stats["max_request_bytes"] = 1_000_001


def _told_already(stage: Any) -> None:
    stage.problems.append("a replica hung")


@pytest.mark.parametrize(
    ("happens", "wanted"),
    [
        (_lost, "1 events were lost: e7"),
        (_behind, "1 events are not settled yet, with a lag: e7"),
        (_dead_letter_lost, f"1 events were lost: {BAD}"),
        (_foreign, "1 events were accepted that nobody produced: nobody's"),
        (_buried_wrongly, "1 events were dead-lettered wrongly: e8"),
        (_bad_accepted, f"1 events that AEP refuses were accepted: {BAD}"),
        (_not_acknowledged, "1 events were not acknowledged to the producer: e9999"),
        (_altered, "1 dead letters are not what was produced, byte for byte"),
        (_early, "partition 0: 80 was committed before"),
        (_went_back, "partition 1: the committed offset went back from 100 to 33"),
        (_nothing_hit, "the fault 'replica killed' hit nothing"),
        (
            _copy,
            "1 copies have no fault that explains them within its bound, such as e210 of partition 0 by b at 22.0 and b at 25.0 s",
        ),
        (_letter_copy, "at 6.0 s, a dead letter"),
        (_settled_by_a_spoilt_answer, "1 events were settled by an answer that did not say so: e265"),
        (_blind, "the judge is blind: of 50 copies added to '429 storm' alone, 0 were noticed"),
        (_wrote, "b had files open for writing: ['somewhere']"),
        (_too_large, "a request had 1000001 bytes"),
        (_told_already, "a replica hung"),
    ],
)
def test_what_may_not_happen_is_found(happens: Callable[[Any], None], wanted: str) -> None:
    """Each by itself makes the campaign fail, and its problem says what it was."""
    stage = Finished()
    happens(stage)
    found = verdict(stage)

    assert not found.passed
    assert wanted in "; ".join(found.problems)


def test_a_copy_that_was_committed_is_unexplained_although_a_replica_was_killed() -> None:
    """The next owner read on from the committed offset: nothing below it may come again."""
    stage = Finished()
    stage.again("e90", 113, "b")

    assert any(
        "1 copies have no fault" in problem and "e90" in problem for problem in verdict(stage).problems
    )
