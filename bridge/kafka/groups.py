"""Consumer groups as an administrator sees them: their members, what they have committed,
and setting that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient

from bridge.config.kafka_clients import ADMIN
from bridge.kafka.client_errors import answer_of, error_of, properties_checked, text_of
from bridge.model import TopicPartition

ANSWER_S = 15.0

_COORDINATOR_CHANGES = frozenset({
    KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.REBALANCE_IN_PROGRESS,
})  # fmt: skip
_HAS_MEMBERS = frozenset(
    {KafkaError.NON_EMPTY_GROUP, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION}
)


class GroupError(Exception):
    """The brokers refuse a request about a group. The text is theirs."""


class GroupDenied(GroupError):
    """The principal may not use the group."""


class GroupNotReady(GroupError):
    """The group's coordinator is only just starting or moving; the caller waits and asks again."""


class GroupHasMembers(GroupError):
    """The offsets of a group can only be set while it has no members."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group that exists."""

    members: tuple[str, ...]
    """`client id at host` of each member."""
    operations: frozenset[str]
    """What the principal may do with it, such as READ; empty where the brokers do not say."""


class Groups:
    """Questions about groups, and setting their offsets. Blocking: every call may take `timeout_s`.

    All methods raise `Unreachable` where no broker answers, and a `GroupError` where the brokers refuse.
    """

    def __init__(self, properties: Mapping[str, Any], timeout_s: float = ANSWER_S) -> None:
        """`properties` are librdkafka's. Raises `PropertiesRefused`."""
        with properties_checked():
            self._admin: Any = AdminClient(ADMIN.complete(properties))
        self._timeout_s = timeout_s

    def describe(self, group: str) -> Group | None:
        """Return a group's members and what the principal may do with it; None where
        there is no such group.
        """
        asked = self._admin.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=self._timeout_s
        )
        try:
            description = answer_of(asked[group], self._timeout_s)
        except KafkaException as problem:
            if error_of(problem).code() == KafkaError.GROUP_ID_NOT_FOUND:
                return None
            raise group_error(problem) from None
        members = [f"{member.client_id} at {member.host.lstrip('/')}" for member in description.members]
        operations = [operation.name for operation in description.authorized_operations or ()]
        return Group(tuple(members), frozenset(operations))

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offsets that a group has committed in these partitions; those
        without one are left out.
        """
        positions = [Position(*partition) for partition in partitions]
        if not positions:  # the client would ask for every partition of the group
            return {}
        question = ConsumerGroupTopicPartitions(group, positions)
        asked = self._admin.list_consumer_group_offsets([question], request_timeout=self._timeout_s)
        try:
            answer = answer_of(asked[group], self._timeout_s)
        except KafkaException as problem:
            raise group_error(problem) from None
        return {
            TopicPartition(position.topic, position.partition): position.offset
            for position in answer.topic_partitions
            if position.error is None and position.offset >= 0
        }

    def set_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set where a group without members goes on reading. Raises `GroupHasMembers` where it has some."""
        positions = [Position(*partition, offset) for partition, offset in offsets.items()]
        order = ConsumerGroupTopicPartitions(group, positions)
        asked = self._admin.alter_consumer_group_offsets([order], request_timeout=self._timeout_s)
        try:
            answer = answer_of(asked[group], self._timeout_s)
        except KafkaException as problem:
            raise group_error(problem) from None
        for position in answer.topic_partitions:
            if position.error is not None:  # the brokers refuse single partitions too
                raise group_error(KafkaException(position.error))


def group_error(problem: KafkaException) -> GroupError:
    """Return the exception that names what the caller can do about a refusal."""
    code, text = error_of(problem).code(), text_of(problem)
    if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
        return GroupDenied(text)
    if code in _COORDINATOR_CHANGES:
        return GroupNotReady(text)
    if code in _HAS_MEMBERS:
        return GroupHasMembers(text)
    return GroupError(text)
