"""A producer whose caller waits for the brokers' acknowledgements. Replays copy and mark records with it.

Dead letters of the running bridge have a producer of their own, which never blocks: kafka/dead_letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.config.kafka_clients import PRODUCER
from bridge.kafka.client_errors import properties_checked, text_of
from bridge.model import Headers

ACKNOWLEDGED_S = 120.0
"""Twice the default of `message.timeout.ms`, after which the client itself reports a record as failed."""


class NotAcknowledged(Exception):
    """The brokers did not acknowledge a record. The text says which topic and why."""


class AcknowledgedProducer:
    """Queue records with `put`; they count once `flush` has returned. One thread uses it."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        """`properties` are librdkafka's. Raises `PropertiesRefused`."""
        with properties_checked():
            self._producer = Producer(PRODUCER.complete(properties))
        self._errors: list[str] = []

    def put(self, topic: str, value: bytes | None, key: bytes | None, headers: Headers = ()) -> None:
        """Queue a record; wait while the queue is full.

        Raises `NotAcknowledged` where the client refuses it.
        """
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    headers=cast("Any", list(headers)),
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as problem:
                raise NotAcknowledged(f"{topic}: {text_of(problem)}") from None
            else:
                return

    def poll(self) -> None:
        """Let the client report what was acknowledged. Raises `NotAcknowledged` where a record was
        refused.
        """
        self._producer.poll(0)
        if self._errors:
            raise NotAcknowledged(self._errors[0])

    def flush(self) -> None:
        """Wait until every queued record is acknowledged. Raises `NotAcknowledged` where one was not."""
        missing = self._producer.flush(ACKNOWLEDGED_S)
        errors, self._errors = self._errors, []
        if errors:
            raise NotAcknowledged(errors[0])
        if missing:
            raise NotAcknowledged(f"{missing} records were not acknowledged within {ACKNOWLEDGED_S:.0f} s")

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._errors.append(f"{message.topic()}: {error.str()}")
