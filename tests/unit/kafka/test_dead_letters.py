"""Publishing dead letters over a producer that fails as told."""

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


class Scripted:
    """A producer: `act` is asked at each produce; reports go out at the next poll."""

    def __init__(self, config: dict[str, Any], act: Callable[[Scripted], KafkaError | None]) -> None:
        self.config, self.act = config, act
        self.reports: list[tuple[Callable[[KafkaError | None, Any], None], KafkaError | None]] = []

    def produce(self, *_: object, on_delivery: Any, headers: Any) -> None:
        assert headers
        self.reports.append((on_delivery, self.act(self)))

    def poll(self, _: float) -> int:
        reports, self.reports = self.reports, []
        for report, error in reports:
            report(error, None)
        return len(reports)

    def purge(self) -> None: ...


def run(*acts: Callable[[Scripted], KafkaError | None], letters: int = 2) -> tuple[list[PublishResult], int]:
    """Publishes once for each act (one act per producer that is made); gives the replies, and how many producers there were."""
    made: list[Scripted] = []

    def client(config: dict[str, Any]) -> Producer:
        made.append(Scripted(config, acts[min(len(made), len(acts) - 1)]))
        return made[-1]

    inbox = QueuedCompletions()
    dead = KafkaDeadLetterProducer({}, inbox, client=client)
    replies = []
    for number in range(len(acts)):
        dead.publish(number, [LETTER] * letters)
        [(ticket, reply)] = inbox.take(10)
        assert ticket == number
        assert isinstance(reply, PublishResult)
        replies.append(reply)
    dead.close(1)
    return replies, len(made)


def fatal(producer: Scripted) -> KafkaError | None:
    producer.config["error_cb"](KafkaError(KafkaError._FATAL, "out of sequence", fatal=True))
    return KafkaError(KafkaError._PURGE_QUEUE)


def raises_fatal(_: Scripted) -> KafkaError | None:
    raise KafkaException(KafkaError(KafkaError._FATAL, "fenced", fatal=True))


def test_a_full_queue_is_waited_for() -> None:
    """BufferError is back-pressure: poll and try again, nothing fails."""
    tries: list[int] = []

    def full_twice(_: Scripted) -> None:
        tries.append(1)
        if len(tries) in (1, 2, 4):
            raise BufferError

    assert run(full_twice) == ([PublishResult()], 1)
    assert len(tries) == 5


def test_after_a_fatal_error_the_producer_is_made_anew() -> None:
    """What was open fails with the reason; what comes next goes through another producer."""
    [first, second], producers = run(fatal, lambda _: None)

    assert first.failed == (0, 1)
    assert second == PublishResult()
    assert producers == 2


def test_a_fatal_error_out_of_produce_counts_too() -> None:
    """Every letter fails, each named once; the next producer works."""
    [first, second], producers = run(raises_fatal, lambda _: None)

    assert first.failed == (0, 1)
    assert "fenced" in first.error
    assert (second, producers) == (PublishResult(), 2)


def test_acks_and_idempotence_are_enforced() -> None:
    """The contract stands on them, whatever the properties say."""
    seen: list[dict[str, Any]] = []

    def client(config: dict[str, Any]) -> Producer:
        seen.append(config)
        return Scripted(config, lambda _: None)  # type: ignore[return-value]

    KafkaDeadLetterProducer({"acks": "0"}, QueuedCompletions(), client=client).close(0)

    assert (seen[0]["acks"], seen[0]["enable.idempotence"]) == ("all", True)


def test_a_letter_that_must_not_be_written_fails_alone_with_the_reason() -> None:
    """Its topic would not keep it; the others of the list are written."""
    inbox, made = QueuedCompletions(), []

    def client(config: dict[str, Any]) -> Producer:
        made.append(Scripted(config, lambda _: None))
        return made[-1]

    bad = DeadLetter(LETTER.record, "bad", LETTER.refusal, "b", "i", None)
    dead = KafkaDeadLetterProducer(
        {},
        inbox,
        blocking_reason=lambda letter: "bad is compacted" if letter.topic == "bad" else None,
        client=client,
    )
    dead.publish("t", [LETTER, bad, LETTER])
    [(_, reply)] = inbox.take(10)
    dead.close(1)

    assert PublishResult((1,), "s/0@1 to bad: bad is compacted") == reply


def test_whose_topic_is_missing_is_told() -> None:
    """By the source of the letter, for what Kafka does not find, and for nothing else."""
    inbox, missing = QueuedCompletions(), []
    errors = [
        KafkaError(KafkaError._UNKNOWN_PARTITION),
        KafkaError(KafkaError.MSG_SIZE_TOO_LARGE),
        KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART),
        None,
    ]
    scripted = Scripted({}, lambda _: errors.pop())
    dead = KafkaDeadLetterProducer({}, inbox, on_missing_topic=missing.append, client=lambda _: scripted)
    dead.publish("t", [LETTER] * 4)
    inbox.take(10)
    dead.close(1)

    assert ["s", "s"] == missing
