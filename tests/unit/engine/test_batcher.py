"""Batches: never over a limit, nothing lost, order kept, and memory given back exactly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codec.request import FRAME_BYTES, body
from bridge.engine.batch import Batch, Key
from bridge.engine.batcher import Batcher
from bridge.engine.offsets import Lane
from bridge.model import Reason, Refusal
from tests.support.engine_values import lane, record

KEY = Key("inlet", "ds")
BAD = Refusal(Reason.NOT_JSON, "no")


def batcher(max_bytes: int = 1000, max_messages: int = 10, linger_s: float = 1.0) -> Batcher:
    return Batcher(max_bytes=lambda _: max_bytes, max_messages=lambda _: max_messages, linger_s=linger_s)


def add(
    batches: Batcher, lane: Lane, pieces: list[bytes], key: Key = KEY, now: float = 0.0, first: int = 0
) -> list[tuple[Batch, int, bool]]:
    records = [record(first + at, piece, lane.source) for at, piece in enumerate(pieces)]
    return [(batch, at, full) for batch, at, full, _ in batches.add(key, lane, records, pieces, 100.0, now)]


def test_a_full_count_closes_a_batch() -> None:
    """The tenth of ten messages fills it; the next ones open another."""
    taken = add(batcher(), lane(), [b"{}"] * 25)

    assert [(len(batch.pieces), at, full) for batch, at, full in taken] == [
        (10, 0, True),
        (10, 10, True),
        (5, 20, False),
    ]


@pytest.mark.parametrize(("room", "sizes"), [(0, [2, 1]), (-1, [1, 1, 1]), (1, [2, 1])])
def test_the_limit_is_that_of_the_whole_body(room: int, sizes: list[int]) -> None:
    """Two messages that make a body of exactly the limit go together; with one byte less they don't."""
    pieces = [b"x" * 20] * 3
    taken = add(batcher(max_bytes=len(body(pieces[:2])) + room), lane(), pieces)

    assert sizes == [len(batch.pieces) for batch, _, _ in taken]
    assert all(len(body(batch.pieces)) == batch.size for batch, _, _ in taken)


def test_a_first_record_always_fits() -> None:
    """A limit that sank below a record's size wedges nothing: it goes alone."""
    home = lane()
    taken = add(batcher(max_bytes=50), home, [b"x" * 200, b"y" * 200, b"z"])

    assert [batch.pieces for batch, _, _ in taken] == [[b"x" * 200], [b"y" * 200], [b"z"]]
    assert [full for _, _, full in taken] == [True, True, False]


def test_a_full_batch_that_took_nothing_says_so() -> None:
    """The caller dispatches it, and enters nothing into the offsets."""
    batches, home = batcher(max_bytes=FRAME_BYTES + 10), lane()
    add(batches, home, [b"x" * 8])
    taken = add(batches, home, [b"y" * 8], first=1)

    assert [(at, full) for _, at, full in taken] == [(-1, True), (0, False)]


def test_the_limit_is_asked_for_each_time() -> None:
    """A limit learned from 413 holds for batches that are open already."""
    limit = [1000]
    batches = Batcher(max_bytes=lambda _: limit[0], max_messages=lambda _: 100, linger_s=1.0)
    home = lane()
    add(batches, home, [b"x" * 100] * 3)
    limit[0] = 350
    taken = add(batches, home, [b"x" * 100] * 4, first=3)

    assert [len(batch.pieces) for batch, _, _ in taken] == [3, 3, 1]


def test_the_number_is_asked_for_each_time() -> None:
    """One that sank with the rate closes an open batch that has more already, and holds for the next ones."""
    most = {"inlet": 100, "other": 100}
    batches = Batcher(max_bytes=lambda _: 1000, max_messages=most.__getitem__, linger_s=1.0)
    home = lane()
    add(batches, home, [b"1"] * 5)
    most["inlet"] = 3
    taken = add(batches, home, [b"2"] * 4, first=5)
    others = add(batches, home, [b"3"] * 9, Key("other", "ds"))

    assert [(len(batch.pieces), at, full) for batch, at, full in taken] == [
        (5, -1, True),
        (3, 0, True),
        (1, 3, False),
    ]
    assert [(len(batch.pieces), full) for batch, _, full in others] == [(9, False)]


