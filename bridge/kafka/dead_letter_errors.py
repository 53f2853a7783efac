"""Describe why a dead letter could not be published, and what an operator has to do about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaError

from bridge.model import DeadLetter

WITHHELD = KafkaError._STATE
"""The code of the error with which a dead letter fails that the bridge itself does not publish."""

MISSING_TOPIC = frozenset({
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,  # the client knows the topic, and it has been deleted
})  # fmt: skip
"""The codes of the errors that mean that the dead-letter topic does not exist."""

_FEWER_REPLICAS = "fewer replicas are in sync than min.insync.replicas of this topic"
_ADVICE: Mapping[int, str] = {
    **dict.fromkeys(
        MISSING_TOPIC,
        "the topic does not exist: create it, or set dead_letter.create_topics and allow CREATE",
    ),
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the principal needs the ACL WRITE (and DESCRIBE) on this topic",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the principal needs the ACL IDEMPOTENT_WRITE on the cluster",
    KafkaError.NOT_ENOUGH_REPLICAS: _FEWER_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: _FEWER_REPLICAS,
    KafkaError.INVALID_RECORD: (
        "the topic refuses the record: is its cleanup.policy compact, and does the record have no key?"
    ),
    KafkaError._MSG_TIMED_OUT: (
        "no acknowledgement came within message.timeout.ms: "
        "are the brokers up, and min.insync.replicas of this topic in sync?"
    ),
}


def describe_failure(letter: DeadLetter, error: KafkaError) -> str:
    """Return one line: the record, the dead-letter topic, the error, and the setting or ACL to look at."""
    record = letter.record
    origin = f"{record.topic()}/{record.partition()}@{record.offset()}"
    text = error.str() if error.code() == WITHHELD else f"{error.name()}: {error.str()}"
    advice = _advice(letter, error)
    return f"{origin} to {letter.topic}: {text}" + (f"; {advice}" if advice else "")


def _advice(letter: DeadLetter, error: KafkaError) -> str:
    if error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
        return _ADVICE.get(error.code(), "")
    size = len(letter.record.value() or b"") + len(letter.record.key() or b"")
    return (
        f"its {size} bytes and its headers need a larger max.message.bytes on the topic "
        "(and message.max.bytes, if it is set in kafka.properties)"
    )
