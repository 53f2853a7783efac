"""Consumer and dead-letter producer keep the contract over a real broker, with each group protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.suite import DeadLetterContract, SourceContract
from tests.contract.worlds import KafkaWorld, World
from tests.support.kafka import Kafka

PROTOCOLS = {
    "cooperative": {},
    "range": {"partition.assignment.strategy": "range"},
    "kip848": {"group.protocol": "consumer"},
}


class TestRealBroker(SourceContract):
    @pytest.fixture(params=PROTOCOLS)
    def world(self, kafka: Kafka, request: pytest.FixtureRequest) -> Iterator[World]:
        properties = PROTOCOLS[request.param]
        world = KafkaWorld(kafka.properties(), kafka.clients.create_topic, consumer_properties=properties)
        yield world
        world.close()


class TestRealDeadLetters(DeadLetterContract):
    @pytest.fixture
    def world(self, kafka: Kafka) -> Iterator[World]:
        world = KafkaWorld(kafka.properties(), kafka.clients.create_topic)
        yield world
        world.close()
