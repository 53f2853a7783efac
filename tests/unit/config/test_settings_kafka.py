"""The section `kafka`: which client gets which properties, which are refused, which are secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from bridge.config import librdkafka
from bridge.config.kafka_clients import REFUSED
from bridge.config.settings_kafka import KafkaSettings
from tests.support.settings import problems, settings


def kafka(**properties: Any) -> KafkaSettings:
    """Return a section with these properties, in whose names `_` stands for a dot and `__` for `_`."""
    named = {name.replace("_", ".").replace("..", "_"): value for name, value in properties.items()}
    return settings(kafka={"bootstrap_servers": "a:9092, b:9092", "properties": named}).kafka


def test_the_consumer_gets_what_the_contract_stands_on() -> None:
    """Any of these with another value would lose records, repeat more of them, or use more memory."""
    properties = kafka().consumer_properties()

    assert (
        properties.items()
        >= {
            "bootstrap.servers": "a:9092,b:9092",
            "group.id": "aep-bridge",
            "client.id": "aep-bridge",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": True,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.commit.interval.ms": 500,
            "fetch.queue.backoff.ms": 10,
            "queued.max.messages.kbytes": 10_240,
            "partition.assignment.strategy": "cooperative-sticky",
            "allow.auto.create.topics": False,
        }.items()
    )


def test_the_producer_gets_what_the_contract_stands_on() -> None:
    """A dead letter is acknowledged by all replicas, and may be larger than what AEP takes."""
    properties = kafka().producer_properties()
    largest, queue = properties["message.max.bytes"], properties["queue.buffering.max.kbytes"]

    assert (
        properties.items() >= {"acks": "all", "enable.idempotence": True, "compression.type": "none"}.items()
    )
    assert 1_100_000 < int(largest) < int(queue) * 1024
    assert "group.id" not in properties


def test_each_client_gets_only_its_own_properties() -> None:
    """librdkafka logs a warning about a property of another kind of client; shared ones go to all."""
    section = kafka(
        security_protocol="SSL",
        fetch_min_bytes=1,
        isolation_level="read_uncommitted",
        linger_ms=3,
        compression_type="zstd",
        client_id="mine",
    )
    consumer, producer = section.consumer_properties(), section.producer_properties()
    admin = section.admin_properties()

    for properties in (consumer, producer, admin):
        assert properties["security.protocol"] == "SSL"
        assert properties["client.id"] == "mine"
    assert consumer.keys() & librdkafka.PRODUCER_ONLY == set()
    assert producer.keys() & librdkafka.CONSUMER_ONLY == set()
    assert admin.keys() <= librdkafka.SHARED
    assert consumer["fetch.min.bytes"] == 1
    assert producer["linger.ms"] == 3
    assert producer["compression.type"] == "zstd"


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"message_max_bytes": 20_000_000},
        {"queued_max_messages_kbytes": 1024},
        {"group_protocol": "consumer", "fetch_min_bytes": 5, "retries": 7},
        {"fetch_max_bytes": 2_000_000},
    ],
)
def test_real_clients_take_what_a_user_adds(properties: dict[str, Any]) -> None:
    """No default of ours may contradict a user's property: fetch.max.bytes is at least message.max.bytes."""
    section = kafka(**properties, log__level=0)

    Consumer(section.consumer_properties()).close()
    Producer(section.producer_properties())
    AdminClient(section.admin_properties())


def test_a_property_wins_over_our_default_under_any_of_its_names() -> None:
    """delivery.timeout.ms is another name of message.timeout.ms."""
    properties = kafka(delivery_timeout_ms=1234, batch_size=1).producer_properties()

    assert properties["delivery.timeout.ms"] == 1234
    assert "message.timeout.ms" not in properties
    assert properties["batch.size"] == 1


def test_the_group_protocol_consumer_gets_none_of_the_classic_properties() -> None:
    """The client refuses to start with them."""
    classic = kafka(group_protocol="classic", session_timeout_ms=9000).consumer_properties()
    consumer = kafka(group_protocol="consumer").consumer_properties()

    assert classic["session.timeout.ms"] == 9000
    assert consumer.keys() & set(librdkafka.CLASSIC_ONLY) == set()


@pytest.mark.parametrize("name", librdkafka.CLASSIC_ONLY)
def test_a_classic_property_is_refused_with_the_group_protocol_consumer(name: str) -> None:
    """The message says why, before the client does in fewer words."""
    properties = {"group.protocol": "consumer", name: "1"}
    lines = problems(kafka={"bootstrap_servers": "a:1", "properties": properties})

    assert len(lines) == 1
    assert lines[0].startswith(f"kafka.properties.{name}: ")
    assert "group.protocol=consumer" in lines[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_contract_stands_on_can_not_be_set(name: str) -> None:
    """Neither by value nor from a file. The message has the reason and the way out."""
    for key in (name, f"{name}_file"):
        lines = problems(kafka={"bootstrap_servers": "a:1", "properties": {key: "x"}})

        assert len(lines) == 1
        assert lines[0].startswith(f"kafka.properties.{key}: not to be set here: ")
        assert "; " in lines[0]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"sasl.mechanims": "PLAIN"}, "no such property of librdkafka; did you mean sasl.mechanism"),
        ({"error_cb": "x"}, "a callback can't be configured"),
        ({"sasl": {"mechanism": "PLAIN"}}, "write dotted names on one line, such as sasl.mechanism"),
        ({"ssl.ca.location": None}, "has no value"),
        ({"debug": ["a"]}, "must be text, a number, true or false"),
        ({"sasl.password": "hush", "sasl.password_file": "x"}, "given twice"),
        ({"auto.commit.interval.ms": 0}, "0 would commit at the end only"),
    ],
)
def test_a_wrong_property_is_refused(properties: dict[str, Any], expected: str) -> None:
    """The message says what to do, and does not show the value."""
    lines = problems(kafka={"bootstrap_servers": "a:1", "properties": properties})

    assert len(lines) == 1
    assert expected in lines[0]
    assert "hush" not in lines[0]


def test_any_property_comes_from_a_file(tmp_path: Path) -> None:
    """The secret in it is read when the clients are created, and is no part of the settings."""
    file = tmp_path / "password"
    file.write_text("hush\n")
    properties = {"sasl.password_file": str(file), "sasl.username": "u"}
    configured = settings(kafka={"bootstrap_servers": "a:1", "properties": properties})
    section = configured.kafka

    assert section.resolved_properties() == {"sasl.password": "hush", "sasl.username": "u"}
    for completed in (
        section.consumer_properties(),
        section.producer_properties(),
        section.admin_properties(),
    ):
        assert completed["sasl.password"] == "hush"
        assert "sasl.password_file" not in completed
    assert configured.masked()["kafka"]["properties"]["sasl.password_file"] == str(file)


def test_secret_properties_are_never_shown() -> None:
    """Neither the known ones, nor unknown ones whose names suggest a secret."""
    names = {*librdkafka.SECRET, "sasl.jaas.config", "vendor.passwd"}
    configured = settings(kafka={"bootstrap_servers": "a:1", "properties": dict.fromkeys(names, "hush-hush")})
    dumps = (configured.masked(), configured.model_dump(), configured.model_dump_json())

    assert "hush" not in f"{configured!r} {dumps}"
    assert set(configured.kafka.resolved_properties().values()) == {"hush-hush"}
