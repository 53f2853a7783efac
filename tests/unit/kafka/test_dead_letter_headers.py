"""The headers of a dead letter."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bridge.kafka.dead_letter_headers import ERROR_BYTES, dead_letter_headers, truncate
from bridge.model import DeadLetter, Headers, Reason, Refusal, TopicPartition
from tests.support.memory import MemoryRecord

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def letter(
    headers: Headers | None = None,
    *,
    offset: int = 7,
    error: str = "no such field",
    status: int | None = 400,
    extra: Headers = (),
) -> DeadLetter:
    record = MemoryRecord(TopicPartition("events", 3), offset, b"{}", b"k", headers, (1, 1234))
    return DeadLetter(
        record, "events.dlq", Refusal(Reason.REFUSED, error, status, 2, extra), "b-1", "in-1", "ds-1"
    )


def test_the_headers_of_a_first_failure() -> None:
    """Kafka Connect's names and the bridge's say where the record came from and why it failed. Tools rely
    on them.
    """
    assert dict(dead_letter_headers(letter(), NOW)) == {
        "__connect.errors.topic": b"events",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"7",
        "__connect.errors.connector.name": b"aep-bridge",
        "__connect.errors.stage": b"TASK_PUT",
        "__connect.errors.exception.class.name": b"bridge.DeadLetter.refused",
        "__connect.errors.exception.message": b"no such field",
        "aep.source.timestamp": b"1234",
        "aep.source.timestamp.type": b"CreateTime",
        "aep.status": b"400",
        "aep.error": b"no such field",
        "aep.reason": b"refused",
        "aep.batch.id": b"b-1",
        "aep.inlet.id": b"in-1",
        "aep.dataset.id": b"ds-1",
        "aep.attempts": b"2",
        "aep.failed.at": b"2026-03-01T12:00:00.000Z",
        "aep.replay.count": b"0",
    }


def test_the_records_own_headers_come_first_and_unchanged() -> None:
    """Their order, repeats, nulls and bytes that are no text stay. The extra headers come last."""
    own = [("b", b"\xff"), ("a", None), ("b", b"")]

    headers = dead_letter_headers(letter(own, extra=[("aep.skipped.by", b"ops")]), NOW)

    assert headers[:3] == own
    assert headers[-1] == ("aep.skipped.by", b"ops")


def test_a_replayed_record_keeps_the_coordinates_of_its_first_time() -> None:
    """They lead back to the record. Error, status and time are appended, so that the last ones are the
    current ones.
    """
    first = dead_letter_headers(letter(), NOW)

    second = dead_letter_headers(letter(first, offset=99, error="still wrong", status=None), NOW)

    assert second[: len(first)] == first
    assert [value for name, value in second if name == "__connect.errors.offset"] == [b"7"]
    assert [value for name, value in second if name == "aep.error"] == [b"no such field", b"still wrong"]
    assert dict(second)["aep.status"] == b""
    assert dict(second)["aep.replay.count"] == b"1"


def test_a_record_that_claims_to_come_from_another_topic_gets_coordinates_of_its_own() -> None:
    """Any producer can write these headers; a replay must never follow them to another topic."""
    claims = [
        ("__connect.errors.topic", b"payroll"),
        ("__connect.errors.partition", b"0"),
        ("__connect.errors.offset", b"1"),
        ("aep.replay.count", b"0"),
    ]

    headers = dict(dead_letter_headers(letter(claims), NOW))

    assert headers["__connect.errors.topic"] == b"events"
    assert headers["aep.replay.count"] == b"0"


@given(st.text(max_size=9000))
def test_an_error_is_truncated_between_two_characters(text: str) -> None:
    """At most 8 KiB, so that the dead letter fits into its topic; half a character would be no UTF-8."""
    whole = text.encode("utf-8", "replace")

    short = truncate(text)

    assert len(short) <= ERROR_BYTES
    assert whole.startswith(short)
    short.decode()
