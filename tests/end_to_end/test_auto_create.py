"""Brokers that create any topic they are asked for, as Kafka does by default: such a topic deletes dead letters after a week, so none may come about."""

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
from tests.end_to_end.test_delivery import fill
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.listener import QueuedCompletions
from tests.support.memory import MemoryRecord
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)

QUICK = {"topic.metadata.refresh.interval.ms": 500, "topic.metadata.propagation.max.ms": 500}


@pytest.fixture(scope="module")
def willing() -> Iterator[Kafka]:
    """A broker with auto.create.topics.enable."""
    with Kafka(settings={"auto.create.topics.enable": "true"}) as running:
        yield running


def config(kafka: Kafka, sim: Simulator, topic: str, *, create: bool) -> dict[str, Any]:
    return {
        "kafka": {"bootstrap_servers": kafka.bootstrap(), "group_id": unique("group"), "properties": QUICK},
        "aep": {"inlet_url": sim.inlet_url, "ims_org_id": sim.config.org},
        "topics": [{"topic": topic}],
        "batch": {"linger_ms": 50},
        "delivery": {"backoff_max_s": 1},
        "dead_letter": {"create_topics": create},
    }


def topics(kafka: Kafka) -> set[str]:
    return set(AdminClient(kafka.properties()).list_topics(timeout=10).topics)


def retention(kafka: Kafka, topic: str) -> str:
    admin, resource = AdminClient(kafka.properties()), ConfigResource(ResourceType.TOPIC, topic)
    return str(admin.describe_configs([resource])[resource].result(10)["retention.ms"].value)


@pytest.mark.parametrize("configured", [True, False])
def test_a_letter_to_a_topic_that_is_not_there_fails_and_creates_nothing(
    willing: Kafka, configured: bool
) -> None:
    """With the settings' properties, and with none: the producer asks for no topic to be made, and tells whose is missing."""
    topic, inbox, missing = unique("nowhere"), QueuedCompletions(), []
    given = {"bootstrap_servers": willing.bootstrap(), "properties": QUICK}
    properties = (
        KafkaSettings.model_validate(given).producer_properties()
        if configured
        else {**willing.properties(), **QUICK}
    )
    letters = KafkaDeadLetterProducer(properties, inbox, on_missing=missing.append)
    letters.publish(
        "t",
        [
            DeadLetter(
                MemoryRecord(TopicPartition("source", 0), 1, b"v"),
                topic,
                Refusal(Reason.REFUSED, "e"),
                "b",
                "i",
                None,
            )
        ],
    )
    [(_, reply)] = inbox.take(30)
    letters.close(5)

    assert isinstance(reply, PublishResult)
    assert reply.failed == (0,)
    assert "does not exist" in reply.error
    assert missing == ["source"]
    assert topic not in topics(willing)


def test_a_new_topic_without_a_dead_letter_topic_waits_for_it(willing: Kafka, tmp_path: Path) -> None:
    """A regex finds a topic with junk in it, and its dead-letter topic may not be created: nothing is committed past the junk until somebody creates it."""
    prefix = unique("shop")
    topic = f"{prefix}-new"
    for known in (f"{prefix}-old", f"{prefix}-old.dlq"):
        willing.clients.create_topic(known)
    with Simulator(Config()) as sim:
        made = config(willing, sim, f"^{prefix}-.*", create=False)
        with Bridge(made, tmp_path) as bridge:
            bridge.wait_assigned(1)
            willing.clients.create_topic(topic)
            fill(willing, topic, [("ok", envelope("ok", sim.config.org)), ("bad", b"junk")], 1)
            reasons = f"dead-letter topic {topic}.dlq (of {topic}): it does not exist"
            until(
                lambda: any(
                    entry["event"] == "dead_letter.failed" and reasons in entry["error"]
                    for entry in bridge.events()
                ),
                60,
                bridge.tail(),
            )

            assert f"{topic}.dlq" not in topics(willing)
            assert willing.clients.committed(made["kafka"]["group_id"], topic).get(0, 0) <= 1
            willing.clients.create_topic(f"{topic}.dlq", retention_ms="-1")
            until(
                lambda: willing.clients.committed(made["kafka"]["group_id"], topic) == {0: 2},
                60,
                bridge.tail(),
            )
        assert [message.value() for message in willing.clients.read_all(f"{topic}.dlq")] == [b"junk"]
        assert sim.accepted.keys() == {"ok"}


def test_a_dead_letter_topic_that_is_deleted_is_made_anew_as_it_must_be(
    willing: Kafka, tmp_path: Path
) -> None:
    """The broker would make one with its own retention; the bridge makes it, and the letters that waited go there."""
    topic = willing.clients.create_topic(unique("deleted"))
    with Simulator(Config()) as sim:
        made = config(willing, sim, topic, create=True)
        with Bridge(made, tmp_path) as bridge:
            fill(willing, topic, [("first", b"junk 1")], 1)
            until(
                lambda: willing.clients.committed(made["kafka"]["group_id"], topic) == {0: 1},
                60,
                bridge.tail(),
            )
            admin = AdminClient(willing.properties())
            admin.delete_topics([f"{topic}.dlq"])[f"{topic}.dlq"].result(10)
            fill(willing, topic, [("second", b"junk 2")], 1)
            until(
                lambda: willing.clients.committed(made["kafka"]["group_id"], topic) == {0: 2},
                60,
                bridge.tail(),
            )
        assert [message.value() for message in willing.clients.read_all(f"{topic}.dlq")] == [b"junk 2"]
        assert retention(willing, f"{topic}.dlq") == "-1"
