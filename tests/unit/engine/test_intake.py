"""Slices become messages of batches: datasets, tombstones, ends of partitions, offsets that go backwards."""

from __future__ import annotations

import pytest

from bridge.codec.routes import Route
from bridge.engine.events import PartitionRewound, RecordsSkipped
from bridge.model import Format, Reason, Slice, TopicPartition
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, SOURCE_1, pieces, record_slice
from tests.support.scripted_aep import never_answers


def test_datasets_in_turn_are_a_batch_each_and_hold_back_what_lies_between() -> None:
    """Batches hold two records: the first one of `a` is full before a record of `b` is taken. A batch that is
    accepted first stores no offset beyond the batches that are still open.
    """
    a, b = (b'{"header":{"datasetId":"%b"}}' % name for name in (b"a", b"b"))
    envelopes = Route("t", Format.ENVELOPE, "inlet", None)
    bench = (
        Bench(never_answers, max_messages=2, linger_s=0.0, routes=(envelopes,))
        .read(record_slice(0, [a, b, a, b, a, b]))
        .turn(9)
    )
    assert [tuple(request.pieces) for request in bench.sender.requests] == [(a, a), (b, b), (a,), (b,)]
    for at, stored in ((0, 1), (0, 4), (1, 4), (0, 6)):
        bench.sender.respond(at)
        bench.turn()
        assert bench.source.stored == {SOURCE: stored}


def test_with_order_datasets_in_turn_are_sent_in_turn() -> None:
    """A batch ends where the dataset changes."""
    a, b = (b'{"header":{"datasetId":"%b"}}' % name for name in (b"a", b"b"))
    bench = (
        Bench(ordered=True, routes=(Route("t", Format.ENVELOPE, "inlet", None),))
        .read(record_slice(0, [a, b, b, a]))
        .settle()
    )

    assert [tuple(request.pieces) for request in bench.sender.requests] == [(a,), (b, b), (a,)]
    assert bench.source.stored == {SOURCE: 4}


def test_tombstones_are_skipped_and_counted() -> None:
    """They settle by being read."""
    bench = Bench().read(record_slice(0, [None, None]))

    assert bench.source.stored == {SOURCE: 2}
    assert bench.events.of(RecordsSkipped) == [RecordsSkipped("t", Reason.TOMBSTONE, 2)]


def test_the_end_of_a_partition_is_stored() -> None:
    """Control records cost no lag."""
    bench = (
        Bench(linger_s=0.0).read(record_slice(0, pieces(1))).settle().read(record_slice(0, [], next_offset=3))
    )

    assert bench.source.stored == {SOURCE: 3}


def test_offsets_that_go_backwards_start_another_lane() -> None:
    """A topic created anew: what the old one left open counts for nothing."""
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(100, pieces(2))).turn()
    bench.read(record_slice(0, pieces(1))).turn()
    bench.sender.respond(0)
    bench.turn()

    assert bench.events.of(PartitionRewound) == [PartitionRewound(SOURCE, 102, 0, 2)]
    assert bench.source.stored == {SOURCE: 0}
    bench.sender.respond(0)
    bench.turn()
    assert bench.source.stored == {SOURCE: 1}


@pytest.mark.parametrize("ordered", [False, True])
def test_what_was_read_of_a_topic_that_is_created_anew_is_delivered_and_stored_nowhere(ordered: bool) -> None:
    """It can't be read again. A revoke of the new lane changes nothing for it, because no other member will
    ever read it.
    """
    old, new = pieces(3, name="old"), pieces(2, bad=[1], name="new")
    bench = Bench(linger_s=10.0, max_messages=2, ordered=ordered).read(record_slice(100, old))
    bench.read(record_slice(0, new)).turn()
    bench.source.feed.append(lambda: bench.engine.revoked([SOURCE]))
    bench.settle(120.0)

    assert bench.events.of(PartitionRewound) == [PartitionRewound(SOURCE, 103, 0, 3)]
    sent = [set(request.pieces) for request in bench.sender.requests]
    assert set(old) <= set.union(*sent)
    assert not any(batch & set(old) and batch & set(new) for batch in sent)
    assert all(offset <= 2 for _, offset in bench.source.history[1:]), bench.source.history
    assert bench.used == pytest.approx(0.0)
    assert bench.engine.view.is_idle


def test_a_refused_record_of_a_topic_that_is_created_anew_is_dead_lettered() -> None:
    """Whether AEP refuses it or it waits for company in an open batch of its kind."""
    bench = Bench(linger_s=10.0).read(record_slice(100, [b"not json", *pieces(2, bad=[1])]))
    bench.read(record_slice(0, [])).settle(120.0)

    assert {dead_letter.record.offset() for dead_letter in bench.dead_letters.published} == {100, 102}
    assert bench.source.history == [(SOURCE, 100), (SOURCE, 0)]


def test_records_of_a_partition_that_is_not_ours_are_left() -> None:
    """They are read again by their owner."""
    bench = Bench().read(record_slice(0, pieces(1), SOURCE_1)).settle()

    assert bench.sender.requests == []
    assert bench.source.stored == {}


def test_a_topic_without_a_route_stops_the_engine() -> None:
    """It was subscribed by mistake: reading it further would lose it."""
    bench = Bench()
    bench.engine._offsets.begin(TopicPartition("other", 0), 0.0)
    with pytest.raises(RuntimeError, match="topic other was read, but no route"):
        bench.read(record_slice(0, pieces(1), TopicPartition("other", 0)))


def test_offsets_that_go_backwards_within_one_read_open_another_lane() -> None:
    """A topic made anew between two fetches of one read: nothing of the old one counts for the new one."""
    bench = Bench(linger_s=0.0)
    old, new = record_slice(100, pieces(3)), record_slice(0, pieces(2))
    both = Slice(
        SOURCE, [*old.records, *new.records], [*old.values, *new.values], 2, old.overhead + new.overhead
    )
    bench.read(both).settle()

    assert bench.source.stored[SOURCE] == 2
