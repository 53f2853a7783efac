"""What the principal may do with topics, as the brokers say. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bridge.config.kafka_clients import ADMIN
from bridge.kafka.client_errors import answer_of, properties_checked, text_of
from bridge.kafka.topics import TopicError


class Permissions:
    """Asks the brokers about topics. Blocking: every call may take `timeout_s`.

    All methods raise `TopicError` where the brokers refuse to say, and `Unreachable` where none answers.
    """

    def __init__(self, properties: Mapping[str, Any], timeout_s: float) -> None:
        """`properties` are librdkafka's. Raises `PropertiesRefused`."""
        with properties_checked():
            self._admin = AdminClient(ADMIN.complete(properties))
        self._timeout_s = timeout_s

    def operations(self, topic: str) -> frozenset[str]:
        """Return what the principal may do with a topic, such as READ; empty where the brokers do not say."""
        asked = self._admin.describe_topics(
            TopicCollection([topic]), include_authorized_operations=True, request_timeout=self._timeout_s
        )
        try:
            description = answer_of(asked[topic], self._timeout_s)
        except KafkaException as problem:
            raise TopicError(text_of(problem)) from None
        return frozenset(operation.name for operation in description.authorized_operations or ())

    def check_creation(self, topic: str) -> None:
        """Ask whether a topic could be created, without creating it.

        Raises `TopicError` where it could not.
        """
        asked = self._admin.create_topics(
            [NewTopic(topic, 1, -1)], validate_only=True, request_timeout=self._timeout_s
        )
        try:
            answer_of(asked[topic], self._timeout_s)
        except KafkaException as problem:
            raise TopicError(text_of(problem)) from None
