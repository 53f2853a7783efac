"""Values that tests of the engine start from: records, slices, lanes, inlets, messages and batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from bridge.codec.request import body_size
from bridge.engine.batch import Batch, Key
from bridge.engine.inlet import Inlet, Policy
from bridge.engine.offsets import Lane
from bridge.model import (
    Refusal,
    Slice,
    TopicPartition,
)
from tests.support.memory import MemoryRecord

SOURCE, SOURCE_1 = TopicPartition("t", 0), TopicPartition("t", 1)
"""The partitions that most tests use."""


def record(offset: int, value: bytes | None = b"{}", source: TopicPartition = SOURCE) -> MemoryRecord:
    """Return a record, as the client would hand it over."""
    return MemoryRecord(source, offset, value, b"key-%d" % offset, [("h", b"1")])


def lane(topic: str = "t", partition: int = 0) -> Lane:
    """Return a lane that was just assigned."""
    return Lane(TopicPartition(topic, partition), 0.0)


def inlet(name: str = "inlet", seed: int = 1, **policy: Any) -> Inlet:
    """Return an inlet whose jitter has this seed."""
    return Inlet(name, f"{name}-id", Policy(**policy), Random(seed))


def batch(
    pieces: Sequence[bytes],
    lanes: Sequence[Lane] | None = None,
    *,
    name: str = "b-1",
    dataset: str | None = "ds",
    first: int = 0,
) -> Batch:
    """Return a batch ready to be sent. Its records go to the lanes in turn; their values are the pieces."""
    lanes = lanes or [lane()]
    records = [record(first + at, piece, lanes[at % len(lanes)].source) for at, piece in enumerate(pieces)]
    counts: dict[Lane, int] = {}
    for at in range(len(pieces)):
        counts[lanes[at % len(lanes)]] = counts.get(lanes[at % len(lanes)], 0) + 1
    return Batch(
        name,
        Key("inlet", dataset),
        0.0,
        records=list(records),
        pieces=list(pieces),
        lanes=counts,
        size=body_size(pieces),
    )


def refused_batch(
    refusals: Sequence[Refusal], home: Lane | None = None, *, name: str = "b-1", route: str = "t"
) -> Batch:
    """Return a batch of records that were refused before sending."""
    home = home or lane()
    records = [record(at, b"x", home.source) for at in range(len(refusals))]
    return Batch(
        name,
        Key("inlet", "ds", None, route),
        0.0,
        refusals=list(refusals),
        records=list(records),
        lanes={home: len(records)},
        size=0,
    )


def pieces(number: int, bad: Iterable[int] = (), name: str = "") -> list[bytes]:
    """Return messages that a scripted AEP can tell apart; those at the indexes `bad` are bad ones."""
    wrong = set(bad)
    return [
        b'{"%s":"%s%d"}' % (b"bad" if at in wrong else b"good", name.encode(), at) for at in range(number)
    ]


def record_slice(
    start: int,
    values: Sequence[bytes | None],
    source: TopicPartition = SOURCE,
    *,
    next_offset: int | None = None,
) -> Slice:
    """Return a slice of consecutive offsets."""
    records = [record(start + at, value, source) for at, value in enumerate(values)]
    return Slice(
        source,
        records,
        list(values),
        start + len(values) if next_offset is None else next_offset,
        sum(len(value or b"") + 600 for value in values),
    )