def test_a_batch_is_due_after_its_linger() -> None:
    """Measured from its first record."""
    batches = batcher()
    add(batches, lane(), [b"{}"], now=5.0)
    add(batches, lane(), [b"{}"], now=5.9, first=1)

    add(batches, lane(), [b"{}"], Key("inlet", "other"), now=5.5)

    assert batches.next_due() == 6.0
    assert batches.due(5.99) == []
    assert [len(batch.records) for batch in batches.due(6.0)] == [2]
    assert batches.next_due() == 6.5
    assert [len(batch.records) for batch in batches.due(6.5)] == [1]
    assert batches.next_due() == float("inf")


def test_a_due_batch_of_a_busy_inlet_grows_on_but_refused_records_do_not_wait() -> None:
    """What needs no request does not wait for a request's turn."""
    batches = batcher()
    home = lane()
    add(batches, home, [b"{}"])
    batches.refuse(Key("inlet", "ds", None, "route"), home, record(1), BAD, 10, 0.0)

    assert [batch.refusals for batch in batches.due(9.0, {"inlet"})] == [[BAD]]
    assert [batch.refusals for batch in batches.due(9.0)] == [None]


def test_with_order_a_change_of_dataset_closes_the_batch_before() -> None:
    """The batches of a lane come in the order of its records."""
    batches, home = batcher(), lane()
    first, second = Key("inlet", "d1", home), Key("inlet", "d2", home)
    add(batches, home, [b"1"], first)
    taken = add(batches, home, [b"2"], second, first=1)

    assert [(batch.key.dataset, at, full) for batch, at, full in taken] == [
        ("d1", -1, True),
        ("d2", 0, False),
    ]

    taken = add(batches, home, [b"3"], first, first=2)

    assert [(batch.key.dataset, at, full) for batch, at, full in taken] == [
        ("d2", -1, True),
        ("d1", 0, False),
    ]


def test_refused_records_make_batches_of_their_own() -> None:
    """Full by count, or by a megabyte of memory."""
    batches, home = batcher(max_messages=2), lane()
    key = Key("inlet", "ds", None, "route")

    assert [batches.refuse(key, home, record(at), BAD, 10, 0.0)[1] for at in range(2)] == [False, True]
    batch, full = batches.refuse(key, home, record(3), BAD, 1_000_000, 0.0)
    assert full
    assert batch.weight == 1_000_000


def test_an_open_batch_can_be_taken_out_once() -> None:
    """For an operator's order about one of its records."""
    batches = batcher()
    [(batch, _, _)] = add(batches, lane(), [b"{}"])

    assert batches.take(batch)
    assert not batches.take(batch)
    assert list(batches.open_batches()) == []


# -- any history ------------------------------------------------------------------------

ADD = st.tuples(
    st.just("add"), st.integers(0, 2), st.integers(0, 1), st.lists(st.integers(1, 400), max_size=12)
)
OPS = st.lists(
    st.one_of(
        ADD,
        ADD,
        st.tuples(st.just("refuse"), st.integers(0, 2), st.integers(1, 500)),
        st.tuples(st.just("due"), st.booleans()),
        st.tuples(st.just("drop"), st.integers(0, 2)),
        st.tuples(st.just("limit"), st.integers(50, 1000)),
    ),
    max_size=30,
)


