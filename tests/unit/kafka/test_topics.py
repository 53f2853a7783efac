"""The administrator's view of topics, over scripted answers. tests/integration/test_topics.py has a real
broker.
"""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from bridge.kafka.client_errors import Unreachable
from bridge.kafka.topics import TopicAdmin
from bridge.model import TopicPartition


@pytest.fixture
def topics() -> TopicAdmin:
    """Without brokers: a test scripts what the client answers."""
    return TopicAdmin({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})


def answered(value: object) -> Future[Any]:
    future = Future[Any]()
    future.set_result(value)
    return future


def refused(code: int) -> Future[Any]:
    future = Future[Any]()
    future.set_exception(KafkaException(KafkaError(code)))
    return future


def test_an_end_without_a_leader_is_left_out(monkeypatch: pytest.MonkeyPatch, topics: TopicAdmin) -> None:
    """The client answers with an offset below 0, and with no error."""
    answers = {
        Position("t", 0): answered(SimpleNamespace(offset=7)),
        Position("t", 1): answered(SimpleNamespace(offset=-1001)),
    }
    client = SimpleNamespace(list_offsets=lambda _, request_timeout: answers)
    monkeypatch.setattr(topics, "_admin", client)

    ends = topics.end_offsets([TopicPartition("t", 0), TopicPartition("t", 1)], 1)

    assert ends == {TopicPartition("t", 0): 7}


@pytest.mark.parametrize(
    ("config", "creation"),
    [
        (refused(KafkaError.UNKNOWN_TOPIC_OR_PART), answered(None)),
        (answered({}), refused(KafkaError.INVALID_REPLICATION_FACTOR)),
    ],
    ids=["the topic is new", "brokers are missing"],
)
def test_a_cluster_that_is_not_ready_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, topics: TopicAdmin, config: Future[Any], creation: Future[Any]
) -> None:
    """Another replica created the topic a moment ago, or not all brokers are up. A first start must wait,
    not fail.
    """
    client = SimpleNamespace(
        list_topics=lambda timeout: SimpleNamespace(topics={"t": SimpleNamespace(partitions={}, error=None)}),
        describe_configs=lambda resources, request_timeout: {resources[0]: config},
        create_topics=lambda topics, request_timeout: {"t.dlq": creation},
    )
    monkeypatch.setattr(topics, "_admin", client)

    with pytest.raises(Unreachable, match=r"new topic|fewer brokers"):
        topics.ensure_dead_letter_topic("t", "t.dlq", create=True)
