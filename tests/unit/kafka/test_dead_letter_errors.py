"""What an operator is told of a dead letter that was not taken."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from bridge.kafka.dead_letter_errors import MISSING_TOPIC, WITHHELD, describe_failure
from bridge.model import DeadLetter, Reason, Refusal, TopicPartition
from tests.support.memory import MemoryRecord

LETTER = DeadLetter(
    MemoryRecord(TopicPartition("s", 3), 7, b"v" * 90, b"k" * 10),
    "s.dlq",
    Refusal(Reason.REFUSED, "e"),
    "b",
    "i",
    None,
)


def described(code: int, text: str = "said the broker") -> str:
    return describe_failure(LETTER, KafkaError(code, text))


@pytest.mark.parametrize(
    ("code", "setting"),
    [
        *((code, "dead_letter.create_topics") for code in MISSING_TOPIC),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "ACL WRITE"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "ACL IDEMPOTENT_WRITE"),
        (KafkaError.NOT_ENOUGH_REPLICAS, "min.insync.replicas"),
        (KafkaError.INVALID_RECORD, "cleanup.policy"),
        (KafkaError._MSG_TIMED_OUT, "message.timeout.ms"),
        (KafkaError.MSG_SIZE_TOO_LARGE, "max.message.bytes"),
    ],
)
def test_a_failure_names_the_record_the_topic_and_what_to_look_at(code: int, setting: str) -> None:
    """Nothing is committed past this record until somebody has acted on the line."""
    text = described(code)

    assert text.startswith(f"s/3@7 to s.dlq: {KafkaError(code).name()}: said the broker; ")
    assert setting in text


def test_a_dead_letter_that_is_too_large_is_told_with_its_size() -> None:
    """The operator has to choose a larger limit."""
    assert "its 100 bytes and its headers" in described(KafkaError.MSG_SIZE_TOO_LARGE)


def test_an_error_without_advice_is_told_as_the_client_told_it() -> None:
    """No advice is better than a guess."""
    assert described(KafkaError._FAIL) == "s/3@7 to s.dlq: _FAIL: said the broker"


def test_what_the_bridge_withheld_is_told_without_an_error_code() -> None:
    """The code is not the broker's, and would mislead."""
    assert described(WITHHELD, "s.dlq is compacted") == "s/3@7 to s.dlq: s.dlq is compacted"
