"""The Kafka client's refusals become exceptions of ours, which the layers above can name."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from bridge.http.reactor import Reactor
from bridge.kafka.acknowledged_producer import AcknowledgedProducer
from bridge.kafka.client_errors import PropertiesRefused, Unreachable, answer_of
from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.dead_letters import KafkaDeadLetterProducer
from bridge.kafka.groups import Groups
from bridge.kafka.permissions import Permissions
from bridge.kafka.probe import BrokerProbe
from bridge.kafka.reader import TopicReader

WRONG = {"bootstrap.servers": "a:1", "group.id": "g", "security.protocol": "nonsense"}
CLIENTS = {
    "consumer": lambda: KafkaConsumer(WRONG, ["t"], lambda _: False, None),  # type: ignore[arg-type]
    "dead letters": lambda: KafkaDeadLetterProducer(WRONG, Reactor()),
    "producer": lambda: AcknowledgedProducer(WRONG),
    "reader": lambda: TopicReader(WRONG),
    "groups": lambda: Groups(WRONG),
    "permissions": lambda: Permissions(WRONG, 1),
    "probe": lambda: BrokerProbe(WRONG),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_wrong_property_is_refused_by_every_client_in_the_same_way(name: str) -> None:
    """The command line prints the client's own text, which names the property, and exits with 2."""
    with pytest.raises(PropertiesRefused, match=r"security\.protocol"):
        CLIENTS[name]()


def failed(problem: BaseException) -> Future[Any]:
    """Return a future that has failed."""
    future: Future[Any] = Future()
    future.set_exception(problem)
    return future


def test_a_broker_that_is_away_is_not_a_refusal() -> None:
    """The caller may ask again later; a refusal stays one."""
    with pytest.raises(Unreachable, match="no broker answered"):
        answer_of(failed(KafkaException(KafkaError(KafkaError._TRANSPORT))), 1)
    with pytest.raises(Unreachable, match="no broker answered within 1 s"):
        answer_of(failed(TimeoutError()), 1)
    with pytest.raises(KafkaException):
        answer_of(failed(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))), 1)
