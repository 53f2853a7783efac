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
    """Connect's names and ours say where it came from and why it failed."""
    found = dict(dead_letter_headers(letter(), NOW))

    assert {
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
    } == found


def test_the_records_own_headers_come_first_and_untouched() -> None:
    """Order, repeats, nulls and bytes that are no text stay; extra headers come last."""
    own = [("b", b"\xff"), ("a", None), ("b", b"")]

    found = dead_letter_headers(letter(own, extra=[("aep.skipped.by", b"ops")]), NOW)

    assert own == found[:3]
    assert ("aep.skipped.by", b"ops") == found[-1]


def test_a_replayed_record_keeps_the_coordinates_of_its_first_time() -> None:
    """Source coordinates once; error, status and time appended, the last is the current; the count goes up."""
    first = dead_letter_headers(letter(), NOW)

    second = dead_letter_headers(letter(first, offset=99, error="still wrong", status=None), NOW)

    assert first == second[: len(first)]
    assert [b"7"] == [value for name, value in second if name == "__connect.errors.offset"]
    assert [b"no such field", b"still wrong"] == [value for name, value in second if name == "aep.error"]
    assert dict(second)["aep.status"] == b""
    assert dict(second)["aep.replay.count"] == b"1"


@given(st.text(max_size=9000))
def test_an_error_is_cut_between_two_characters(text: str) -> None:
    """At most 8 KiB, valid UTF-8, a beginning of the text."""
    whole = text.encode("utf-8", "replace")

    short = truncate(text)

    assert len(short) <= ERROR_BYTES
    assert whole.startswith(short)
    short.decode()
