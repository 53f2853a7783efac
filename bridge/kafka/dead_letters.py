"""Dead letters are published here, and a letter is done when the broker acknowledged it: never dropped, never taken for granted."""

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
from bridge.kafka.dead_letter_headers import dead_letter_headers
from bridge.model import DeadLetter, PublishResult
from bridge.ports import Completions

_TOO_LARGE = KafkaError.MSG_SIZE_TOO_LARGE
_FATAL = KafkaError._FATAL
_WITHHELD = KafkaError._STATE
"""What a letter fails with that is not written."""
_NOT_THERE = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
"""The last one comes where a topic that was there is deleted."""
_ADVICE: Mapping[int, str] = {
    **dict.fromkeys(
        _NOT_THERE, "the topic does not exist: create it, or set dead_letter.create_topics and allow CREATE"
    ),
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the principal needs the ACL WRITE (and DESCRIBE) on this topic",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the principal needs the ACL IDEMPOTENT_WRITE on the cluster",
    KafkaError.NOT_ENOUGH_REPLICAS: "fewer replicas are in sync than min.insync.replicas",
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: "fewer replicas are in sync than min.insync.replicas",
    KafkaError.INVALID_RECORD: "the topic refuses the record: is its cleanup.policy compact, and the record without a key?",
    KafkaError._MSG_TIMED_OUT: "no acknowledgement within message.timeout.ms: are the brokers up, and min.insync.replicas of this topic in sync?",
}


def describe(letter: DeadLetter, error: KafkaError) -> str:
    """Which letter failed, where to, why, and which setting or ACL is to be looked at."""
    if error.code() == _TOO_LARGE:
        size = len(letter.record.value() or b"") + len(letter.record.key() or b"")
        advice = f"its {size} bytes and headers need a larger max.message.bytes on the topic (and message.max.bytes, if it was set in kafka.properties)"
    else:
        advice = _ADVICE.get(error.code(), "")
    record = letter.record
    told = error.str() if error.code() == _WITHHELD else f"{error.name()}: {error.str()}"
    return f"{record.topic()}/{record.partition()}@{record.offset()} to {letter.topic}: {told}" + (
        f"; {advice}" if advice else ""
    )


class _Job:
    """Letters published under one ticket: how many are open, and which failed."""

    __slots__ = ("error", "failed", "letters", "open", "ticket")

    def __init__(self, ticket: object, letters: Sequence[DeadLetter]) -> None:
        self.ticket, self.letters = ticket, letters
        self.open: set[int] = set(range(len(letters)))
        self.failed: list[int] = []
        self.error = ""


