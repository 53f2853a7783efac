"""Brokers that create every topic that is asked for, as Kafka does by default.

A topic that they create deletes dead letters after a week, so a dead-letter topic must never come about like
that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from bridge.config.settings_kafka import KafkaSettings
from bridge.kafka.dead_letters import KafkaDeadLetterProducer
from bridge.model import DeadLetter, PublishResult, Reason, Refusal, TopicPartition
from bridge.simulator import Config, Simulator
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import produce_keyed
from tests.support.kafka import Kafka
from tests.support.listener import QueuedCompletions
from tests.support.memory import MemoryRecord
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)

QUICK_METADATA = {"topic.metadata.refresh.interval.ms": 500, "topic.metadata.propagation.max.ms": 500}


@pytest.fixture(scope="module")
def creating_kafka() -> Iterator[Kafka]:
    """Give a broker with auto.create.topics.enable."""
    with Kafka(settings={"auto.create.topics.enable": "true"}) as running:
        yield running


def configuration(kafka: Kafka, sim: Simulator, topic: str, *, create_topics: bool) -> dict[str, Any]:
    return {
        "kafka": {
            "bootstrap_servers": kafka.bootstrap(),
            "group_id": unique("group"),
            "properties": QUICK_METADATA,
        },
        "aep": {"inlet_url": sim.inlet_url, "ims_org_id": sim.config.org},
        "topics": [{"topic": topic}],
        "batch": {"linger_ms": 50},
        "delivery": {"backoff_max_s": 1},
        "dead_letter": {"create_topics": create_topics},
    }


def topics(kafka: Kafka) -> set[str]:
    return set(AdminClient(kafka.properties()).list_topics(timeout=10).topics)


def retention(kafka: Kafka, topic: str) -> str:
    admin, resource = AdminClient(kafka.properties()), ConfigResource(ResourceType.TOPIC, topic)
    return str(admin.describe_configs([resource])[resource].result(10)["retention.ms"].value)


def values(kafka: Kafka, topic: str) -> list[bytes | None]:
    return [message.value() for message in kafka.clients.read_all(topic)]


@pytest.mark.parametrize("configured", [True, False])
def test_a_dead_letter_to_a_missing_topic_fails_and_creates_nothing(
    creating_kafka: Kafka, configured: bool
) -> None:
    """The producer asks for no topic to be created, with the settings' properties and without them.

    It names the source topic whose dead-letter topic is missing.
    """
    topic, completions, missing = unique("nowhere"), QueuedCompletions(), []
    settings = {"bootstrap_servers": creating_kafka.bootstrap(), "properties": QUICK_METADATA}
    properties = (
        KafkaSettings.model_validate(settings).producer_properties()
        if configured
        else {**creating_kafka.properties(), **QUICK_METADATA}
    )
    producer = KafkaDeadLetterProducer(properties, completions, on_missing_topic=missing.append)
    record = MemoryRecord(TopicPartition("source", 0), 1, b"v")
    producer.publish("t", [DeadLetter(record, topic, Refusal(Reason.REFUSED, "e"), "b", "i", None)])
    [(_, result)] = completions.take(30)
    producer.close(5)

    assert isinstance(result, PublishResult)
    assert result.failed == (0,)
    assert "does not exist" in result.error
    assert missing == ["source"]
    assert topic not in topics(creating_kafka)


def test_a_new_topic_without_a_dead_letter_topic_waits_for_it(creating_kafka: Kafka, tmp_path: Path) -> None:
    """The bridge may not create the dead-letter topic of a topic that its regex finds.

    Nothing is committed past a bad record until somebody creates it.
    """
    prefix = unique("shop")
    topic = f"{prefix}-new"
    for old in (f"{prefix}-old", f"{prefix}-old.dlq"):
        creating_kafka.clients.create_topic(old)
    with Simulator(Config()) as sim:
        config = configuration(creating_kafka, sim, f"^{prefix}-.*", create_topics=False)
        group = config["kafka"]["group_id"]
        with Bridge(config, tmp_path) as bridge:
            bridge.wait_assigned(1)
            creating_kafka.clients.create_topic(topic)
            events = [("ok", envelope("ok", sim.config.org)), ("bad", b"junk")]
            produce_keyed(creating_kafka, topic, events, 1)
            reason = f"dead-letter topic {topic}.dlq (of {topic}): it does not exist"

            def failure_logged() -> bool:
                return any(
                    reason in entry["error"] for entry in bridge.log_entries("dead_letter.publish_failed")
                )

            until(failure_logged, 60, bridge.tail())

            assert f"{topic}.dlq" not in topics(creating_kafka)
            assert creating_kafka.clients.committed(group, topic).get(0, 0) <= 1
            creating_kafka.clients.create_topic(f"{topic}.dlq", retention_ms="-1")
            until(lambda: creating_kafka.clients.committed(group, topic) == {0: 2}, 60, bridge.tail())
        assert values(creating_kafka, f"{topic}.dlq") == [b"junk"]
        assert sim.accepted.keys() == {"ok"}


def test_a_deleted_dead_letter_topic_is_created_again_with_the_right_retention(
    creating_kafka: Kafka, tmp_path: Path
) -> None:
    """The broker would create one with its own retention. The dead letters that waited go to the bridge's."""
    topic = creating_kafka.clients.create_topic(unique("deleted"))
    dead_letter_topic = f"{topic}.dlq"
    with Simulator(Config()) as sim:
        config = configuration(creating_kafka, sim, topic, create_topics=True)
        group = config["kafka"]["group_id"]
        with Bridge(config, tmp_path) as bridge:
            produce_keyed(creating_kafka, topic, [("first", b"junk 1")], 1)
            until(lambda: creating_kafka.clients.committed(group, topic) == {0: 1}, 60, bridge.tail())
            admin = AdminClient(creating_kafka.properties())
            admin.delete_topics([dead_letter_topic])[dead_letter_topic].result(10)
            produce_keyed(creating_kafka, topic, [("second", b"junk 2")], 1)
            until(lambda: creating_kafka.clients.committed(group, topic) == {0: 2}, 60, bridge.tail())
        assert values(creating_kafka, dead_letter_topic) == [b"junk 2"]
        assert retention(creating_kafka, dead_letter_topic) == "-1"
