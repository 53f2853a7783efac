"""The consumer group: whether the principal may join it, its members against the partitions, and its lag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bridge.check.findings import TIMEOUT_S, Finding, Level
from bridge.config.settings import Settings
from bridge.kafka.client_errors import Unreachable
from bridge.kafka.groups import GroupError, Groups
from bridge.kafka.reader import TopicReader


def check(settings: Settings, counts: Mapping[str, int]) -> Iterator[Finding]:
    """Check the group of the configuration; `counts` are the partitions of the topics that it reads."""
    subject = f"group {settings.kafka.group_id}"
    total = sum(counts.values())
    groups = Groups(settings.admin_properties(), TIMEOUT_S)
    try:
        group = groups.describe(settings.kafka.group_id)
    except (GroupError, Unreachable) as problem:
        next_step = "grant the principal the ACLs DESCRIBE and READ on the group"
        yield Finding(Level.WARN, subject, f"can't be described: {problem}", next_step)
        return
    if group is None:
        yield Finding(Level.OK, subject, f"new; {total} partitions to read from the start")
        return
    if group.operations and "READ" not in group.operations:
        next_step = "grant the principal the ACL READ on the group"
        yield Finding(Level.FAIL, subject, "no permission to join", next_step)
        return
    members = len(group.members)
    lag = _lag(settings, groups, counts)
    text = (
        f"{members} members, {total} partitions"
        if lag is None
        else f"{members} members, lag {lag:,} over {total} partitions"
    )
    if members > total:
        next_step = f"more members than partitions: at most {total} replicas have work"
        yield Finding(Level.WARN, subject, text, next_step)
    else:
        yield Finding(Level.OK, subject, text)


def _lag(settings: Settings, groups: Groups, counts: Mapping[str, int]) -> int | None:
    """Return the records that the group has not committed; a partition without a commit counts from its
    beginning.

    None where it can't be found out, or where no mapped topic exists, which is a finding of its own.
    """
    if not counts:
        return None
    reader = TopicReader(settings.consumer_properties())
    try:
        bounds = reader.bounds(counts)
        committed = groups.committed(settings.kafka.group_id, bounds.end)
    except (GroupError, Unreachable):
        return None
    finally:
        reader.close()
    return sum(
        max(0, end - committed.get(partition, bounds.low[partition])) for partition, end in bounds.end.items()
    )
