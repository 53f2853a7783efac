"""The judge of a campaign: a verdict that can't fail proves nothing."""

from __future__ import annotations

import math

import pytest
from confluent_kafka import Message

from tests.chaos.copies import ADDED, AFTER_S, UNCOMMITTED, UNDER_WAY_S, Copy, Judge, Waiting, added
from tests.chaos.timeline import Arrival, Handover, LaneEvent, Release, Window, handovers, held, releases
from tests.chaos.verdict import early, known, placed, standing, tried, unhit, unsaid

PER_S = 100.0
NOBODY = Waiting({}, {}, {})
QUIET = (
    "replica terminated", "scaled 1-6-2", "partition added", "429 storm", "503 for everything", "400 for everything",
    "token revoked", "token endpoint down", "secret rotated", "lower size limit",
)  # fmt: skip
"""Kinds that must repeat nothing."""


def copy(
    before: float = 99,
    after: float = 110,
    *,
    partition: int = 0,
    offset: int = 50,
    by: str = "a",
    to: str = "b",
    letter: bool = False,
    rule: int | None = None,
) -> Copy:
    """One that a loss of partition 0 at 105 would explain."""
    return Copy("e", partition, offset, Arrival(before, by, rule), Arrival(after, to), letter)


def judge(*windows: Window, at: float = 105, base: int = 0) -> Judge:
    """Partition 0 was given to `b`, which reads on from `base`."""
    return Judge(windows, {0: [Handover(0, at, "b", base)]}, PER_S)


def killed(**fields: object) -> Window:
    return Window("replica killed", 100, 106, lanes=True, replica="a", partitions=frozenset({0}), **fields)


def test_a_lost_lane_explains_what_was_not_committed_of_it() -> None:
    """The partition moved to one of the two senders between the two arrivals, while the fault or what it set off was on."""

    assert [] == judge(killed()).explain([copy()])


