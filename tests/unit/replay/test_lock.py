"""The lock of replays: waits for a group that has members, takes one that has none, and says why it can't."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from bridge.kafka.client_errors import Unreachable
from bridge.kafka.groups import Group, GroupDenied, GroupError, GroupHasMembers, GroupNotReady
from bridge.replay import lock
from bridge.replay.lock import CannotStart, acquire_lock
from tests.support.settings import settings
from tests.unit.replay.dead_letters import DEAD

NOBODY = Group((), frozenset())


class FakeGroups:
    """Answers with a script, an exception or a group for each question; the last one for all further ones."""

    def __init__(self, *answers: Group | Exception | None, order: Exception | None = None) -> None:
        self.answers, self.order = list(answers), order
        self.offsets: dict[str, Any] = {}

    def __call__(self, _properties: object) -> FakeGroups:
        return self

    def describe(self, group: str) -> Group | None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def set_offsets(self, group: str, offsets: Any) -> None:
        if self.order is not None:
            raise self.order
        self.offsets[group] = offsets


def acquire(monkeypatch: pytest.MonkeyPatch, groups: FakeGroups) -> Sequence[str]:
    """Acquire the lock with waits of no time; return what was reported while waiting."""
    reports: list[str] = []
    stopped = threading.Event()
    monkeypatch.setattr(stopped, "wait", lambda _: None)
    monkeypatch.setattr(lock, "Groups", groups)
    acquire_lock(settings(), {DEAD: 5}, stopped, reports.append)
    return reports


def test_a_group_that_is_free_is_set_to_where_the_plan_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay then joins it, and begins there and nowhere else."""
    for answer in (None, NOBODY):
        groups = FakeGroups(answer)

        assert acquire(monkeypatch, groups) == []
        assert groups.offsets == {"aep-bridge.replay": {DEAD: 5}}


def test_members_and_a_starting_coordinator_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay that was killed stays a member until its session ends."""
    groups = FakeGroups(Group(("x at 10.0.0.7",), frozenset()), GroupNotReady("loading"), None)
    reports = acquire(monkeypatch, groups)

    assert len(reports) == 2
    assert reports[0].endswith("group aep-bridge.replay has x at 10.0.0.7")
    assert "coordinator" in reports[1]
    assert groups.offsets


def test_a_group_that_stays_busy_refuses_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent while somebody else may send the same."""
    moments = iter(range(0, 1000, 30))
    monkeypatch.setattr(lock.time, "monotonic", lambda: next(moments))
    with pytest.raises(CannotStart, match="another replay is running"):
        acquire(monkeypatch, FakeGroups(NOBODY, order=GroupHasMembers("not empty")))


def test_what_can_not_pass_by_waiting_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing ACL is named; brokers that refuse for another reason are exit code 3."""
    with pytest.raises(CannotStart, match="give the principal the ACL READ"):
        acquire(monkeypatch, FakeGroups(GroupDenied("Group authorization failed")))
    with pytest.raises(Unreachable, match="invalid"):
        acquire(monkeypatch, FakeGroups(NOBODY, order=GroupError("invalid")))
