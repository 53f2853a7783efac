"""One replay at a time: its group must be without members, and is set to where this run begins. What two at once would send is sent by one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient

from bridge.config.settings import Settings
from bridge.kafka.topics import Unreachable
from bridge.model import TopicPartition

ASKED_S = 15.0
_COMES = frozenset({
    KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.REBALANCE_IN_PROGRESS
})  # fmt: skip
"""The group's coordinator is changing: to be asked again."""
_TAKEN = frozenset({KafkaError.NON_EMPTY_GROUP, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION})


class Busy(Exception):
    """The turn can't be had: another replay has it, or it may not be asked for; and what to do."""


def group_of(settings: Settings) -> str:
    """The group of this bridge's replays: one for all filters, since two filters can choose the same letter."""
    return f"{settings.kafka.group_id}.replay"


def take(
    settings: Settings,
    starts: Mapping[TopicPartition, int],
    stopped: threading.Event,
    tell: Callable[[str], None],
) -> None:
    """Waits while the group has members: one that was killed is one until its session ends. Raises `Busy`, `Unreachable`."""
    group = group_of(settings)
    patience = settings.kafka.number("session.timeout.ms", 45_000) / 1000 + 5
    deadline = time.monotonic() + patience
    admin: Any = AdminClient(settings.admin_properties())
    wanted = [Position(where.topic, where.partition, offset) for where, offset in starts.items()]
    while not stopped.is_set():
        who = _members(admin, group)
        if not who:
            try:
                admin.alter_consumer_group_offsets(
                    [ConsumerGroupTopicPartitions(group, wanted)], request_timeout=ASKED_S
                )[group].result(ASKED_S)
            except KafkaException as problem:
                if problem.args[0].code() not in _TAKEN | _COMES:
                    raise Unreachable(
                        f"group {group} can't be set to where the replay begins: {problem.args[0].str()}"
                    ) from None
                who = "somebody who has only just come"
            else:
                return
        if time.monotonic() > deadline:
            raise Busy(
                f"another replay is running: group {group} has {who}; wait until it has ended, or stop it, and give the same command again"
            )
        tell(
            f"another replay is running, or was killed less than {patience:.0f} s ago: group {group} has {who}"
        )
        stopped.wait(1)


def _members(admin: Any, group: str) -> str:
    """The group's members in words; empty where there are none."""
    try:
        members = (
            admin.describe_consumer_groups([group], request_timeout=ASKED_S)[group].result(ASKED_S).members
        )
    except KafkaException as problem:
        code = problem.args[0].code()
        if code == KafkaError.GROUP_ID_NOT_FOUND:
            return ""
        if code in _COMES:
            return "a coordinator that is only just starting"
        if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise Busy(
                f"group {group}: {problem.args[0].str()}; give the principal the ACL READ on it"
            ) from None
        raise Unreachable(f"group {group}: {problem.args[0].str()}") from None
    return ", ".join(f"{member.client_id} at {member.host.lstrip('/')}" for member in members)
