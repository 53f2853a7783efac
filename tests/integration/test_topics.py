"""The administrator's view of topics, against a real broker."""

from __future__ import annotations

import pytest

from bridge.kafka.client_errors import Unreachable
from bridge.kafka.topics import TopicAdmin, TopicError
from bridge.model import TopicPartition
from tests.support.clients import unique, until
from tests.support.kafka import Kafka


def test_a_missing_dead_letter_topic_is_created_after_its_source(kafka: Kafka) -> None:
    """It has as many partitions and 64 KiB more, and deletes nothing. A second check finds nothing wrong."""
    source = kafka.clients.create_topic(unique(), 3, max_message_bytes="2000000")
    topics = TopicAdmin(kafka.properties())

    created = topics.ensure_dead_letter_topic(source, f"{source}.dlq", create=True)
    until(lambda: topics.partition_counts([f"{source}.dlq"]), what="the new topic in the broker's metadata")
    again = topics.ensure_dead_letter_topic(source, f"{source}.dlq", create=False)

    assert (created.created, created.partitions, created.max_message_bytes) == (True, 3, 2_065_536)
    assert (again.created, again.partitions, again.max_message_bytes, again.warnings) == (
        False,
        3,
        2_065_536,
        (),
    )


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("cleanup_policy", "compact", "cleanup.policy=delete"),
        ("max_message_bytes", "1000", "max.message.bytes=1114124"),
    ],
)
def test_a_dead_letter_topic_that_would_lose_letters_is_an_error(
    kafka: Kafka, key: str, value: str, text: str
) -> None:
    """One that is compacted or too small. The message says what to set."""
    source = kafka.clients.create_topic(unique())
    dead = kafka.clients.create_topic(unique(), 1, 1, **{key: value})

    with pytest.raises(TopicError, match=text):
        TopicAdmin(kafka.properties()).ensure_dead_letter_topic(source, dead, create=True)


def test_retention_is_a_warning(kafka: Kafka) -> None:
    """It is the user's choice that dead letters are deleted after a week, but nobody should be surprised."""
    source, dead = (
        kafka.clients.create_topic(unique()),
        kafka.clients.create_topic(unique(), max_message_bytes="2000000"),
    )

    assert "retention.ms" in "".join(
        TopicAdmin(kafka.properties()).ensure_dead_letter_topic(source, dead, create=False).warnings
    )


def test_missing_topics_are_errors_that_say_what_to_do(kafka: Kafka) -> None:
    """The topic always; its dead-letter topic if the bridge may not create it."""
    topics = TopicAdmin(kafka.properties())
    source = kafka.clients.create_topic(unique())

    with pytest.raises(TopicError, match="DESCRIBE"):
        topics.ensure_dead_letter_topic("missing", "missing.dlq", create=True)
    with pytest.raises(TopicError, match="create_topics"):
        topics.ensure_dead_letter_topic(source, "missing.dlq", create=False)


def test_partitions_of_names_and_regexes(kafka: Kafka) -> None:
    """A regex stands for each topic that it matches, but never for a dead-letter topic."""
    prefix = unique("p")
    for suffix, partitions in (("a", 2), ("b", 3), ("b.dlq", 3)):
        kafka.clients.create_topic(f"{prefix}{suffix}", partitions)

    counts = TopicAdmin(kafka.properties()).partition_counts(
        [f"^{prefix}.*", "missing"], lambda name: name.endswith(".dlq")
    )

    assert counts == {f"{prefix}a": 2, f"{prefix}b": 3}


def test_ends_are_those_of_now(kafka: Kafka) -> None:
    """The lag is computed from them. A request for a missing topic must not create it."""
    topic, missing = kafka.clients.create_topic(unique(), 2), unique("missing")
    kafka.clients.produce(topic, [b"1", b"2", b"3"], partition=1)
    topics = TopicAdmin(kafka.properties())
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)

    ends = topics.end_offsets([first, second, TopicPartition(topic, 9), TopicPartition(missing, 0)], 10)

    assert ends == {first: 0, second: 3}

    kafka.clients.produce(topic, [b"4"], partition=1)

    assert topics.end_offsets([second], 10) == {second: 4}
    assert topics.partition_counts([missing]) == {}


def test_ends_without_a_broker_are_not_known() -> None:
    """The consumer reports that brokers are away; the monitor's thread goes on."""
    topics = TopicAdmin({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})

    assert topics.end_offsets([TopicPartition("t", 0)], 0.5) == {}


def test_no_broker_is_unreachable() -> None:
    """The caller waits and asks again; nothing is wrong with the topic."""
    with pytest.raises(Unreachable):
        TopicAdmin({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, 1).partition_counts(["x"])
