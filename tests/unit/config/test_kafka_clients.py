"""What Kafka clients are created with, whoever creates them."""

from __future__ import annotations

import pytest

from bridge.config.kafka_clients import ADMIN, CONSUMER, PRODUCER, ClientProperties
from bridge.config.librdkafka import CLASSIC_ONLY, CONSUMER_ONLY, KNOWN, PRODUCER_ONLY, SHARED, canonical

CLIENTS = (CONSUMER, PRODUCER, ADMIN)


@pytest.mark.parametrize("client", CLIENTS)
def test_completing_twice_changes_nothing(client: ClientProperties) -> None:
    """The settings complete the properties, and the client in kafka/ does it again."""
    once = client.complete(
        {"bootstrap.servers": "a:1", "delivery.timeout.ms": 1, "max.partition.fetch.bytes": 2}
    )

    assert client.complete(once) == once


@pytest.mark.parametrize("client", CLIENTS)
def test_every_property_is_one_that_the_client_takes(client: ClientProperties) -> None:
    """A misspelt default would stop every bridge at its start."""
    names = client.complete({}).keys()

    assert names <= KNOWN
    assert names & client.unsupported == set()


def test_enforced_properties_win_under_any_of_their_names() -> None:
    """An offset that is committed too early, or a dead letter on one replica only, is a lost record."""
    consumer = CONSUMER.complete({"auto.commit.enable": False, "enable.auto.offset.store": True})
    producer = PRODUCER.complete({"request.required.acks": 1, "enable.idempotence": False})

    assert CONSUMER.enforced.items() <= consumer.items()
    assert PRODUCER.enforced.items() <= producer.items()
    assert "auto.commit.enable" not in consumer
    assert "request.required.acks" not in producer


def test_an_alias_replaces_the_default() -> None:
    """Two names of one property in one client: librdkafka would take whichever comes last."""
    completed = PRODUCER.complete({"delivery.timeout.ms": 1234})

    assert completed["delivery.timeout.ms"] == 1234
    assert "message.timeout.ms" not in completed


def test_the_group_protocol_consumer_drops_the_classic_defaults() -> None:
    """The client refuses to start with them."""
    completed = CONSUMER.complete({"group.protocol": "Consumer"})

    assert completed.keys() & set(CLASSIC_ONLY) == set()


def test_properties_of_other_clients_are_dropped() -> None:
    """librdkafka logs a warning about each; callbacks and unknown properties are kept."""
    properties = dict.fromkeys([*KNOWN, "error_cb", "vendor.property"], 1)

    assert CONSUMER.complete(properties).keys() & PRODUCER_ONLY == set()
    assert PRODUCER.complete(properties).keys() & CONSUMER_ONLY == set()
    assert ADMIN.complete(properties).keys() - SHARED == {"error_cb", "vendor.property"}


def test_every_alias_points_to_a_known_property() -> None:
    """An alias with a slip would let a default stand beside the user's value."""
    assert {canonical(name) for name in KNOWN} <= KNOWN
