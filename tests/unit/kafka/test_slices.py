"""Messages to slices."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, Message
from hypothesis import given
from hypothesis import strategies as st

from bridge.kafka.slices import RECORD_OBJECT_BYTES, slices_of
from bridge.model import Slice, TopicPartition
from tests.support.messages import end_of_partition, message

A, B, OTHER_TOPIC = TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("u", 0)


def sliced(
    *messages: Message,
    assigned: Sequence[TopicPartition] = (A, B),
    errors: list[KafkaError] | None = None,
) -> list[Slice]:
    """The slices of messages whose headers need no repair."""
    renamed: list[object] = []
    slices = slices_of(
        list(messages),
        assigned,
        on_error=([] if errors is None else errors).append,
        on_headers_renamed=lambda *details: renamed.append(details),
    )
    assert renamed == []
    return slices


def offsets(part: Slice) -> list[int]:
    return [record.offset() for record in part.records]


def test_partitions_that_are_not_assigned_have_no_slice() -> None:
    """Their records belong to another member; so does what follows from where they end."""
    assert sliced(message(A, 7), end_of_partition(B, 9), assigned=[]) == []


def test_interleaved_partitions_keep_their_order_and_ends() -> None:
    """One slice for each partition; an end behind the records moves next_offset past control records."""
    slices = sliced(message(A, 1), message(B, 5), message(A, 2), end_of_partition(A, 6), message(B, 6))

    assert {part.partition: (offsets(part), part.next_offset) for part in slices} == {
        A: ([1, 2], 6),
        B: ([5, 6], 7),
    }


def test_an_end_without_records_is_an_empty_slice() -> None:
    """Otherwise the committed offset could not pass control records, and the lag would never be 0."""
    [part] = sliced(end_of_partition(A, 6))

    assert part == Slice(A, (), (), 6, 0)


def test_an_end_from_before_a_log_began_anew_does_not_move_the_next_offset() -> None:
    """Both may come out of one read. The offset of the old log would hide records of the new one."""
    [part] = sliced(end_of_partition(A, 103), message(A, 0), message(A, 1))

    assert part.next_offset == 2


def test_other_errors_are_reported_and_are_no_records() -> None:
    """The client delivers its errors between the records."""
    errors: list[KafkaError] = []

    [part] = sliced(message(A, 1), message(A, 0, KafkaError.TOPIC_AUTHORIZATION_FAILED), errors=errors)

    assert offsets(part) == [1]
    assert [error.code() for error in errors] == [KafkaError.TOPIC_AUTHORIZATION_FAILED]


def test_the_overhead_is_what_records_hold_beside_their_values() -> None:
    """The window of unsettled records is measured in bytes, and keys and headers count too."""
    [part] = sliced(
        message(A, 0, key=b"12345", value=b"v" * 1000),
        message(A, 1, value=None, headers=[("name", b"val"), ("x", None)]),
    )

    assert part.values == [b"v" * 1000, None]
    assert part.overhead == 2 * RECORD_OBJECT_BYTES + 5 + 4 + 3 + 1


RUNS = st.lists(
    st.tuples(st.sampled_from([A, B, OTHER_TOPIC, TopicPartition("u", 300)]), st.integers(1, 4)),
    min_size=1,
    max_size=12,
)
"""Partitions, each with the number of its records that come in a row."""


@given(RUNS)
def test_each_partition_gets_its_records_however_a_read_is_mixed(
    runs: list[tuple[TopicPartition, int]],
) -> None:
    """Topics change where partition numbers don't, and the other way round; runs are long or of one
    record.
    """
    order = [partition for partition, number in runs for _ in range(number)]
    messages = [message(partition, offset) for offset, partition in enumerate(order)]

    slices = sliced(*messages, assigned=order)

    expected: dict[TopicPartition, list[int]] = {}
    for offset, partition in enumerate(order):
        expected.setdefault(partition, []).append(offset)
    assert {part.partition: offsets(part) for part in slices} == expected
    assert len(slices) == len(expected)
