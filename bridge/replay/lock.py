"""One replay at a time. The lock is a consumer group: only while it has no members can its offsets be set.

A replay that starts sets the group to where its plan begins, and then joins it. Two replays at once would
deliver the same records twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from bridge.config.settings import Settings
from bridge.kafka.client_errors import Unreachable
from bridge.kafka.groups import GroupDenied, GroupError, GroupHasMembers, GroupNotReady, Groups
from bridge.model import TopicPartition


class CannotStart(Exception):
    """The replay must not start: another one runs, or the principal may not use the group. Says
    what to do.
    """


def replay_group(settings: Settings) -> str:
    """Return the group of this bridge's replays: one for all filters, since two can
    select the same dead letter.
    """
    return f"{settings.kafka.group_id}.replay"


def acquire_lock(
    settings: Settings,
    starts: Mapping[TopicPartition, int],
    stopped: threading.Event,
    report_waiting: Callable[[str], None],
) -> None:
    """Set the group to `starts`; wait while it has members, until `stopped`. Raises `CannotStart`,
    `Unreachable`.

    A replay that was killed stays a member until its session ends, so it is worth waiting that long.
    """
    group = replay_group(settings)
    groups = Groups(settings.admin_properties())
    patience_s = settings.kafka.number("session.timeout.ms", 45_000) / 1000 + 5
    deadline = time.monotonic() + patience_s
    while not stopped.is_set():
        holder = _try_to_acquire(groups, group, starts)
        if not holder:
            return
        if time.monotonic() > deadline:
            raise CannotStart(
                f"another replay is running: group {group} has {holder}; wait until it has ended, "
                "or stop it, and give the same command again"
            )
        report_waiting(
            f"another replay is running, or was killed less than {patience_s:.0f} s ago: "
            f"group {group} has {holder}"
        )
        stopped.wait(1)


def _try_to_acquire(groups: Groups, group: str, starts: Mapping[TopicPartition, int]) -> str:
    """Set the group's offsets. Return who keeps it from being set, in words; empty if it is set."""
    try:
        description = groups.describe(group)
        if description is not None and description.members:
            return ", ".join(description.members)
        groups.set_offsets(group, starts)
    except GroupHasMembers:
        return "a member that has just joined"
    except GroupNotReady:
        return "a coordinator that is only just starting"
    except GroupDenied as problem:
        raise CannotStart(f"group {group}: {problem}; give the principal the ACL READ on it") from None
    except GroupError as problem:
        raise Unreachable(f"group {group} can't be set to where the replay begins: {problem}") from None
    return ""
