"""Dead letters against a real broker: everything that it refuses is reported, and nothing is dropped."""

from __future__ import annotations

import time

from bridge.kafka.dead_letters import KafkaDeadLetterProducer
from bridge.model import DeadLetter, PublishResult, Reason, Refusal, TopicPartition
from tests.support.clients import unique
from tests.support.kafka import Kafka
from tests.support.listener import QueuedCompletions
from tests.support.memory import MemoryRecord


def letter(topic: str, value: bytes = b"{}", offset: int = 5, time_ms: int = 1_000) -> DeadLetter:
    record = MemoryRecord(TopicPartition("src", 0), offset, value, b"k", None, (1, time_ms))
    return DeadLetter(record, topic, Refusal(Reason.TOO_LARGE, "too large"), "b", "i", "d")


def publish(kafka: Kafka, letters: list[DeadLetter], **more: object) -> PublishResult:
    inbox = QueuedCompletions()
    properties = {
        **kafka.properties(),
        "log_level": 3,
        **{key.replace("_", "."): value for key, value in more.items()},
    }
    producer = KafkaDeadLetterProducer(properties, inbox)
    producer.publish("t", letters)
    replies = inbox.take(60)
    producer.close(5)
    assert len(replies) == 1
    ticket, reply = replies[0]
    assert ticket == "t"
    assert isinstance(reply, PublishResult)
    return reply


def test_a_dead_letter_that_is_too_large_for_its_topic_fails_alone(kafka: Kafka) -> None:
    """The others of its list are acknowledged. The error names the record, the topic and the setting."""
    topic = kafka.clients.create_topic(unique(), max_message_bytes="20000")

    reply = publish(kafka, [letter(topic), letter(topic, b"x" * 30_000, 6), letter(topic)])

    assert reply.failed == (1,)
    assert "src/0@6" in reply.error
    assert topic in reply.error
    assert "max.message.bytes" in reply.error
    assert len(kafka.clients.read_all(topic)) == 2


def test_without_its_topic_every_dead_letter_fails(kafka: Kafka) -> None:
    """The error says that the topic does not exist, and how to create it."""
    reply = publish(kafka, [letter(unique()), letter("also-missing")], topic_metadata_propagation_max_ms=500)

    assert reply.failed == (0, 1)
    assert "create_topics" in reply.error


def test_too_few_replicas_in_sync_is_a_failure_until_they_are_back() -> None:
    """A dead letter counts only with every replica's acknowledgement; it is reported after
    message.timeout.ms.
    """
    with Kafka(nodes=3) as cluster:
        topic = cluster.clients.create_topic(unique(), 1, 3, min_insync_replicas="3")
        assert publish(cluster, [letter(topic)]) == PublishResult()
        cluster.kill(3)

        reply = publish(cluster, [letter(topic)], message_timeout_ms=3000)

        assert reply.failed == (0,)
        assert "min.insync" in reply.error
        cluster.restart(3)
        assert publish(cluster, [letter(topic)]) == PublishResult()


def test_a_large_dead_letter_fits_into_a_topic_that_takes_it(kafka: Kafka) -> None:
    """The client's own limit of 1 MB must not stand in the way."""
    topic = kafka.clients.create_topic(unique(), max_message_bytes="3000000")

    assert publish(kafka, [letter(topic, b"x" * 2_000_000)]) == PublishResult()


def test_the_timestamp_of_a_dead_letter_is_the_present_time(kafka: Kafka) -> None:
    """With its record's old time, retention would delete it at once. That time is kept in a header."""
    topic = kafka.clients.create_topic(unique())

    publish(kafka, [letter(topic, time_ms=1_000)])
    published = kafka.clients.read_all(topic)[0]

    assert abs(published.timestamp()[1] / 1000 - time.time()) < 60
    assert ("aep.source.timestamp", b"1000") in (published.headers() or [])


def test_close_reports_what_no_broker_acknowledged() -> None:
    """Without any broker, all dead letters come back as failed within the time of `close`."""
    inbox = QueuedCompletions()
    producer = KafkaDeadLetterProducer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, inbox)
    producer.publish("t", [letter("x"), letter("x")])

    began = time.monotonic()
    producer.close(0.5)

    assert time.monotonic() - began < 5
    ticket, reply = inbox.take(1)[0]
    assert (ticket, isinstance(reply, PublishResult) and reply.failed) == ("t", (0, 1))
    producer.publish("late", [letter("x")])
    assert [ticket for ticket, _ in inbox.take(1)] == ["late"]