class KafkaDeadLetterProducer:
    """`ports.DeadLetters` over a producer that one thread of its own makes, feeds and polls.

    `properties` are librdkafka's. On that thread, `on_error` hears of every client error, and `on_missing_topic` of the source of a letter whose topic is not there;
    a letter for which `blocking_reason` has a reason fails with it, unwritten. None of these may raise. Made anew after a fatal error.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        completions: Completions,
        on_error: Callable[[KafkaError], None] | None = None,
        *,
        blocking_reason: Callable[[DeadLetter], str | None] = lambda _: None,
        on_missing_topic: Callable[[str], None] = lambda _: None,
        client: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        self._why_not, self._on_missing = blocking_reason, on_missing_topic
        self._config = PRODUCER.complete(properties)
        self._completions, self._hear, self._client = completions, on_error or (lambda _: None), client
        self._asked: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._jobs: set[_Job] = set()
        self._fatal: KafkaError | None = None
        self._stop = threading.Event()
        self._deadline = 0.0
        self._producer: Producer | None = self._new()  # here, so that a wrong property is an error at start
        self._thread = threading.Thread(target=self._run, name="dead-letters", daemon=True)
        self._thread.start()

    def publish(self, ticket: object, letters: Sequence[DeadLetter]) -> None:
        """Never blocks; `(ticket, Published)` arrives in the completions once each letter was acknowledged or refused."""
        if self._stop.is_set():
            self._completions.put(
                ticket, PublishResult(tuple(range(len(letters))), "dead letters are closed")
            )
            return
        self._asked.put(_Job(ticket, letters))

    def close(self, timeout_s: float) -> None:
        """Waits for what is open, at most `timeout_s` in all; what is still open then is reported as failed. Can be called twice."""
        self._deadline = time.monotonic() + timeout_s
        self._stop.set()
        self._asked.put(None)
        self._thread.join(timeout_s + 5)

    # The thread.

    def _run(self) -> None:
        while not self._stop.is_set():
            self._take(0.005 if self._jobs else 0.25)
            self._serve(0)
        while time.monotonic() < self._deadline and (self._jobs or not self._asked.empty()):
            self._take(0)
            self._serve(0.01)
        while not self._asked.empty():
            if job := self._asked.get():
                self._jobs.add(job)
        self._fail_all("closed before the broker acknowledged it")

    def _take(self, timeout_s: float) -> None:
        try:
            job = self._asked.get(timeout=timeout_s) if timeout_s else self._asked.get_nowait()
        except queue.Empty:
            return
        if job is not None:
            self._start(job)

    def _start(self, job: _Job) -> None:
        self._jobs.add(job)
        if not job.letters:
            self._settle(job)
        for index, letter in enumerate(job.letters):
            try:
                if (why := self._why_not(letter)) is not None:
                    raise KafkaException(KafkaError(_WITHHELD, why))
                self._produce(job, index, letter)
            except KafkaException as problem:
                self._done(job, index, problem.args[0])
            except Exception as problem:  # one letter that can't be put into words must not end the thread
                self._done(job, index, KafkaError(KafkaError._FAIL, f"{type(problem).__name__}: {problem}"))

    def _produce(self, job: _Job, index: int, letter: DeadLetter) -> None:
        headers = cast("Any", dead_letter_headers(letter))
        report = partial(self._delivered, job, index)
        while index in job.open:  # a producer given up meanwhile has failed it already
            if self._producer is None:
                self._producer = self._new()
            try:
                self._producer.produce(
                    letter.topic,
                    letter.record.value(),
                    letter.record.key(),
                    headers=headers,
                    on_delivery=report,
                )
            except BufferError:  # full: make room
                self._serve(0.1)
                if self._stop.is_set() and time.monotonic() > self._deadline:
                    raise KafkaException(
                        KafkaError(KafkaError._QUEUE_FULL, "closed while the producer's queue was full")
                    ) from None
            else:
                return

    def _serve(self, timeout_s: float) -> None:
        if self._producer is None:
            return
        self._producer.poll(timeout_s)
        if self._fatal is not None:
            reason, self._fatal = self._fatal, None
            producer, self._producer = self._producer, None
            with contextlib.suppress(KafkaException):
                producer.purge()
                producer.poll(0)
            self._fail_all(f"the producer can't go on and is made anew: {reason.name()}: {reason.str()}")

    def _new(self) -> Producer:
        return self._client({**self._config, "error_cb": self._on_error})

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == _FATAL:
            self._fatal = error
        self._hear(error)

    def _delivered(self, job: _Job, index: int, error: KafkaError | None, _: Message) -> None:
        self._done(job, index, error)

    def _done(self, job: _Job, index: int, error: KafkaError | None) -> None:
        if index not in job.open:  # reported already, when a producer was given up
            return
        job.open.discard(index)
        if error is not None:
            job.failed.append(index)
            job.error = job.error or describe(job.letters[index], error)
            if error.code() in _NOT_THERE:
                self._on_missing(job.letters[index].record.topic())
            if error.fatal() or error.code() == _FATAL:
                self._fatal = self._fatal or error
        if not job.open:
            self._settle(job)

    def _fail_all(self, reason: str) -> None:
        for job in list(self._jobs):
            job.failed.extend(sorted(job.open))
            job.open.clear()
            job.error = job.error or reason
            self._settle(job)

    def _settle(self, job: _Job) -> None:
        self._jobs.discard(job)
        self._completions.put(job.ticket, PublishResult(tuple(sorted(job.failed)), job.error))
