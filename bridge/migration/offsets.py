"""Takes over where the connector's consumer group stands, so that the bridge goes on reading there."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.config.settings import Settings
from bridge.kafka.client_errors import Unreachable
from bridge.kafka.groups import GroupError, Groups
from bridge.kafka.reader import TopicReader
from bridge.kafka.topics import TopicAdmin
from bridge.model import TopicPartition


@dataclass(frozen=True, slots=True)
class Takeover:
    """One partition: where the connector's group stands, where ours does, and where the
    partition begins and ends.
    """

    partition: TopicPartition
    theirs: int | None
    ours: int | None
    low: int
    end: int

    @property
    def offset(self) -> int | None:
        """Where our group is set to; None if the connector never committed.

        Always within what the broker has.
        """
        return None if self.theirs is None else max(self.low, min(self.theirs, self.end))


class CannotTakeOver(Exception):
    """The offsets can't be taken over now; says why, and what to do."""


def plan_takeover(settings: Settings, group: str) -> list[Takeover]:
    """Return what taking over a group's offsets would do. Raises `Unreachable`."""
    counts = TopicAdmin(settings.admin_properties()).partition_counts(
        [entry.topic for entry in settings.topics], settings.is_dead_letter_topic
    )
    groups = Groups(settings.admin_properties())
    reader = TopicReader(settings.consumer_properties())
    try:
        bounds = reader.bounds(dict(sorted(counts.items())))
        theirs = groups.committed(group, bounds.end)
        ours = groups.committed(settings.kafka.group_id, bounds.end)
    except GroupError as problem:
        raise Unreachable(str(problem)) from None
    finally:
        reader.close()
    return [
        Takeover(partition, theirs.get(partition), ours.get(partition), bounds.low[partition], end)
        for partition, end in bounds.end.items()
    ]


def take_over(settings: Settings, group: str, plan: list[Takeover]) -> int:
    """Set our group to the planned offsets; return how many partitions.

    Raises `CannotTakeOver` if one of the groups still has members or ours is further already, and
    `Unreachable`.
    """
    groups, own_group = Groups(settings.admin_properties()), settings.kafka.group_id
    _require_no_members(groups, group, "stop the connector first")
    _require_no_members(groups, own_group, "stop the bridge first")
    offsets = {takeover.partition: takeover.offset for takeover in plan if takeover.offset is not None}
    for takeover in plan:
        offset = takeover.offset
        if takeover.ours is not None and offset is not None and takeover.ours > offset:
            raise CannotTakeOver(
                f"group {own_group} is further already than {group} somewhere: taking over would send "
                "records again; use another kafka.group_id"
            )
    try:
        groups.set_offsets(own_group, offsets)
    except GroupError as problem:
        raise CannotTakeOver(f"group {own_group}: {problem}") from None
    return len(offsets)


def _require_no_members(groups: Groups, group: str, advice: str) -> None:
    try:
        description = groups.describe(group)
    except GroupError as problem:
        raise CannotTakeOver(f"group {group}: {problem}") from None
    if description is not None and description.members:
        raise CannotTakeOver(
            f"group {group} has {len(description.members)} members: {advice}, or records would be sent twice "
            "or passed over"
        )
