"""The plan of a replay: one action for each source record, what was replayed is not sent
again, and no payload is held.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from bridge.kafka.coordinates import Coordinates
from bridge.kafka.reader import Bounds
from bridge.replay.dead_letter import StoredDeadLetter
from bridge.replay.marks import Mark, ReplayMarks
from bridge.replay.patch import Patch
from bridge.replay.plan import Action, Plan, make_plan
from bridge.replay.selection import Selection
from tests.unit.replay.dead_letters import DEAD, letter


def plan_for(
    *letters: StoredDeadLetter,
    marks: dict[str, int] | None = None,
    selection: Selection | None = None,
    patch: Patch | None = None,
    max_replays: int = 3,
) -> Plan:
    """Return the plan for these dead letters; `marks` are identities and counts of earlier failures."""
    replayed = ReplayMarks(
        (identity, Mark(count, "2026-11-24T12:00:00Z", "aep")) for identity, count in (marks or {}).items()
    )
    bounds = Bounds({DEAD: 0}, {DEAD: 1000})
    return make_plan(letters, bounds, replayed, selection or Selection(), patch, max_replays)


def actions(plan: Plan) -> dict[int, tuple[str, Action]]:
    """Return what is sent or parked, by offset."""
    return plan.actions(DEAD, 0, 1000)


def test_of_several_dead_letters_of_a_record_one_counts() -> None:
    """The one that failed most often counts, in whatever order they are read; of equals the earliest.

    The others are repeats: a record must be delivered once.
    """
    letters = [
        letter(1, 5),
        letter(2, 6),
        letter(3, 5, count=1),
        letter(4, 5, failed=900),
        letter(5, 6, failed=2000),
    ]
    for order in (letters, letters[::-1]):
        plan = plan_for(*order)

        assert actions(plan) == {2: ("t", Action.SEND), 3: ("t", Action.SEND)}
        assert (plan.to_send, plan.repeats, plan.total) == (2, 3, 5)
        assert plan.starts() == {DEAD: 2}


def test_what_was_replayed_is_not_sent_again_until_it_fails_again() -> None:
    """A mark with the dead letter's count, or a higher one, says that it was replayed.

    A dead letter that failed since has a higher count; one of a topic that was created anew has another
    timestamp.
    """
    marks = {"t/0/5@7": 0, "t/0/6@7": 1, "t/0/7@7": 0}
    plan = plan_for(
        letter(1, 5),
        letter(2, 6),
        letter(3, 7, count=1),
        letter(4, 5, timestamp="8"),
        letter(5, 8),
        marks=marks,
    )

    assert set(actions(plan)) == {3, 4, 5}
    assert (plan.to_send, plan.count(Action.DONE), plan.repeats) == (3, 2, 0)
    assert set(plan.identities(DEAD, 0, 1000)) >= {("t/0/7@7", 1), ("t/0/8@7", 0)}


def test_a_repeat_of_a_replayed_dead_letter_was_replayed_too() -> None:
    """A crash repeats a dead letter: the same record, the same count, another offset.

    That holds also after retention has deleted the first of the two.
    """
    assert plan_for(letter(1, 5), letter(9, 5, failed=5000), marks={"t/0/5@7": 0}).to_send == 0
    assert plan_for(letter(9, 5, failed=5000), marks={"t/0/5@7": 0}).to_send == 0


def test_filters_caps_and_patches(tmp_path: Path) -> None:
    """Not selected, parked and not patchable are each counted, with the first that the patch does not fit.

    What was replayed counts as that, whatever the cap and the patch would say of it.
    """
    (tmp_path / "p.json").write_text(json.dumps([{"op": "remove", "path": "/x"}]))
    letters = [
        letter(1, 1, value=b'{"x":1}'),
        letter(2, 2),
        letter(3, 3, count=3),
        letter(4, 4, topic="other"),
        letter(5, 5),
        letter(6, 6, reason="not_json"),
    ]
    plan = plan_for(
        *letters,
        marks={"t/0/5@7": 0},
        selection=Selection(reason="refused"),
        patch=Patch(tmp_path / "p.json"),
    )

    assert actions(plan) == {1: ("t", Action.SEND), 3: ("t", Action.PARK)}
    assert plan.destinations == {("t", Action.SEND): 1, ("t", Action.PARK): 1}
    assert plan.count(Action.UNPATCHABLE) == 2
    assert plan.count(Action.DONE) == 1
    assert plan.count(Action.NOT_SELECTED) == 1
    assert plan.first_unpatchable is not None
    assert plan.first_unpatchable[0] == Coordinates("t.dlq", 0, 2)
    assert plan.frequent_errors == [("no", 1)]
    assert plan.topics_with_parked() == ["t.dlq"]
    assert plan_for().first_unpatchable is None
    assert plan_for().starts() == {DEAD: 1000}


def test_no_payload_is_held() -> None:
    """Sixty thousand dead letters of 4 kB, 240 MB in all, leave less than a megabyte of Python's memory
    behind.

    On the way they never take more than two.
    """

    def many() -> Iterator[StoredDeadLetter]:
        for offset in range(60_000):
            yield letter(offset, offset, value=b"x" * 4096)

    bounds = Bounds({DEAD: 0}, {DEAD: 60_000})
    tracemalloc.start()
    try:
        plan = make_plan(many(), bounds, ReplayMarks(), Selection(), None, 3)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert plan.to_send == 60_000
    assert left < 1 << 20
    assert peak < 2 << 20
    assert len(plan.actions(DEAD, 30_000, 30_500)) == 500