@settings(max_examples=300)
@given(OPS, st.integers(1, 8), st.booleans())
def test_nothing_is_lost_and_memory_sums_back_to_zero(
    ops: list[tuple[Any, ...]], max_messages: int, ordered: bool
) -> None:
    """Every record is in one batch, in order and within the limits. A drop gives back exactly the memory that
    the records of its lanes hold, wrappers of entities included.
    """
    limit, most = [700], [max_messages]
    batches = Batcher(max_bytes=lambda _: limit[0], max_messages=lambda _: most[0], linger_s=1.0)
    lanes = [lane("t", at) for at in range(3)]
    read: dict[Lane, list[int]] = {each: [] for each in lanes}
    dispatched: list[Batch] = []
    used, offset, largest = 0.0, 0, 700

    def dispatch(batch: Batch) -> None:
        nonlocal used
        used -= batch.weight
        dispatched.append(batch)

    for now, op in enumerate(ops):
        match op:
            case ("add", at, dataset, sizes):
                home = lanes[at]
                records = [
                    record(offset + number, b"x" * (size // 2), home.source)
                    for number, size in enumerate(sizes)
                ]
                pieces = [b"x" * size for size in sizes]  # a wrapped entity: longer than its value
                read[home] += [each.offset() for each in records]
                offset += len(sizes)
                took = []
                added = 0.0
                for batch, first, full, weight in batches.add(
                    Key("inlet", f"d{dataset}", home if ordered else None),
                    home,
                    records,
                    pieces,
                    37.5,
                    float(now),
                ):
                    used += weight
                    added += weight
                    if first >= 0:
                        took.append(first)
                        assert batch.records[-1].offset() >= records[first].offset()
                    if full:
                        dispatch(batch)
                assert added == pytest.approx(sum(sizes) + 37.5 * len(sizes), abs=1e-6)
                assert took == sorted(set(took))
            case ("refuse", at, weight):
                used += weight
                read[lanes[at]].append(offset)
                batch, full = batches.refuse(
                    Key("inlet", None, None, "r"),
                    lanes[at],
                    record(offset, b"", lanes[at].source),
                    BAD,
                    weight,
                    float(now),
                )
                offset += 1
                if full:
                    dispatch(batch)
            case ("due", everything):
                for batch in batches.due(float("inf") if everything else float(now)):
                    dispatch(batch)
            case ("drop", at):
                used -= sum(batches.drop([lanes[at]]).values())
                lanes[at] = lane("t", at)  # assigned again; what was dispatched before is known already
                read[lanes[at]] = sorted(
                    each.offset() for batch in dispatched for each in batch.records if each.partition() == at
                )
            case ("limit", size):
                limit[0], most[0] = size, 1 + size % max_messages
                largest = max(largest, size)
        for batch in batches.open_batches():
            assert batch.records
    for batch in batches.due(float("inf")):
        dispatch(batch)

    assert used == pytest.approx(0.0, abs=1e-6)
    for batch in dispatched:
        assert len(batch.records) <= max_messages
        assert sum(batch.lanes.values()) == len(batch.records)
        if batch.refusals is None:
            assert len(batch.pieces) == len(batch.records)
            assert len(body(batch.pieces)) == batch.size
            assert batch.size <= largest or len(batch.pieces) == 1
            assert [len(each.value() or b"") for each in batch.records] == [
                len(piece) // 2 for piece in batch.pieces
            ]
        else:
            assert len(batch.refusals) == len(batch.records)
    for home in lanes:
        sent = [
            each.offset()
            for batch in dispatched
            for each in batch.records
            if each.partition() == home.source.partition
        ]
        assert sorted(sent) == sorted(read[home])
        assert len(sent) == len(set(sent))
        if ordered:
            posted = [
                each.offset()
                for b in dispatched
                if b.refusals is None
                for each in b.records
                if each.partition() == home.source.partition
            ]
            assert posted == sorted(posted)
        for key in {batch.key for batch in dispatched}:
            same = [
                each.offset()
                for b in dispatched
                if b.key == key
                for each in b.records
                if each.partition() == home.source.partition
            ]
            assert same == sorted(same)
