"""Publishing dead letters over a scripted client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from bridge.kafka.dead_letters import KafkaDeadLetterProducer
from bridge.model import DeadLetter, PublishResult, Reason, Refusal, TopicPartition
from tests.support.listener import QueuedCompletions
from tests.support.memory import MemoryRecord

LETTER = DeadLetter(
    MemoryRecord(TopicPartition("s", 0), 1, b"v"), "d", Refusal(Reason.REFUSED, "e"), "b", "i", None
)


class ScriptedClient:
    """Stands for confluent_kafka's `Producer`.

    `on_produce` decides what becomes of each dead letter: it raises, or returns the error of its delivery
    report, which comes with the next poll.
    """

    def __init__(
        self, config: dict[str, Any], on_produce: Callable[[ScriptedClient], KafkaError | None]
    ) -> None:
        self.config, self._on_produce = config, on_produce
        self._reports: list[tuple[Callable[[KafkaError | None, Any], None], KafkaError | None]] = []

    def produce(self, *_: object, on_delivery: Any, headers: Any) -> None:
        assert headers
        self._reports.append((on_delivery, self._on_produce(self)))

    def poll(self, _: float) -> int:
        reports, self._reports = self._reports, []
        for on_delivery, error in reports:
            on_delivery(error, None)
        return len(reports)

    def purge(self) -> None: ...


class ScriptedClients:
    """Creates the clients of one producer: each with the next script, and the last script for all further
    ones.
    """

    def __init__(self, *scripts: Callable[[ScriptedClient], KafkaError | None]) -> None:
        self._scripts = scripts
        self.created: list[ScriptedClient] = []

    def __call__(self, config: dict[str, Any]) -> Producer:
        script = self._scripts[min(len(self.created), len(self._scripts) - 1)]
        self.created.append(ScriptedClient(config, script))
        return self.created[-1]  # type: ignore[return-value]


def publish(clients: ScriptedClients, *publications: list[DeadLetter], **options: Any) -> list[PublishResult]:
    """Publish lists of dead letters, each after the result of the one before; return the results."""
    completions = QueuedCompletions()
    producer = KafkaDeadLetterProducer({}, completions, client=clients, **options)
    results = []
    for number, letters in enumerate(publications):
        producer.publish(number, letters)
        [(ticket, result)] = completions.take(10)
        assert ticket == number
        assert isinstance(result, PublishResult)
        results.append(result)
    producer.close(1)
    return results


def acknowledge(_: ScriptedClient) -> None:
    return None


def report_fatal_error(client: ScriptedClient) -> KafkaError | None:
    client.config["error_cb"](KafkaError(KafkaError._FATAL, "out of sequence", fatal=True))
    return KafkaError(KafkaError._PURGE_QUEUE)


def raise_fatal_error(_: ScriptedClient) -> KafkaError | None:
    raise KafkaException(KafkaError(KafkaError._FATAL, "fenced", fatal=True))


def test_a_full_queue_is_waited_for() -> None:
    """The client's BufferError is back-pressure: its queue empties while it is polled, and no dead letter
    fails.
    """
    tries: list[int] = []

    def full_at_times(_: ScriptedClient) -> None:
        tries.append(1)
        if len(tries) in (1, 2, 4):
            raise BufferError

    assert publish(ScriptedClients(full_at_times), [LETTER] * 2) == [PublishResult()]
    assert len(tries) == 5


def test_after_a_fatal_error_another_client_is_created() -> None:
    """A fatal error can't be cleared. What is open fails with the reason, and the engine publishes it
    again.
    """
    clients = ScriptedClients(report_fatal_error, acknowledge)

    first, second = publish(clients, [LETTER] * 2, [LETTER] * 2)

    assert first.failed == (0, 1)
    assert second == PublishResult()
    assert len(clients.created) == 2


def test_a_fatal_error_that_produce_raises_counts_too() -> None:
    """Every dead letter fails, each once, and the next client works."""
    clients = ScriptedClients(raise_fatal_error, acknowledge)

    first, second = publish(clients, [LETTER] * 2, [LETTER] * 2)

    assert first.failed == (0, 1)
    assert "fenced" in first.error
    assert second == PublishResult()
    assert len(clients.created) == 2


def test_acks_and_idempotence_are_enforced() -> None:
    """A dead letter counts as written once every in-sync replica has it, whatever the user's properties
    say.
    """
    clients = ScriptedClients(acknowledge)

    KafkaDeadLetterProducer({"acks": "0"}, QueuedCompletions(), client=clients).close(0)

    [client] = clients.created
    assert (client.config["acks"], client.config["enable.idempotence"]) == ("all", True)


def test_a_dead_letter_with_a_blocking_reason_fails_alone_with_that_reason() -> None:
    """Its topic would not keep it. The others of the list are published."""
    bad = DeadLetter(LETTER.record, "bad", LETTER.refusal, "b", "i", None)

    [result] = publish(
        ScriptedClients(acknowledge),
        [LETTER, bad, LETTER],
        blocking_reason=lambda letter: "bad is compacted" if letter.topic == "bad" else None,
    )

    assert result == PublishResult((1,), "s/0@1 to bad: bad is compacted")


def test_the_topics_of_records_whose_dead_letter_topic_is_missing_are_reported() -> None:
    """Somebody may have deleted it, and it can be created again. Other errors do not mean that."""
    missing: list[str] = []
    errors = [
        KafkaError(KafkaError._UNKNOWN_PARTITION),
        KafkaError(KafkaError.MSG_SIZE_TOO_LARGE),
        KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART),
        None,
    ]

    publish(ScriptedClients(lambda _: errors.pop()), [LETTER] * 4, on_missing_topic=missing.append)

    assert missing == ["s", "s"]


def test_a_dead_letter_that_cannot_be_built_fails_alone() -> None:
    """A fault in one record's headers must not end the thread: nothing would be published any more."""

    class Broken(MemoryRecord):
        def headers(self) -> None:
            raise ValueError("no headers here")

    broken = DeadLetter(Broken(TopicPartition("s", 0), 2, b"v"), "d", LETTER.refusal, "b", "i", None)
    clients = ScriptedClients(acknowledge)

    first, second = publish(clients, [broken, LETTER], [LETTER])

    assert first.failed == (0,)
    assert "s/0@2 to d" in first.error
    assert "no headers here" in first.error
    assert second == PublishResult()
