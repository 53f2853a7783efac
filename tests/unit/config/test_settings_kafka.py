"""librdkafka's properties: who gets which, which are refused, which are secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from bridge.config import librdkafka
from bridge.config.kafka_clients import REFUSED
from bridge.config.settings_kafka import KafkaSettings
from tests.unit.config.test_settings import problems, settings


def kafka(**properties: Any) -> KafkaSettings:
    """A section with these properties, in which _ stands for a dot."""
    return settings(
        kafka={
            "bootstrap_servers": "a:9092, b:9092",
            "properties": {name.replace("_", "."): value for name, value in properties.items()},
        }
    ).kafka


def test_the_consumer_gets_what_the_contract_stands_on() -> None:
    """Earliest, commits of what is stored only, the ends of partitions, a bounded prefetch, a cooperative assignor."""
    found = kafka().consumer_properties()

    assert {
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
    }.items() <= found.items()


def test_the_producer_gets_what_the_contract_stands_on() -> None:
    """All acknowledgements, idempotence, records larger than AEP takes, a queue that holds several of them."""
    found = kafka().producer_properties()

    assert {"acks": "all", "enable.idempotence": True, "compression.type": "none"}.items() <= found.items()
    assert 1_100_000 < int(found["message.max.bytes"]) < int(found["queue.buffering.max.kbytes"]) * 1024
    assert "group.id" not in found


def test_each_client_gets_only_its_own_properties() -> None:
    """librdkafka warns of a consumer's property in a producer, and the other way round; shared ones go to all."""
    found = kafka(
        security_protocol="SSL",
        fetch_min_bytes=1,
        isolation_level="read_uncommitted",
        linger_ms=3,
        compression_type="zstd",
        client_id="mine",
    )
    consumer, producer, admin = (
        found.consumer_properties(),
        found.producer_properties(),
        found.admin_properties(),
    )

    assert (
        "SSL" == consumer["security.protocol"] == producer["security.protocol"] == admin["security.protocol"]
    )
    assert "mine" == consumer["client.id"] == admin["client.id"]
    assert consumer.keys() & librdkafka.PRODUCER_ONLY == set()
    assert producer.keys() & librdkafka.CONSUMER_ONLY == set()
    assert admin.keys() <= librdkafka.SHARED
    assert (1, 3, "zstd") == (
        consumer["fetch.min.bytes"],
        producer["linger.ms"],
        producer["compression.type"],
    )


def test_the_clients_take_what_they_are_given(tmp_path: Path) -> None:
    """Real clients are made out of the properties, of both group protocols."""
    for given in (kafka(), kafka(group_protocol="consumer", fetch_min_bytes=5, retries=7)):
        Consumer(given.consumer_properties()).close()
        Producer(given.producer_properties())
        AdminClient(given.admin_properties())


def test_a_property_wins_over_our_default_under_any_of_its_names() -> None:
    """delivery.timeout.ms is message.timeout.ms: the default goes."""
    found = kafka(delivery_timeout_ms=1234, batch_size=1).producer_properties()

    assert 1234 == found["delivery.timeout.ms"]
    assert "message.timeout.ms" not in found
    assert 1 == found["batch.size"]


def test_the_new_group_protocol_gets_none_of_the_classic_ones_properties() -> None:
    """The client refuses them with group.protocol=consumer: ours are left out, a user's are refused with the reason."""
    assert set() == kafka(group_protocol="consumer").consumer_properties().keys() & set(
        librdkafka.CLASSIC_ONLY
    )
    for name in librdkafka.CLASSIC_ONLY:
        found = problems(
            kafka={"bootstrap_servers": "a:1", "properties": {"group.protocol": "consumer", name: "1"}}
        )

        assert [True] == [
            "group.protocol=consumer" in problem and f"kafka.properties.{name}: " in problem
            for problem in found
        ]
    assert (
        9000
        == kafka(group_protocol="classic", session_timeout_ms=9000).consumer_properties()[
            "session.timeout.ms"
        ]
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_contract_stands_on_can_not_be_set(name: str) -> None:
    """By name, with the reason and the way out; from a file neither."""
    for given in (name, f"{name}_file"):
        found = problems(kafka={"bootstrap_servers": "a:1", "properties": {given: "x"}})

        assert [True] == [
            problem.startswith(f"kafka.properties.{given}: not to be set here: ") and "; " in problem
            for problem in found
        ]


@pytest.mark.parametrize(
    ("properties", "told"),
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
def test_a_wrong_property_is_refused(properties: dict[str, Any], told: str) -> None:
    """Each with what to do, and without its value."""
    found = problems(kafka={"bootstrap_servers": "a:1", "properties": properties})

    assert 1 == len(found)
    assert told in found[0]
    assert "hush" not in found[0]


def test_any_property_comes_from_a_file(tmp_path: Path) -> None:
    """Read when the clients are made; a secret is then no part of the settings at all."""
    (tmp_path / "password").write_text("hush\n")
    found = settings(
        kafka={
            "bootstrap_servers": "a:1",
            "properties": {"sasl.password_file": str(tmp_path / "password"), "sasl.username": "u"},
        }
    )

    assert {"sasl.password": "hush", "sasl.username": "u"} == found.kafka.resolved_properties()
    for properties in (found.consumer_properties(), found.producer_properties(), found.admin_properties()):
        assert "hush" == properties["sasl.password"]
        assert "sasl.password_file" not in properties
    assert str(tmp_path / "password") == found.masked()["kafka"]["properties"]["sasl.password_file"]


def test_secret_properties_are_never_shown() -> None:
    """Known ones, and unknown ones whose names speak of passwords."""
    secrets = {*librdkafka.SECRET, "sasl.jaas.config", "vendor.passwd"}
    found = settings(kafka={"bootstrap_servers": "a:1", "properties": dict.fromkeys(secrets, "hush-hush")})

    assert "hush" not in " ".join(
        map(str, (repr(found), found.masked(), found.model_dump(), found.model_dump_json()))
    )
    assert {"hush-hush"} == set(found.kafka.resolved_properties().values())
