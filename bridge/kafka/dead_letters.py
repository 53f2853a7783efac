"""Publish dead letters: one is done only when the broker has acknowledged it. None is dropped.

The producer has a thread of its own, so that the engine never waits for it. Replays use another producer:
kafka/acknowledged_producer.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.config.kafka_clients import PRODUCER
from bridge.kafka.client_errors import properties_checked
from bridge.kafka.dead_letter_errors import MISSING_TOPIC, WITHHELD, describe_failure
from bridge.kafka.dead_letter_headers import dead_letter_headers
from bridge.model import DeadLetter, PublishResult
from bridge.ports import Completions

_IDLE_S, _BUSY_S = 0.25, 0.005
"""How long the thread waits for new dead letters: without any unacknowledged ones, and with some, whose
acknowledgements it has to fetch from the client."""

_THREAD_END_S = 5.0
"""How much longer than its own time `close` waits for the thread to end."""


class _Publication:
    """The dead letters that were given together, under one ticket: which are open, and which have failed."""

    def __init__(self, ticket: object, letters: Sequence[DeadLetter]) -> None:
        self.ticket, self.letters = ticket, letters
        self._open = set(range(len(letters)))
        """The indexes of those that are neither acknowledged nor failed."""
        self._failed: list[int] = []
        self._first_reason = ""

    def is_open(self, index: int) -> bool:
        return index in self._open

    @property
    def is_complete(self) -> bool:
        return not self._open

    def acknowledge(self, index: int) -> None:
        self._open.discard(index)

    def fail(self, index: int, reason: str) -> None:
        self._open.discard(index)
        self._failed.append(index)
        self._first_reason = self._first_reason or reason

    def fail_open(self, reason: str) -> None:
        """Fail every dead letter that is still open."""
        for index in sorted(self._open):
            self.fail(index, reason)

    def result(self) -> PublishResult:
        return PublishResult(tuple(sorted(self._failed)), self._first_reason)


class KafkaDeadLetterProducer:
    """`ports.DeadLetterProducer` over confluent_kafka's `Producer`, which a thread feeds and polls.

    After a fatal error of the client, what is open fails, and another client takes its place.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        completions: Completions,
        on_error: Callable[[KafkaError], None] = lambda _: None,
        *,
        blocking_reason: Callable[[DeadLetter], str | None] = lambda _: None,
        on_missing_topic: Callable[[str], None] = lambda _: None,
        client: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        """`properties` are librdkafka's. Raises `PropertiesRefused`.

        The functions are called on the thread, and must not raise: `on_error` gets every error of the
        client. `blocking_reason` returns why a dead letter must not be published now, and it fails with
        that text; or None. `on_missing_topic` gets the topic of a record whose dead-letter topic does not
        exist.
        """
        self._config = PRODUCER.complete(properties)
        self._completions = completions
        self._report_error = on_error
        self._blocking_reason = blocking_reason
        self._report_missing_topic = on_missing_topic
        self._client = client
        self._waiting: queue.SimpleQueue[_Publication | None] = queue.SimpleQueue()
        """Given, and not looked at by the thread yet. None only wakes the thread."""
        self._publications: set[_Publication] = set()
        """Those with open dead letters."""
        self._fatal: KafkaError | None = None
        """After this error the client must be replaced."""
        self._closing = threading.Event()
        self._deadline = 0.0
        """Once it is closing: when to give up what is open."""
        # Not on the thread, so that a wrong property is an error when the bridge starts.
        with properties_checked():
            self._producer: Producer | None = self._create_client()
        self._thread = threading.Thread(target=self._run, name="dead-letters", daemon=True)
        self._thread.start()

    def publish(self, ticket: object, letters: Sequence[DeadLetter]) -> None:
        publication = _Publication(ticket, letters)
        if self._closing.is_set():
            publication.fail_open("the producer of dead letters is closed")
            self._completions.put(ticket, publication.result())
        else:
            self._waiting.put(publication)

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for acknowledgements; what is open then fails. May be called twice."""
        self._deadline = time.monotonic() + timeout_s
        self._closing.set()
        self._waiting.put(None)
        self._thread.join(timeout_s + _THREAD_END_S)

    # -- the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            self._start_next(_BUSY_S if self._publications else _IDLE_S)
            self._poll(0)
        while time.monotonic() < self._deadline and (self._publications or not self._waiting.empty()):
            self._start_next(0)
            self._poll(0.01)
        while not self._waiting.empty():
            if publication := self._waiting.get():
                self._publications.add(publication)
        self._fail_all("closed before the broker acknowledged it")

    def _start_next(self, timeout_s: float) -> None:
        try:
            publication = self._waiting.get(timeout=timeout_s) if timeout_s else self._waiting.get_nowait()
        except queue.Empty:
            return
        if publication is not None:
            self._start(publication)

    def _start(self, publication: _Publication) -> None:
        self._publications.add(publication)
        if not publication.letters:
            self._complete(publication)
        for index, letter in enumerate(publication.letters):
            try:
                if (reason := self._blocking_reason(letter)) is not None:
                    raise KafkaException(KafkaError(WITHHELD, reason))
                self._produce(publication, index, letter)
            except KafkaException as problem:
                self._settle(publication, index, problem.args[0])
            except Exception as problem:  # a dead letter that can't be built must not end the thread
                text = f"{type(problem).__name__}: {problem}"
                self._settle(publication, index, KafkaError(KafkaError._FAIL, text))

    def _produce(self, publication: _Publication, index: int, letter: DeadLetter) -> None:
        """Hand a dead letter to the client; wait while the client's queue is full."""
        headers = cast("Any", dead_letter_headers(letter))
        on_delivery = partial(self._on_delivery, publication, index)
        # While this waits, the client may be replaced, and the dead letter has failed with it.
        while publication.is_open(index):
            if self._producer is None:
                self._producer = self._create_client()
            try:
                self._producer.produce(
                    letter.topic,
                    letter.record.value(),
                    letter.record.key(),
                    headers=headers,
                    on_delivery=on_delivery,
                )
            except BufferError:
                self._poll(0.1)
                if self._closing.is_set() and time.monotonic() > self._deadline:
                    text = "closed while the producer's queue was full"
                    raise KafkaException(KafkaError(KafkaError._QUEUE_FULL, text)) from None
            else:
                return

    def _poll(self, timeout_s: float) -> None:
        """Run the client's callbacks; replace the client if one of them has reported a fatal error."""
        if self._producer is None:
            return
        self._producer.poll(timeout_s)
        if self._fatal is None:
            return
        error, self._fatal = self._fatal, None
        producer, self._producer = self._producer, None
        with contextlib.suppress(KafkaException):
            producer.purge()
            producer.poll(0)
        self._fail_all(f"the producer can't go on and is created anew: {error.name()}: {error.str()}")

    def _create_client(self) -> Producer:
        return self._client({**self._config, "error_cb": self._on_error})

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._fatal = error
        self._report_error(error)

    def _on_delivery(
        self, publication: _Publication, index: int, error: KafkaError | None, _: Message
    ) -> None:
        self._settle(publication, index, error)

    def _settle(self, publication: _Publication, index: int, error: KafkaError | None) -> None:
        """One dead letter is acknowledged, or has failed."""
        if not publication.is_open(index):  # it has failed already, when a client was replaced
            return
        if error is None:
            publication.acknowledge(index)
        else:
            letter = publication.letters[index]
            publication.fail(index, describe_failure(letter, error))
            if error.code() in MISSING_TOPIC:
                self._report_missing_topic(letter.record.topic())
            if error.fatal() or error.code() == KafkaError._FATAL:
                self._fatal = self._fatal or error
        if publication.is_complete:
            self._complete(publication)

    def _fail_all(self, reason: str) -> None:
        for publication in list(self._publications):
            publication.fail_open(reason)
            self._complete(publication)

    def _complete(self, publication: _Publication) -> None:
        self._publications.discard(publication)
        self._completions.put(publication.ticket, publication.result())
