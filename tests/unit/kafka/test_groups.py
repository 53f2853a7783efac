"""What the brokers refuse about a group: whoever asks must know whether waiting helps."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from bridge.demo.mock_cluster import MockCluster
from bridge.kafka.groups import (
    GroupDenied,
    GroupError,
    GroupHasMembers,
    GroupNotReady,
    Groups,
    group_error,
)
from bridge.model import TopicPartition


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.GROUP_AUTHORIZATION_FAILED, GroupDenied),
        (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, GroupNotReady),
        (KafkaError.NOT_COORDINATOR, GroupNotReady),
        (KafkaError.REBALANCE_IN_PROGRESS, GroupNotReady),
        (KafkaError.NON_EMPTY_GROUP, GroupHasMembers),
        (KafkaError.UNKNOWN_MEMBER_ID, GroupHasMembers),
        (KafkaError.INVALID_GROUP_ID, GroupError),
    ],
)
def test_a_refusal_is_named_by_what_the_caller_can_do(code: int, kind: type[GroupError]) -> None:
    """A missing ACL is granted, a starting coordinator is waited for, a group with members is stopped."""
    error = group_error(KafkaException(KafkaError(code)))

    assert type(error) is kind
    assert str(error) == KafkaError(code).str()


def test_no_partitions_are_no_question() -> None:
    """The client would take an empty list for every partition of the group."""
    with MockCluster(topics={"t": 1}) as cluster:
        groups = Groups({"bootstrap.servers": cluster.bootstrap})

        assert groups.committed("g", []) == {}
        assert groups.committed("g", [TopicPartition("t", 0)]) == {}
