"""Topics as they must be: how many partitions the sources have and where they end, and dead-letter topics that keep what they are given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from bridge.codec.routes import is_regex, matches
from bridge.config.kafka_clients import ADMIN
from bridge.kafka.client_errors import Unreachable
from bridge.model import TopicPartition

HEADROOM_BYTES = 64 * 1024
"""What a dead letter is larger than its record, at most: error text, headers."""

_MARKS = "create it with one partition and cleanup.policy=compact, and give the principal the ACLs READ and WRITE on it"

T = TypeVar("T")

_AWAY = frozenset({
    KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError._RESOLVE,
    KafkaError.REQUEST_TIMED_OUT, KafkaError.BROKER_NOT_AVAILABLE, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_CONTROLLER,
    KafkaError._UNKNOWN_BROKER,
})  # fmt: skip

_NOT_READY = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the broker that was asked has not heard of a new topic yet",
    KafkaError.INVALID_REPLICATION_FACTOR: "there are fewer brokers than a topic is to have replicas",
}
"""What a cluster answers while topics or brokers are still coming."""


class TopicError(Exception):
    """A topic is missing or wrong; the message says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class DeadLetterTopic:
    """A dead-letter topic that was checked or created."""

    name: str
    partitions: int
    max_message_bytes: int | None
    """None where the principal may not read the topic's configuration."""
    created: bool = False
    warnings: tuple[str, ...] = ()
    """What is not wrong enough to stop: retention that deletes letters, a configuration that could not be read."""


@dataclass(frozen=True, slots=True)
class _Found:
    partitions: int
    replicas: int


