"""Turn the client's messages into slices: the records of each partition, in offset order, and its end.

This is the hot path of reading. Lists of messages go through functions that are written in C (`map`, `count`,
`compress`); no Python statement runs for a single record, except for one with headers.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from itertools import compress, count, islice, pairwise
from operator import ne
from typing import cast

from confluent_kafka import KafkaError, Message

from bridge.kafka.header_repair import UNREADABLE_ERRORS, rename_unreadable_headers
from bridge.kafka.positions import partition_of
from bridge.model import Record, Slice, TopicPartition

RECORD_OBJECT_BYTES = 600
"""Memory of one record beside its own bytes: the client's message, its Python object, header tuples."""

COUNTED_RUNS = 8
"""Runs of one partition that are looked for by counting. Each costs one pass through the messages left."""

_TOPIC, _PARTITION, _ERROR = Message.topic, Message.partition, Message.error
_KEY, _VALUE, _HEADERS = Message.key, Message.value, Message.headers
_END_OF_PARTITION = KafkaError._PARTITION_EOF


def slices_of(
    messages: list[Message],
    assigned: Container[TopicPartition],
    *,
    on_error: Callable[[KafkaError], None],
    on_headers_renamed: Callable[[TopicPartition, Sequence[int]], None],
) -> list[Slice]:
    """Return one slice for each assigned partition that has records or an end among the messages.

    An error message that is not the end of a partition goes to `on_error`. `on_headers_renamed` gets the
    offsets of the records whose headers had to be repaired.
    """
    ends: dict[TopicPartition, int] = {}
    if any(map(_ERROR, messages)):
        messages, ends = _take_out_errors(messages, on_error)
    slices = []
    for (topic, number), records in _group_by_partition(messages).items():
        partition = TopicPartition(cast("str", topic), cast("int", number))
        if partition in assigned:
            next_offset = max(cast("int", records[-1].offset()) + 1, ends.pop(partition, 0))
            slices.append(_slice(partition, records, next_offset, on_headers_renamed))
    slices += [Slice(partition, (), (), end, 0) for partition, end in ends.items() if partition in assigned]
    return slices


def _slice(
    partition: TopicPartition,
    records: list[Message],
    next_offset: int,
    on_headers_renamed: Callable[[TopicPartition, Sequence[int]], None],
) -> Slice:
    try:
        overhead = _overhead_bytes(records)
    except UNREADABLE_ERRORS:
        # One record must not end the process: it would be read again after every restart.
        on_headers_renamed(partition, rename_unreadable_headers(records))
        overhead = _overhead_bytes(records)
    return Slice(partition, cast("list[Record]", records), list(map(_VALUE, records)), next_offset, overhead)


def _take_out_errors(
    messages: list[Message], on_error: Callable[[KafkaError], None]
) -> tuple[list[Message], dict[TopicPartition, int]]:
    """Return the messages that are records, and the offset of each partition's end."""
    records: list[Message] = []
    ends: dict[TopicPartition, int] = {}
    for message in messages:
        error = message.error()
        if error is None:
            records.append(message)
            if ends:
                # An end that comes before a record is out of date: the topic may have been created anew.
                ends.pop(partition_of(message), None)
        elif error.code() == _END_OF_PARTITION:
            ends[partition_of(message)] = cast("int", message.offset())
        else:
            on_error(error)
    return records, ends


def _group_by_partition(messages: list[Message]) -> dict[tuple[str | None, int | None], list[Message]]:
    """Return the messages of each partition, in the order in which they came."""
    topics, partitions = list(map(_TOPIC, messages)), list(map(_PARTITION, messages))
    starts = sorted({0, len(messages), *_changes(topics), *_changes(partitions)})
    groups: dict[tuple[str | None, int | None], list[Message]] = {}
    for start, stop in pairwise(starts):
        key, run = (topics[start], partitions[start]), messages[start:stop]
        if key in groups:
            groups[key] += run
        else:
            groups[key] = run
    return groups


def _changes(items: Sequence[object]) -> Iterator[int]:
    """Yield the indexes at which an item differs from the one before it.

    The messages of one read come out of few fetch responses, so they form a few long runs. Counting finds a
    run without comparing its items in pairs. Where an item comes again after its run, counting does not
    work: from there on, and after `COUNTED_RUNS` runs, neighbours are compared.
    """
    start = 0
    for _ in range(COUNTED_RUNS):
        if start == len(items) or (equal := items.count(items[start])) == len(items) - start:
            return
        if items[start : start + equal].count(items[start]) < equal:
            break
        yield (start := start + equal)
    yield from compress(count(1), map(ne, items, islice(items, 1, None)))


def _overhead_bytes(records: list[Message]) -> int:
    """Return the bytes that the records hold beside their values: keys, headers and objects."""
    size = len(records) * RECORD_OBJECT_BYTES + sum(map(len, filter(None, map(_KEY, records))))
    for headers in filter(None, map(_HEADERS, records)):
        parts = cast("list[tuple[str, bytes | None]]", headers)
        size += sum(len(name) + len(value or b"") for name, value in parts)
    return size
