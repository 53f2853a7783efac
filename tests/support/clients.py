"""What tests do with a Kafka, mock or real: create topics, produce, read topics, look at committed
offsets.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

Headers = Sequence[tuple[str, bytes | None]]
T = TypeVar("T")


def unique(prefix: str = "t") -> str:
    """Return a name that nobody else has."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def until(get: Callable[[], T], timeout_s: float = 30, what: str = "") -> T:
    """Return the first true result of `get`. Raises `AssertionError` at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (result := get()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or get}")
        time.sleep(0.01)
    return result


@dataclass(frozen=True)
class Clients:
    """Short-lived clients of one Kafka. All of them have these properties, which are librdkafka's."""

    properties: Mapping[str, Any]
    _producers: dict[str, Producer] = field(default_factory=dict)
    """The one that `produce` uses, once it has been created."""

    def create_topic(self, name: str, partitions: int = 1, replication: int = 1, **config: str) -> str:
        """Create a topic and wait until its partitions have leaders. Config keys have `_` for `.`."""
        admin = AdminClient(dict(self.properties))
        settings = {key.replace("_", "."): value for key, value in config.items()}
        admin.create_topics([NewTopic(name, partitions, replication, config=settings)])[name].result(30)

        def ready() -> bool:
            topic = admin.list_topics(timeout=10).topics.get(name)
            return (
                topic is not None
                and len(topic.partitions) == partitions
                and all(each.leader >= 0 for each in topic.partitions.values())
            )

        until(ready, what=f"leaders of {name}")
        return name

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        partition: int = 0,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: int = 0,
    ) -> None:
        """Produce to one partition, in order, and wait for every acknowledgement."""
        if "producer" not in self._producers:
            self._producers["producer"] = Producer(
                {**self.properties, "acks": "all", "enable.idempotence": True, "linger.ms": 5}
            )
        producer = self._producers["producer"]
        errors: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        for value in values:
            while True:
                try:
                    producer.produce(
                        topic,
                        value,
                        key,
                        partition,
                        on_delivery=delivered,
                        headers=cast("Any", headers and list(headers)),
                        timestamp=timestamp,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        left = producer.flush(60)
        assert not left, f"{left} records were not acknowledged within 60 s"
        assert not errors, f"records were refused: {errors[:3]}"

    def read_all(self, topic: str, timeout_s: float = 30) -> list[Message]:
        """Return every record of the topic, sorted by partition and offset."""
        consumer = Consumer(
            {
                **self.properties,
                "group.id": unique("reader"),
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        try:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign([Position(topic, each, OFFSET_BEGINNING) for each in partitions])
            records: list[Message] = []
            waiting = set(partitions)
            deadline = time.monotonic() + timeout_s
            while waiting:
                assert time.monotonic() < deadline, f"the end of {topic} did not come within {timeout_s} s"
                for message in consumer.consume(1000, 0.05):
                    error = message.error()
                    if error is None:
                        records.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        waiting.discard(cast("int", message.partition()))
            return sorted(records, key=lambda message: (message.partition(), message.offset()))
        finally:
            consumer.close()

    def committed(self, group: str, topic: str, partitions: int = 1) -> dict[int, int]:
        """Return the group's committed offset of each partition that has one."""
        consumer = Consumer({**self.properties, "group.id": group})
        try:
            positions = _committed(consumer, topic, partitions)
            return {each.partition: each.offset for each in positions if each.offset >= 0}
        finally:
            consumer.close()

    def lag(self, group: str, topic: str, partitions: int = 1) -> int:
        """Return the sum of the partitions' end offsets less their committed ones."""
        consumer = Consumer({**self.properties, "group.id": group})
        try:
            done = _committed(consumer, topic, partitions)
            return sum(
                consumer.get_watermark_offsets(Position(topic, each.partition), 10)[1] - max(each.offset, 0)
                for each in done
            )
        finally:
            consumer.close()


def _committed(consumer: Consumer, topic: str, partitions: int, timeout_s: float = 20) -> list[Position]:
    """Return the committed offsets.

    A broker that is only just becoming the group's coordinator refuses, and the client does not ask again
    by itself.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return list(consumer.committed([Position(topic, each) for each in range(partitions)], 10))
        except KafkaException as problem:
            if problem.args[0].code() not in _COORDINATOR_STARTS or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


_COORDINATOR_STARTS = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
