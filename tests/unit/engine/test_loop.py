"""The turn of the loop with scripted ports: what is read is sent, settled and then stored; and the drain."""

from __future__ import annotations

import pytest

from bridge.engine.events import (
    DeadLetterPublished,
    DeadLettersFailed,
    DrainFinished,
    RecordsAccepted,
    RecordsRead,
)
from bridge.model import Reason
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, SOURCE_1, pieces, record_slice
from tests.support.scripted_aep import healthy_aep, never_answers, strict_aep


def test_what_was_read_is_sent_and_then_stored() -> None:
    """Never before."""
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(10, pieces(3))).turn(5)

    assert [tuple(request.pieces) for request in bench.sender.requests] == [tuple(pieces(3))]
    assert bench.source.stored == {SOURCE: 10}
    bench.sender.respond()
    bench.turn()
    assert bench.source.stored == {SOURCE: 13}
    assert bench.events.of(RecordsAccepted) == [RecordsAccepted({"t": 3})]
    assert bench.used == 0.0


def test_a_batch_lingers_for_more_records() -> None:
    """And goes when its time has come."""
    bench = Bench(linger_s=1.0).read(record_slice(0, pieces(2))).read(record_slice(2, pieces(2))).turn(5)
    assert bench.sender.requests == []

    bench.settle()
    assert [len(request.pieces) for request in bench.sender.requests] == [4]
    assert bench.source.stored == {SOURCE: 4}


def test_the_highest_offset_that_is_safe_is_stored_and_no_higher() -> None:
    """Three batches: the second is accepted first."""
    bench = Bench(never_answers, max_messages=2).read(record_slice(0, pieces(6))).turn()
    bench.sender.respond(1)
    bench.turn()
    assert bench.source.stored == {SOURCE: 0}
    bench.sender.respond(0)
    bench.turn()
    assert bench.source.stored == {SOURCE: 4}


def test_a_bad_record_is_dead_lettered_before_its_offset_is_stored() -> None:
    """Whether it is refused before sending or by AEP."""
    bench = Bench(linger_s=0.0)
    bench.dead_letters.refuse = lambda _: "no leader"
    bench.read(record_slice(0, [b"not json", *pieces(2, bad=[1])])).settle(20.0)

    assert bench.source.stored == {SOURCE: 0}
    assert {event.topics for event in bench.events.of(DeadLettersFailed)} == {frozenset({"t.dlq"})}
    bench.dead_letters.refuse = lambda _: ""
    bench.settle(120.0)
    assert bench.source.stored == {SOURCE: 3}
    assert {
        (dead_letter.record.offset(), dead_letter.refusal.reason)
        for dead_letter in bench.dead_letters.published
    } == {
        (0, Reason.NOT_JSON),
        (2, Reason.REFUSED),
    }
    assert len(bench.events.of(DeadLetterPublished)) == 2
    assert bench.used == pytest.approx(0.0)


def test_a_drain_settles_what_was_read_and_reads_no_more() -> None:
    """Open batches go out at once."""
    bench = Bench(linger_s=60.0).read(record_slice(0, pieces(3)))
    bench.source.feed = [[record_slice(3, pieces(5))]] * 5
    bench.engine.stop()

    assert bench.engine.run(bench.source)
    assert bench.source.stored == {SOURCE: 3}
    assert bench.source.closed
    assert [event.abandoned for event in bench.events.of(DrainFinished)] == [0]


def test_a_drain_ends_at_its_deadline() -> None:
    """What is abandoned is told, and not stored; what was accepted is."""
    bench = Bench(
        lambda request, now: None if pieces(4)[2] in request.pieces else healthy_aep(request),
        max_messages=2,
        drain_timeout_s=30.0,
    ).read(record_slice(0, pieces(4)))
    before = bench.time.now

    assert not bench.engine.loop.drain(bench.source)
    assert 30.0 <= bench.time.now - before < 30.5
    assert bench.source.stored == {SOURCE: 2}
    assert [event.abandoned for event in bench.events.of(DrainFinished)] == [2]


def test_partitions_that_come_during_a_drain_start_paused() -> None:
    """Nothing is read any more."""
    bench = Bench(never_answers, linger_s=0.0, drain_timeout_s=1.0).read(record_slice(0, pieces(3))).turn()
    bench.source.feed.append(lambda: bench.assign(SOURCE_1))
    bench.engine.loop.drain(bench.source)

    assert SOURCE_1 in bench.source.paused


def test_the_status_says_what_is_going_on() -> None:
    """A snapshot for the status page, made anew twice a second."""
    bench = Bench(strict_aep(503), linger_s=0.0).read(record_slice(0, pieces(3, bad=[1]))).turn(100)

    assert bench.engine.status["batches"] == 1
    assert [part["topic"] for part in bench.engine.status["partitions"]] == ["t"]
    assert bench.engine.status["waits"]
    assert bench.events.of(RecordsRead) == [RecordsRead("t", 3)]
