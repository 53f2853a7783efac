"""Whether the brokers answer a client with these properties, and which errors it meets on the way to them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from bridge.config.kafka_clients import ADMIN
from bridge.kafka.client_errors import Unreachable, properties_checked, text_of


class Obstacle(Enum):
    """Errors of the client that name a cause; the value is the client's code."""

    AUTHENTICATION = KafkaError._AUTHENTICATION
    TLS = KafkaError._SSL
    RESOLVE = KafkaError._RESOLVE
    TRANSPORT = KafkaError._TRANSPORT


class BrokerProbe:
    """A client that is on its way to the brokers.

    Its errors tell the cause; the exceptions of its calls do not.
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        """`properties` are librdkafka's. Raises `PropertiesRefused`."""
        self._first_text: dict[int, str] = {}
        config: dict[str, Any] = {**ADMIN.complete(properties), "error_cb": self._on_error}
        with properties_checked():
            self._admin = AdminClient(config)

    def count_brokers(self, timeout_s: float) -> int:
        """Ask for the brokers of the cluster.

        Raises `Unreachable` where no answer comes within `timeout_s`.
        """
        try:
            return len(self._admin.list_topics(timeout=timeout_s).brokers)
        except KafkaException as problem:
            raise Unreachable(text_of(problem)) from None
        finally:
            self._admin.poll(0)  # serves `_on_error`

    @property
    def texts(self) -> list[str]:
        """The first error of each kind that the client met, named or not."""
        return list(self._first_text.values())

    def text(self, obstacle: Obstacle) -> str | None:
        """Return the first error of this kind; None where the client met none."""
        return self._first_text.get(obstacle.value)

    def _on_error(self, error: KafkaError) -> None:
        self._first_text.setdefault(error.code(), error.str())