class TopicAdmin:
    """Looks at and makes topics. `properties` are librdkafka's; every request may take `timeout_s`. Blocking; not for the pump's thread."""

    def __init__(self, properties: Mapping[str, Any], timeout_s: float = 10) -> None:
        self._admin = AdminClient(ADMIN.complete(properties))
        self._timeout_s = timeout_s

    def partition_counts(
        self, topics: Iterable[str], is_dead_letter_topic: Callable[[str], bool] = lambda _: False
    ) -> dict[str, int]:
        """Partition counts of every topic that these names and `^regexes` match now; what does not exist is left out. Raises `Unreachable`."""
        found = self._list()
        counts: dict[str, int] = {}
        for pattern in topics:
            if is_regex(pattern):
                matching = [
                    name for name in found if matches(pattern, name) and not is_dead_letter_topic(name)
                ]
            else:
                matching = [pattern] if pattern in found else []
            counts.update({name: found[name].partitions for name in matching})
        return counts

    def end_offsets(
        self, partitions: Iterable[TopicPartition], timeout_s: float
    ) -> dict[TopicPartition, int]:
        """Where these partitions end now, in one request to each leader; those without an answer are left out.

        While one of them has no leader this takes the whole time, and librdkafka 2.16 spends it spinning: don't ask for that one all the time.
        """
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {Position(where.topic, where.partition): latest for where in partitions}
        found: dict[TopicPartition, int] = {}
        for position, answer in self._admin.list_offsets(wanted, request_timeout=timeout_s).items():
            with contextlib.suppress(KafkaException, Unreachable):
                if (end := self._wait(answer).offset) >= 0:  # below 0 and no error: no leader
                    found[TopicPartition(position.topic, position.partition)] = end
        return found

    def ensure_dead_letter_topic(self, source: str, dead_letter: str, *, create: bool) -> DeadLetterTopic:
        """The dead-letter topic of a source, created if it is missing and `create` allows it. Raises `TopicError`, `Unreachable`."""
        found = self._list()
        if source not in found:
            raise TopicError(
                f"topic {source}: it does not exist, or the principal lacks the ACL DESCRIBE on it; create it, or correct topics in the configuration"
            )
        source_limit = self._limit(self._config(source))
        if dead_letter in found:
            return self._check(source, dead_letter, found[dead_letter], source_limit)
        if not create:
            raise TopicError(
                f"dead-letter topic {dead_letter} (of {source}): it does not exist; create it with cleanup.policy=delete, retention.ms=-1 and "
                f"max.message.bytes={(source_limit or 1_048_588) + HEADROOM_BYTES}, or set dead_letter.create_topics: true"
            )
        return self._create(source, dead_letter, found[source], source_limit)

    def ensure_marks_topic(self, name: str, *, create: bool) -> None:
        """The compacted topic where replays mark what they sent, created if it is missing and `create` allows it. Raises `TopicError`, `Unreachable`."""
        if name in self._list():
            if "compact" not in (policy := self._config(name).get("cleanup.policy", "compact")):
                raise TopicError(
                    f"topic {name}: cleanup.policy={policy} would forget which dead letters were replayed; set cleanup.policy=compact"
                )
            return
        if create:
            try:
                self._wait(
                    self._admin.create_topics(
                        [NewTopic(name, 1, -1, config={"cleanup.policy": "compact"})],
                        request_timeout=self._timeout_s,
                    )[name]
                )
            except KafkaException as problem:
                if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    why = f"it can't be created: {problem.args[0].str()}"
                    raise TopicError(
                        f"topic {name}, where replays mark what they sent: {why}; {_MARKS}"
                    ) from problem
        else:
            raise TopicError(f"topic {name}, where replays mark what they sent: it does not exist; {_MARKS}")

    def _create(self, source: str, name: str, like: _Found, source_limit: int | None) -> DeadLetterTopic:
        limit = (source_limit or 1_048_588) + HEADROOM_BYTES
        config = {
            "cleanup.policy": "delete",
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "max.message.bytes": str(limit),
        }
        topic = NewTopic(name, like.partitions, like.replicas or -1, config=config)
        try:
            self._wait(self._admin.create_topics([topic], request_timeout=self._timeout_s)[name])
        except KafkaException as problem:
            error = problem.args[0]
            if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:  # another replica of ours was faster
                return self._check(source, name, self._list().get(name, like), source_limit)
            raise TopicError(
                f"dead-letter topic {name} (of {source}): it can't be created: {error.str()}; create it yourself, or give the principal the ACL CREATE on it"
            ) from problem
        return DeadLetterTopic(name, like.partitions, limit, created=True)

    def _check(self, source: str, name: str, found: _Found, source_limit: int | None) -> DeadLetterTopic:
        config = self._config(name)
        limit = self._limit(config)
        warnings = []
        if "compact" in config.get("cleanup.policy", ""):
            raise TopicError(
                f"dead-letter topic {name} (of {source}): cleanup.policy={config['cleanup.policy']} deletes letters of the same key "
                "and refuses those without one; set cleanup.policy=delete"
            )
        if limit is not None and source_limit is not None and limit < source_limit:
            raise TopicError(
                f"dead-letter topic {name} (of {source}): max.message.bytes={limit} is smaller than its source's {source_limit}, "
                f"so a large record could not be dead-lettered; set max.message.bytes={source_limit + HEADROOM_BYTES}"
            )
        if limit is None or source_limit is None:
            warnings.append(
                f"max.message.bytes of {source} and {name} could not be compared: the principal lacks the ACL DESCRIBE_CONFIGS"
            )
        elif limit < source_limit + HEADROOM_BYTES:
            warnings.append(
                f"max.message.bytes={limit} of {name} leaves less than {HEADROOM_BYTES} bytes for the added headers of {source}'s largest records; "
                f"set {source_limit + HEADROOM_BYTES}"
            )
        if config.get("retention.ms", "-1") != "-1":
            warnings.append(
                f"{name} deletes dead letters after retention.ms={config['retention.ms']}; set -1 to keep them"
            )
        return DeadLetterTopic(name, found.partitions, limit, warnings=tuple(warnings))

    def _list(self) -> dict[str, _Found]:
        # All topics: asking for one by name creates it on brokers with auto.create.topics.enable.
        try:
            topics = self._admin.list_topics(timeout=self._timeout_s).topics
        except KafkaException as problem:
            raise _sorted(problem, "the topics can't be listed") from problem
        return {
            name: _Found(
                len(topic.partitions),
                min((len(each.replicas) for each in topic.partitions.values()), default=0),
            )
            for name, topic in topics.items()
            if topic.error is None
        }

    def _config(self, topic: str) -> dict[str, str]:
        """The topic's configuration; empty where the principal may not read it."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        try:
            entries = self._wait(
                self._admin.describe_configs([resource], request_timeout=self._timeout_s)[resource]
            )
        except KafkaException as problem:
            if problem.args[0].code() in (
                KafkaError.TOPIC_AUTHORIZATION_FAILED,
                KafkaError.CLUSTER_AUTHORIZATION_FAILED,
            ):
                return {}
            raise TopicError(
                f"topic {topic}: its configuration can't be read: {problem.args[0].str()}"
            ) from problem
        return {name: entry.value for name, entry in entries.items() if entry.value is not None}

    @staticmethod
    def _limit(config: Mapping[str, str]) -> int | None:
        value = config.get("max.message.bytes")
        return int(value) if value else None

    def _wait(self, future: Future[T]) -> T:
        """The future's value; raises `Unreachable` where no broker answered, and `KafkaException` for their answers."""
        try:
            return future.result(self._timeout_s + 5)
        except TimeoutError as problem:
            raise Unreachable(f"no broker answered within {self._timeout_s} s") from problem
        except KafkaException as problem:
            if problem.args[0].code() in _AWAY:
                raise Unreachable(f"no broker answered: {problem.args[0].str()}") from problem
            if (why := _NOT_READY.get(problem.args[0].code())) is not None:
                raise Unreachable(f"{why}: {problem.args[0].str()}") from problem
            raise


def _sorted(problem: KafkaException, what: str) -> TopicError | Unreachable:
    error = problem.args[0]
    return (
        Unreachable(f"{what}: {error.str()}")
        if error.code() in _AWAY
        else TopicError(f"{what}: {error.str()}")
    )
