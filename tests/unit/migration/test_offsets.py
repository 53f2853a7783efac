"""Taking over a group's offsets: never behind what the broker has, and never while somebody reads."""

from __future__ import annotations

import pytest

from bridge.kafka.groups import Group
from bridge.migration import offsets
from bridge.migration.offsets import CannotTakeOver, Takeover, take_over
from bridge.model import TopicPartition
from tests.support.settings import settings

FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)
PLAN = [Takeover(FIRST, 7, None, 0, 10), Takeover(SECOND, None, None, 0, 10)]


class FakeGroups:
    """Groups with these members; keeps the offsets that are set."""

    def __init__(self, **members: tuple[str, ...]) -> None:
        self.members = members
        self.offsets: dict[str, dict[TopicPartition, int]] = {}

    def __call__(self, _properties: object) -> FakeGroups:
        return self

    def describe(self, group: str) -> Group | None:
        key = group.replace("-", "_")
        return Group(self.members[key], frozenset()) if key in self.members else None

    def set_offsets(self, group: str, positions: dict[TopicPartition, int]) -> None:
        self.offsets[group] = positions


def test_an_offset_lies_within_what_the_broker_has() -> None:
    """Retention may have deleted what the connector's offset points to; a topic
    created anew may end before it.
    """
    assert Takeover(FIRST, 3, None, 5, 10).offset == 5
    assert Takeover(FIRST, 7, None, 5, 10).offset == 7
    assert Takeover(FIRST, 12, None, 5, 10).offset == 10
    assert Takeover(FIRST, None, None, 5, 10).offset is None


def test_what_the_connector_never_committed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our group reads such a partition from its beginning."""
    groups = FakeGroups(theirs=(), aep_bridge=())
    monkeypatch.setattr(offsets, "Groups", groups)

    assert take_over(settings(), "theirs", PLAN) == 1
    assert groups.offsets == {"aep-bridge": {FIRST: 7}}


@pytest.mark.parametrize(
    ("members", "advice"),
    [
        ({"theirs": ("x at h",)}, "stop the connector first"),
        ({"aep_bridge": ("x at h", "y at h")}, "group aep-bridge has 2 members: stop the bridge first"),
    ],
)
def test_nobody_may_read_meanwhile(
    monkeypatch: pytest.MonkeyPatch, members: dict[str, tuple[str, ...]], advice: str
) -> None:
    """A reader would commit over what is set, so that records would be sent twice or passed over."""
    groups = FakeGroups(**members)
    monkeypatch.setattr(offsets, "Groups", groups)
    with pytest.raises(CannotTakeOver, match=advice):
        take_over(settings(), "theirs", PLAN)

    assert groups.offsets == {}


def test_our_group_is_never_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has committed is delivered, and would be sent again."""
    groups = FakeGroups()
    monkeypatch.setattr(offsets, "Groups", groups)
    with pytest.raises(CannotTakeOver, match="further already"):
        take_over(settings(), "theirs", [Takeover(FIRST, 7, 8, 0, 10)])

    assert groups.offsets == {}
