"""What keeps a replay from starting is found before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.kafka.reader import Bounds
from bridge.replay.dead_letter import StoredDeadLetter
from bridge.replay.marks import ReplayMarks
from bridge.replay.patch import Patch
from bridge.replay.plan import Plan, make_plan
from bridge.replay.preflight import PatchDoesNotFit, WrongDestination, check_parking_topic, check_plan
from bridge.replay.selection import Selection
from tests.support.settings import settings
from tests.unit.replay.dead_letters import DEAD, letter

MAPPED = settings(topics=[{"topic": "t"}])


def plan_for(*letters: StoredDeadLetter, patch: Patch | None = None) -> Plan:
    """Return the plan for these dead letters."""
    return make_plan(letters, Bounds({DEAD: 0}, {DEAD: 1000}), ReplayMarks(), Selection(), patch, 3)


def test_a_patch_must_fit_all_unless_the_others_may_stay(tmp_path: Path) -> None:
    """Half of a correction, sent by mistake, is hard to tell from a whole one afterwards."""
    (tmp_path / "p.json").write_text(json.dumps([{"op": "remove", "path": "/x"}]))
    plan = plan_for(letter(1, 1, value=b'{"x":1}'), letter(2, 2), patch=Patch(tmp_path / "p.json"))

    with pytest.raises(PatchDoesNotFit, match=r"^1 dead letters don't take the patch, first t\.dlq/0/2: "):
        check_plan(plan, MAPPED, to_source=False, leave_unpatched=False)
    check_plan(plan, MAPPED, to_source=False, leave_unpatched=True)


def test_a_record_needs_a_route_to_go_to_aep() -> None:
    """A topic that the mapping does not name has no dataset; back to the source is still possible."""
    plan = plan_for(letter(1, 1, topic="gone"))

    with pytest.raises(WrongDestination, match="topic gone is not in the configuration's mapping"):
        check_plan(plan, MAPPED, to_source=False, leave_unpatched=False)
    check_plan(plan, MAPPED, to_source=True, leave_unpatched=False)


def test_a_dead_letter_without_a_source_does_not_go_back() -> None:
    """It would land in its dead-letter topic once more."""
    with pytest.raises(
        WrongDestination, match=r"dead letters in t\.dlq don't say which topic they came from"
    ):
        check_plan(plan_for(letter(1, 1, topic="t.dlq")), MAPPED, to_source=True, leave_unpatched=False)


def test_the_bridge_must_not_read_the_parking_topic() -> None:
    """Parked records would be delivered, refused and parked again, without end."""
    with pytest.raises(WrongDestination, match="--parking-topic t: is matched"):
        check_parking_topic("t", MAPPED)
    check_parking_topic("somewhere-else", MAPPED)
    check_parking_topic("", MAPPED)
