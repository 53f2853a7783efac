"""Ask the brokers about topics: how many partitions they have, where those end, and whether dead-letter
topics are right.

Topics that the bridge itself writes to are created here, where the user allows it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from bridge.codec.routes import is_regex, matches
from bridge.config.kafka_clients import ADMIN
from bridge.kafka import dead_letter_topic as rules
from bridge.kafka.client_errors import Unreachable, answer_of, error_of, means_no_answer, text_of
from bridge.kafka.dead_letter_topic import DeadLetterTopic
from bridge.kafka.positions import partition_at, positions
from bridge.model import TopicPartition

T = TypeVar("T")

_CREATE_MARKS = (
    "create it with one partition and cleanup.policy=compact, "
    "and give the principal the ACLs READ and WRITE on it"
)

_NOT_READY = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the broker that was asked does not know a new topic yet",
    KafkaError.INVALID_REPLICATION_FACTOR: "there are fewer brokers than a topic is to have replicas",
}
"""Errors of a cluster in which topics or brokers are only just starting."""

_NOT_AUTHORIZED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})


class TopicError(Exception):
    """A topic is missing or wrong. The text says which topic, why, and what to do."""


@dataclass(frozen=True, slots=True)
class _ListedTopic:
    partitions: int
    replicas: int
    """The replication factor of the partition that has the fewest replicas."""


class TopicAdmin:
    """An administrator's view of the topics. Blocking: each request may take `timeout_s`. Not for the
    engine's thread.

    All methods raise `Unreachable` where no broker answers, and `TopicError` where the brokers refuse.
    """

    def __init__(self, properties: Mapping[str, Any], timeout_s: float = 10) -> None:
        """`properties` are librdkafka's."""
        self._admin = AdminClient(ADMIN.complete(properties))
        self._timeout_s = timeout_s

    def partition_counts(
        self, patterns: Iterable[str], is_excluded: Callable[[str], bool] = lambda _: False
    ) -> dict[str, int]:
        """Return the number of partitions of each existing topic that one of the patterns matches.

        A pattern is a topic's name, or a regex that begins with `^`. A topic that only a regex matches is
        left out if `is_excluded` returns true for it.
        """
        existing = self._list()
        counts: dict[str, int] = {}
        for pattern in patterns:
            if is_regex(pattern):
                names = [name for name in existing if matches(pattern, name) and not is_excluded(name)]
            else:
                names = [pattern] if pattern in existing else []
            counts.update({name: existing[name].partitions for name in names})
        return counts

    def end_offsets(
        self, partitions: Iterable[TopicPartition], timeout_s: float
    ) -> dict[TopicPartition, int]:
        """Return where partitions end now, from one request to each leader. Those without an answer are
        left out.

        If one of the partitions has no leader, this takes the whole `timeout_s`, and librdkafka 2.16 uses a
        whole processor for it: do not ask for that partition again soon.
        """
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = dict.fromkeys(positions(partitions), latest)
        ends: dict[TopicPartition, int] = {}
        for position, answer in self._admin.list_offsets(wanted, request_timeout=timeout_s).items():
            with contextlib.suppress(KafkaException, Unreachable):
                end = self._answer(answer).offset
                if end >= 0:  # it is negative, without an error, for a partition that has no leader
                    ends[partition_at(position)] = end
        return ends

    def ensure_dead_letter_topic(self, topic: str, name: str, *, create: bool) -> DeadLetterTopic:
        """Check the dead-letter topic of a topic. Create it if it is missing and `create` allows it."""
        existing = self._list()
        if topic not in existing:
            raise TopicError(
                f"topic {topic}: it does not exist, or the principal lacks the ACL DESCRIBE on it; "
                "create it, or correct topics in the configuration"
            )
        topic_config = self._config(topic)
        if name in existing:
            return self._checked(topic, topic_config, name, existing[name].partitions)
        config = rules.wanted_config(topic_config)
        if not create:
            raise TopicError(
                f"dead-letter topic {name} (of {topic}): it does not exist; "
                "create it with cleanup.policy=delete, retention.ms=-1 and "
                f"max.message.bytes={config['max.message.bytes']}, or set dead_letter.create_topics: true"
            )
        like = existing[topic]
        try:
            self._create(NewTopic(name, like.partitions, like.replicas or -1, config=config))
        except KafkaException as problem:
            if _exists_already(problem):  # another replica of the bridge was faster
                listed = self._list().get(name, like)
                return self._checked(topic, topic_config, name, listed.partitions)
            raise TopicError(
                f"dead-letter topic {name} (of {topic}): it can't be created: {text_of(problem)}; "
                "create it yourself, or give the principal the ACL CREATE on it"
            ) from problem
        return DeadLetterTopic(name, like.partitions, rules.max_message_bytes(config), created=True)

    def ensure_marks_topic(self, name: str, *, create: bool) -> None:
        """Check the compacted topic in which replays mark what they sent.

        Create it if it is missing and `create` allows it.
        """
        if name in self._list():
            policy = self._config(name).get("cleanup.policy", "compact")
            if "compact" not in policy:
                raise TopicError(
                    f"topic {name}: cleanup.policy={policy} would forget which dead letters were replayed; "
                    "set cleanup.policy=compact"
                )
            return
        if not create:
            raise TopicError(
                f"topic {name}, where replays mark what they sent: it does not exist; {_CREATE_MARKS}"
            )
        try:
            self._create(NewTopic(name, 1, -1, config={"cleanup.policy": "compact"}))
        except KafkaException as problem:
            if not _exists_already(problem):
                raise TopicError(
                    f"topic {name}, where replays mark what they sent: "
                    f"it can't be created: {text_of(problem)}; {_CREATE_MARKS}"
                ) from problem

    def _checked(
        self, topic: str, topic_config: Mapping[str, str], name: str, partitions: int
    ) -> DeadLetterTopic:
        config = self._config(name)
        if error := rules.error_in(config, topic_config):
            raise TopicError(f"dead-letter topic {name} (of {topic}): {error}")
        warnings = rules.warnings_about(name, config, topic, topic_config)
        return DeadLetterTopic(name, partitions, rules.max_message_bytes(config), warnings=warnings)

    def _create(self, topic: NewTopic) -> None:
        """Create a topic. Raises `KafkaException` for a refusal."""
        self._answer(self._admin.create_topics([topic], request_timeout=self._timeout_s)[topic.topic])

    def _list(self) -> dict[str, _ListedTopic]:
        # This lists all topics: asking for one by its name creates it on brokers with
        # auto.create.topics.enable.
        try:
            topics = self._admin.list_topics(timeout=self._timeout_s).topics
        except KafkaException as problem:
            text = f"the topics can't be listed: {text_of(problem)}"
            raise (Unreachable if means_no_answer(problem) else TopicError)(text) from problem
        listed = {}
        for name, topic in topics.items():
            if topic.error is None:
                replicas = min((len(each.replicas) for each in topic.partitions.values()), default=0)
                listed[name] = _ListedTopic(len(topic.partitions), replicas)
        return listed

    def _config(self, topic: str) -> dict[str, str]:
        """Return a topic's configuration; an empty one where the principal may not read it."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        futures = self._admin.describe_configs([resource], request_timeout=self._timeout_s)
        try:
            entries = self._answer(futures[resource])
        except KafkaException as problem:
            if error_of(problem).code() in _NOT_AUTHORIZED:
                return {}
            text = f"topic {topic}: its configuration can't be read: {text_of(problem)}"
            raise TopicError(text) from problem
        return {name: entry.value for name, entry in entries.items() if entry.value is not None}

    def _answer(self, future: Future[T]) -> T:
        """Return the brokers' answer.

        Raises `Unreachable` where none came or the cluster is not ready, and `KafkaException` for a refusal.
        """
        try:
            return answer_of(future, self._timeout_s)
        except KafkaException as problem:
            if reason := _NOT_READY.get(error_of(problem).code()):
                raise Unreachable(f"{reason}: {text_of(problem)}") from problem
            raise


def _exists_already(problem: KafkaException) -> bool:
    return error_of(problem).code() == KafkaError.TOPIC_ALREADY_EXISTS