@pytest.mark.parametrize(
    "wrong",
    [
        copy(partition=1),
        copy(by="c", to="b"),
        copy(to="c"),
        copy(offset=39),
        copy(after=104),
        copy(before=111, after=120),
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
def test_a_lost_lane_explains_nothing_else(wrong: Copy) -> None:
    """Neither other partitions and replicas, nor what had been committed, nor what arrived at another time."""

    assert [wrong] == judge(killed(), base=40).explain([wrong])


@pytest.mark.parametrize("at", [99.9, 106 + AFTER_S + 0.1])
def test_a_partition_that_moved_at_another_time_was_not_moved_by_the_fault(at: float) -> None:
    """Before it began, or when nothing of it could be left."""
    found = copy(before=at - 1, after=at + 1)

    assert [found] == judge(killed(), at=at).explain([found])


def test_a_partition_that_the_replica_did_not_have_was_not_moved_by_its_end() -> None:
    """Although it moved from one of the two senders to the other at that time."""
    window = Window("replica killed", 100, 106, lanes=True, replica="a", partitions=frozenset({1}))

    assert [copy()] == judge(window).explain([copy()])


def test_calm_ends_what_a_fault_explains() -> None:
    """What moved, or was under way, after everything was settled and committed has another reason."""
    window, cut = killed(), Window("AEP frozen", 90, 104, answers=True, repeats=9)
    window.over(104)
    cut.over(104)
    late = copy(before=104.5)

    assert [late] == judge(window, cut).explain([late])


def test_a_bound_is_used_up() -> None:
    """`max_uncommitted_records` and a commit interval for each partition that moved, and not one more."""
    allowed = UNCOMMITTED + math.ceil(PER_S / 2)
    copies = [copy(offset=number, after=110 + number / 1000) for number in range(allowed + 2)]
    window = killed()

    assert copies[-2:] == judge(window).explain(copies)
    assert (allowed, allowed) == (window.copies, window.repeats)


def test_where_commits_fail_more_may_come_again() -> None:
    """What was settled since the fault began, beside the commit interval."""
    allowed = UNCOMMITTED + math.ceil(PER_S * (0.5 + 5))
    copies = [copy(offset=number, after=110 + number / 1000) for number in range(allowed + 2)]
    window = Window("brokers frozen", 100, 106, lanes=True, commits=True)

    assert copies[-2:] == judge(window).explain(copies)


def test_a_stopped_replica_loses_its_own_answers() -> None:
    """Not those of the others."""
    window = Window("zombie", 100, 110, answers=True, replica="a", repeats=9)
    own, other = copy(before=101, by="a", after=104), copy(before=101, by="c", after=104)

    assert [other] == judge(window).explain([own, other])


def test_a_lost_answer_explains_the_messages_of_its_request_once() -> None:
    """By the rule that spoilt it, whenever they come again."""
    window = Window("504 after acceptance", 100, 106, rule=7, repeats=1)
    spoilt, fine = copy(rule=7, after=500), copy(rule=None)

    assert [fine] == judge(window).explain([spoilt, fine])
    assert 1 == window.copies


def test_a_cut_explains_what_was_accepted_while_it_was_on() -> None:
    """And what was under way, as far as its bound goes."""
    window = Window("AEP frozen", 100, 106, answers=True, repeats=2)
    inside = [copy(before=at) for at in (100 - UNDER_WAY_S, 103, 105)]
    outside = [copy(before=at) for at in (98, 106 + UNDER_WAY_S + 0.1)]

    assert [inside[2], *outside] == judge(window).explain([*inside, *outside])


@pytest.mark.parametrize(
    ("expected", "found", "older", "released"),
    [
        (True, copy(offset=50), Arrival(109, "b"), 104),
        (False, copy(offset=50), Arrival(103, "a"), 104),
        (False, copy(offset=50), Arrival(103, None), 104),
        (False, copy(offset=40), Arrival(109, "b"), 104),
        (False, copy(offset=50, to="c"), Arrival(109, "b"), 104),
        (False, copy(offset=50), Arrival(109, "b"), 98),
        (False, copy(offset=50), Arrival(109, "b"), 106),
        (True, copy(offset=50), Arrival(89, "a"), 104),
        (True, copy(offset=50), Arrival(103, "z"), 104),
    ],
    ids=[
        "it waited",
        "it was settled",
        "it was dead-lettered",
        "it was not older",
        "somebody else sent it",
        "released before it was accepted",
        "released after the next had it",
        "it was settled by an earlier owner, and read again",
        "it was settled by somebody else",
    ],
)
def test_what_was_accepted_behind_a_record_that_waited_may_come_again(
    expected: bool, found: Copy, older: Arrival, released: float
) -> None:
    """The next owner reads from the record that its predecessor gave back unsent, whoever had sent it before that one had the partition."""
    release = Release(released, "a", since=90)
    waiting = Waiting(
        {0: [Handover(0, 105, "b", 40)]}, {0: [release]}, {0: {45: [older], 50: [Arrival(99, "a")]}}
    )

    assert expected is waiting.explains(found)


def test_an_offset_that_nobody_produced_waits_for_nothing() -> None:
    """A marker of a transaction, or what compaction took away."""
    waiting = Waiting(
        {0: [Handover(0, 105, "b", 40)]}, {0: [Release(104, "a", since=90)]}, {0: {50: [Arrival(99, "a")]}}
    )

    assert not waiting.explains(copy(offset=50))


def test_a_partition_is_given_back_by_the_one_that_had_it_last_since_it_was_given_it() -> None:
    """A partition may come to the same replica twice, and what is lost is not given back."""
    lanes = [
        LaneEvent(90, "assigned", frozenset({0, 1})),
        LaneEvent(95, "revoked", frozenset({0})),
        LaneEvent(97, "lost", frozenset({1})),
        LaneEvent(98, "assigned", frozenset({0})),
        LaneEvent(104, "revoked", frozenset({0})),
    ]
    other = [LaneEvent(96, "assigned", frozenset({0})), LaneEvent(97, "revoked", frozenset({0}))]

    assert {0: [Release(95, "a", 90), Release(97, "b", 96), Release(104, "a", 98)]} == releases(
        [("a", lanes), ("b", other)]
    )


def test_a_record_whose_answer_was_spoilt_waits_to_be_sent_again() -> None:
    """AEP has it, and nobody knows: what was accepted behind it comes again with the partition's next owner."""
    places = {"old": (0, 45), "e": (0, 50)}
    accepted = {"old": [Arrival(99, "a", 7), Arrival(109, "b")], "e": [Arrival(99, "a"), Arrival(110, "b")]}
    settled = known(places, accepted, {}, {7})

    assert {0: {45: [Arrival(109, "b")], 50: accepted["e"]}} == settled
    assert Waiting({0: [Handover(0, 105, "b", 40)]}, {0: [Release(104, "a", since=90)]}, settled).explains(
        copy(offset=50)
    )


def test_only_a_rule_that_spoils_answers_leaves_a_record_unknown() -> None:
    """A request with a refusal for one of its messages tells the truth of the others."""
    assert {0: {45: [Arrival(99, "a", 8)]}} == known({"e": (0, 45)}, {"e": [Arrival(99, "a", 8)]}, {}, {7})


def test_what_was_accepted_behind_a_spoilt_answer_must_come_again() -> None:
    """Else somebody took the answer for a good one."""
    again, once, fine = (
        [Arrival(99, "a", 7), Arrival(101, "a")],
        [Arrival(99, "a", 7), Arrival(101, "a", 7)],
        [Arrival(99, "a", 8)],
    )

    assert {"once"} == unsaid({"again": again, "once": once, "fine": fine}, {7})


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
def test_a_partition_that_was_lost_may_be_passed_on_by_one_who_could_not_send(
    expected: bool, moves: list[Handover]
) -> None:
    """AEP was away as long as a third replica had it."""
    found = copy(before=99, after=165)

    assert expected is not Judge([killed()], {0: moves}, PER_S).explain([found])


def test_a_letter_may_be_published_again_where_its_acknowledgement_was_lost() -> None:
    """Appended, not replicated and refused; a spoilt answer of AEP is no reason, and an event has none in this."""
    spoilt, cluster = (
        Window("504 after acceptance", 100, 106, rule=7),
        Window("too few in-sync replicas", 100, 106, letters=True),
    )
    letter, event = copy(before=101, letter=True, rule=7), copy(before=101)

    assert [letter] == judge(spoilt).explain([letter])
    assert [event] == judge(cluster).explain([letter, event])


@pytest.mark.parametrize("kind", QUIET)
def test_copies_added_to_a_fault_that_must_repeat_nothing_are_noticed(kind: str) -> None:
    """300 of them, with partitions moving and faults that may repeat something before and after it, and calm between."""
    before, after = killed(), Window("brokers frozen", 300, 310, lanes=True, commits=True, letters=True)
    before.over(150)
    window = Window(kind, 200, 210, alone=True)
    arrivals = [
        (f"e{number}", number % 3, number, Arrival(195 + number / 50, "abc"[number % 3]))
        for number in range(1000)
    ]
    moves = {
        partition: [Handover(partition, at, "abc"[partition]) for at in (105, 203, 305)]
        for partition in range(3)
    }
    windows = [before, window, after]

    noticed, blind = tried(
        Judge(windows, moves, PER_S),
        NOBODY,
        windows,
        {event: (partition, offset) for event, partition, offset, _ in arrivals},
        {e: [a] for e, _, _, a in arrivals},
    )

    assert [] == blind
    assert f"{ADDED} of {ADDED}" == noticed["added_copies_noticed"]


def test_a_judge_that_does_not_notice_them_is_told() -> None:
    """The campaign fails where copies that are added to a fault alone find an explanation."""
    window, other = (
        Window("429 storm", 100, 110, alone=True),
        Window("AEP frozen", 90, 120, answers=True, repeats=100),
    )
    arrivals = {f"e{number}": [Arrival(100 + number / 20, "a")] for number in range(100)}

    _, blind = tried(judge(window, other), NOBODY, [window, other], dict.fromkeys(arrivals, (0, 1)), arrivals)

    assert ["of 100 copies added to '429 storm' alone, 0 were noticed"] == blind


def test_copies_that_a_record_which_waited_would_explain_are_not_called_noticed() -> None:
    """The verdict has two ways to explain a copy; the trial has both."""
    window = Window("scaled 1-6-2", 100, 110, alone=True)
    arrivals = {f"e{number}": [Arrival(100 + number / 20, "a")] for number in range(100)}
    places = {event: (0, 41 + number) for number, event in enumerate(arrivals)}
    moves = {0: [Handover(0, at / 20, "a", 40) for at in range(2000, 2200, 4)]}
    waiting = Waiting(
        moves, {0: [Release(at / 20, "a", since=90) for at in range(2000, 2200, 4)]}, {0: {40: []}}
    )

    noticed, blind = tried(Judge([window], moves, PER_S), waiting, [window], places, arrivals)

    assert "100 of 100" != noticed["added_copies_noticed"]
    assert blind


def test_added_copies_come_from_the_time_of_the_fault() -> None:
    """Every second one from another replica than the first."""
    arrivals = [(f"e{number}", 0, number, Arrival(100 + number, "a")) for number in range(10)]
    made = added(arrivals, Window("429 storm", 103, 106), ["a", "b"])

    assert [103, 104, 105] == [each.before.at for each in made]
    assert ["a", "b", "a"] == [each.after.replica for each in made]


def test_a_kind_that_never_hit_anything_is_a_problem() -> None:
    """One hit of any of its times will do."""
    windows = [Window("hang", 1, 2), Window("hang", 3, 4, hits=2), Window("garbage", 1, 2)]

    assert ["the fault 'garbage' hit nothing"] == unhit(windows)


def test_where_an_event_is_that_no_broker_told_is_looked_up() -> None:
    """A broker that has a record already, from an attempt whose acknowledgement was lost, names no offset: nothing is known of it before the topic is read."""
    log = [
        Message("t", 0, 3, b"a", b"v"),
        Message("t", 1, 7, b"b", b"v"),
        Message("t", 1, 8, b"never acknowledged", b"v"),
    ]

    assert {"a": (0, 3), "b": (1, 7)} == placed({"a": (0, 3), "b": (1, None)}, lambda: log)
    assert {"a": (0, 3), "b": (1, -1)} == placed({"a": (0, 3), "b": (1, None)}, lambda: log[:1]), (
        "not in the topic: everything committed is too early"
    )
    assert {"a": (0, 3)} == placed({"a": (0, 3)}, lambda: pytest.fail("the topic need not be read"))


def test_a_commit_before_its_records_are_settled_is_a_problem() -> None:
    """Every offset below what was committed was accepted, or is a dead letter, by then."""
    places = {f"e{offset}": (0, offset) for offset in range(4)}
    settled = {f"e{offset}": [Arrival(at, "a")] for offset, at in enumerate([10, 12, 11])}

    assert [] == early(places, settled, {0: [(11, 1), (13, 3)]})
    assert ["partition 0: 2 was committed before e1 was settled"] == early(places, settled, {0: [(11, 2)]})
    assert ["partition 0: 4 was committed before e3 was settled"] == early(places, settled, {0: [(99, 4)]})


@pytest.mark.parametrize(
    ("fault", "seen", "stood", "wrong"),
    [
        ("broker killed", [(99, 40), (103, 60), (107, 50)], [(99, 40), (107, 50)], []),
        (
            "broker killed",
            [(99, 40), (103, 60), (107, 39)],
            [(107, 39)],
            ["partition 0: the committed offset went back from 60 to 39"],
        ),
        (
            "zombie",
            [(99, 40), (103, 60), (107, 50)],
            [(99, 40), (107, 50)],
            ["partition 0: the committed offset went back from 60 to 50"],
        ),
        (
            "broker killed",
            [(103, 60), (107 + AFTER_S, 50)],
            [(107 + AFTER_S, 50)],
            ["partition 0: the committed offset went back from 60 to 50"],
        ),
        ("broker killed", [(103, 50), (104, 50), (105, 60)], [(103, 50), (104, 50), (105, 60)], []),
    ],
    ids=["brokers were away", "below what was committed before", "a zombie", "much later", "forwards"],
)
def test_a_commit_goes_back_only_while_brokers_are_away(
    fault: str, seen: list[tuple[float, int]], stood: list[tuple[float, int]], wrong: list[str]
) -> None:
    """The client repeats an unanswered commit after a later one. What it undoes was committed within the fault, and counts no more."""
    window = Window(fault, 100, 106, lanes=True, commits=fault != "zombie")

    assert ({0: stood}, len(seen) - len(stood) and 1, wrong) == standing({0: seen}, [window])


def test_who_held_what_and_when() -> None:
    """From the replicas' own lines: what one had at any time between two, what it has now, and from where the next one reads."""
    lanes = [
        LaneEvent(1, "assigned", frozenset({0, 1})),
        LaneEvent(5, "revoked", frozenset({0})),
        LaneEvent(9, "lost", frozenset({1})),
    ]

    assert [frozenset({0, 1}), frozenset({1}), frozenset()] == [
        held(lanes, 4, 6),
        held(lanes, 6, 7),
        held(lanes),
    ]
    moves = handovers(
        [("a", lanes), ("b", [LaneEvent(6, "assigned", frozenset({0}))])], {0: [(2, 10), (5.5, 20), (7, 30)]}
    )
    assert [("a", 0), ("b", 20)] == [(move.replica, move.base) for move in moves[0]]
