"""The worlds in which the same contract must hold: memory, the in-process mock cluster, a real broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError

from bridge.demo.mock_cluster import MockCluster
from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.kafka.dead_letters import KafkaDeadLetterProducer
from bridge.model import Headers, Record
from bridge.ports import Completions, DeadLetterProducer, RebalanceListener, Source
from tests.support.clients import Clients, unique
from tests.support.memory import MemoryDeadLetterProducer, MemoryKafka, MemorySource


def no_dead_letters(_: str) -> bool:
    return False


class World(Protocol):
    """What the suite needs of a Kafka."""

    refused: list[str]
    """Commits that this Kafka refused where a broker would not."""

    def topic(self, partitions: int = 1) -> str: ...
    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        partition: int = 0,
        key: bytes | None = None,
        headers: Headers | None = None,
    ) -> None: ...
    def source(
        self,
        topics: Sequence[str],
        listener: RebalanceListener,
        group: str,
        excluded: Callable[[str], bool] = no_dead_letters,
    ) -> Source: ...
    def dead_letters(self, completions: Completions) -> DeadLetterProducer: ...
    def committed(self, group: str, topic: str, partitions: int = 1) -> dict[int, int]: ...
    def read_all(self, topic: str) -> Sequence[Record]: ...
    def lose(self, source: Source) -> None:
        """Take all partitions from a member. Its listener is called in the next `read` at the latest."""
        ...

    def close(self) -> None: ...


class MemoryWorld:
    """The Kafka in memory that most tests use."""

    def __init__(self) -> None:
        self.kafka = MemoryKafka()
        self.refused: list[str] = []
        self.committed = self.kafka.committed
        self.read_all = self.kafka.read_all

    def topic(self, partitions: int = 1) -> str:
        return self.kafka.create_topic(unique(), partitions)

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        partition: int = 0,
        key: bytes | None = None,
        headers: Headers | None = None,
    ) -> None:
        self.kafka.produce(topic, values, partition=partition, key=key, headers=headers)

    def source(
        self,
        topics: Sequence[str],
        listener: RebalanceListener,
        group: str,
        excluded: Callable[[str], bool] = no_dead_letters,
    ) -> Source:
        return MemorySource(self.kafka, group, topics, listener, excluded)

    def dead_letters(self, completions: Completions) -> DeadLetterProducer:
        return MemoryDeadLetterProducer(self.kafka, completions)

    def lose(self, source: Source) -> None:
        assert isinstance(source, MemorySource)
        source.lose()

    def close(self) -> None: ...


class KafkaWorld:
    """`KafkaConsumer` and `KafkaDeadLetterProducer` against something that speaks Kafka's protocol."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        create_topic: Callable[[str, int], object],
        *,
        consumer_properties: Mapping[str, Any] | None = None,
        callbacks: ConsumerCallbacks | None = None,
    ) -> None:
        self.properties, self._create_topic = {**properties, "log_level": 3}, create_topic
        self.clients = Clients(self.properties)
        self.committed = self.clients.committed
        self._consumer_properties, self._callbacks = consumer_properties or {}, callbacks
        self._consumers: list[KafkaConsumer] = []
        self._producers: list[KafkaDeadLetterProducer] = []
        self.refused: list[str] = []

    def topic(self, partitions: int = 1) -> str:
        name = unique()
        self._create_topic(name, partitions)
        return name

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        partition: int = 0,
        key: bytes | None = None,
        headers: Headers | None = None,
    ) -> None:
        self.clients.produce(topic, values, partition=partition, key=key, headers=headers)

    def source(
        self,
        topics: Sequence[str],
        listener: RebalanceListener,
        group: str,
        excluded: Callable[[str], bool] = no_dead_letters,
    ) -> KafkaConsumer:
        timing = {
            "session.timeout.ms": 1500,
            "heartbeat.interval.ms": 200,
            "max.poll.interval.ms": 2000,
            "topic.metadata.refresh.interval.ms": 500,
        }
        if self._consumer_properties.get("group.protocol") == "consumer":
            del timing["session.timeout.ms"], timing["heartbeat.interval.ms"]
        created = KafkaConsumer(
            {**self.properties, "group.id": group, **timing, **self._consumer_properties},
            topics,
            excluded,
            listener,
            self._callbacks,
        )
        self._consumers.append(created)
        return created

    def dead_letters(self, completions: Completions) -> DeadLetterProducer:
        created = KafkaDeadLetterProducer(self.properties, completions)
        self._producers.append(created)
        return created

    def read_all(self, topic: str) -> Sequence[Record]:
        # The client's message is a `Record`; only its stub is wider.
        return self.clients.read_all(topic)  # type: ignore[return-value]

    def lose(self, source: Source) -> None:
        time.sleep(3)  # a member that has not polled for max.poll.interval.ms (2 s) has left its group

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.close()
        for producer in self._producers:
            producer.close(5)


class MockWorld(KafkaWorld):
    """librdkafka's mock cluster."""

    def __init__(self) -> None:
        self.cluster = MockCluster().__enter__()
        super().__init__(
            {"bootstrap.servers": self.cluster.bootstrap},
            self.cluster.create_topic,
            callbacks=ConsumerCallbacks(on_commit=self._on_commit),
        )

    def _on_commit(self, error: KafkaError | None, _: object) -> None:
        """Count the refused commits that a broker would take.

        During a rebalance this cluster refuses them until every member has its assignment. A broker takes
        them as soon as the leader of the group has sent the assignments of all.
        """
        if error is not None and error.code() == KafkaError.REBALANCE_IN_PROGRESS:
            self.refused.append(error.str())

    def close(self) -> None:
        super().close()
        self.cluster.close()
