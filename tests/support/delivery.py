"""What tests of whole processes do with topics: produce events with keys, and see what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from confluent_kafka import Producer

from tests.support.kafka import Kafka


def produce_keyed(kafka: Kafka, topic: str, events: Sequence[tuple[str, bytes]], partitions: int) -> None:
    """Produce these ids and values round robin over the partitions, and wait for every acknowledgement.

    The id is the record's key.
    """
    settings = {
        "acks": "all",
        "linger.ms": 5,
        "message.max.bytes": 5_000_000,
        "queue.buffering.max.messages": 1_000_000,
    }
    producer = Producer({**kafka.properties(), **settings})
    for number, (key, value) in enumerate(events):
        producer.produce(topic, value, key.encode(), number % partitions)
        if number % 1000 == 999:
            producer.poll(0)

    assert producer.flush(60) == 0


def all_committed(kafka: Kafka, group: str, topic: str, partitions: int = 1) -> bool:
    """Say whether the group has committed every record of the topic."""
    committed = kafka.clients.committed(group, topic, partitions)
    return len(committed) == partitions and kafka.clients.lag(group, topic, partitions) == 0


def dead_letter_keys(kafka: Kafka, topic: str) -> Counter[str]:
    """Return the keys of the topic's dead letters, and how often each is there."""
    return Counter((message.key() or b"").decode() for message in kafka.clients.read_all(f"{topic}.dlq"))
