"""A real broker keeps the contract, with each way to share partitions."""

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
        made = KafkaWorld(kafka.properties(), kafka.clients.create_topic)
        made.extra = PROTOCOLS[request.param]
        yield made
        made.close()


class TestRealDeadLetters(DeadLetterContract):
    @pytest.fixture
    def world(self, kafka: Kafka) -> Iterator[World]:
        made = KafkaWorld(kafka.properties(), kafka.clients.create_topic)
        yield made
        made.close()
