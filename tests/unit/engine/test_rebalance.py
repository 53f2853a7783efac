"""Partitions come and go: what is waited for, what is stored, and what is left to the next owner."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from random import Random

import pytest

from bridge.engine.events import PartitionRewound, PartitionsRevoked, RecordsAccepted
from bridge.model import BatchRequest, BatchResponse, TopicPartition
from bridge.ports import Completions
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, SOURCE_1, pieces, record_slice
from tests.support.scripted_aep import healthy_aep, never_answers, request_refused, scripted_aep


class Listening:
    """Completions that tell of every look at them."""

    def __init__(self, inner: Completions, on_take: Callable[[], None]) -> None:
        self._inner, self._on_take = inner, on_take
        self.put = inner.put

    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        self._on_take()
        return self._inner.take(timeout_s)


def test_a_revoke_after_a_storm_of_429_repeats_nothing() -> None:
    """The last probe was small, and the rest of its batch is sent as one request. Otherwise a revoke would
    have to wait for dozens of requests, one after another.
    """
    for seed in range(6):
        accepted: list[int] = []

        def aep(request: BatchRequest, now: float, accepted: list[int] = accepted) -> BatchResponse:
            if now < 1060.0:
                return request_refused(429)
            accepted.append(len(request.pieces))
            return healthy_aep(request)

        bench = Bench(aep, max_messages=200)
        bench.inlets["inlet"].rng, bench.sender.latency = Random(seed), 1.0
        for at in range(0, 3200, 200):
            bench.read(record_slice(at, pieces(200)))
        while not accepted:
            bench.turn()
        end = bench.time.now + 1.0
        while bench.time.now < end:
            bench.turn()
        bench.engine.revoked([SOURCE])

        assert bench.source.stored[SOURCE] == sum(accepted)


def test_a_revoke_waits_for_what_is_in_flight_and_stores_it() -> None:
    """The next owner starts where we ended."""
    bench = Bench(linger_s=0.0).read(record_slice(0, pieces(3))).turn()
    bench.engine.revoked([SOURCE])

    assert bench.source.stored == {SOURCE: 3}
    [event] = bench.events.of(PartitionsRevoked)
    assert (event.partitions, event.lost, event.open_requests) == ((SOURCE,), False, 0)
    assert bench.engine.view.lanes == {}


def test_a_revoke_ends_at_its_deadline() -> None:
    """A request that hangs is told, and its answer moves nothing any more."""
    bench = Bench(never_answers, linger_s=0.0, revoke_timeout_s=10.0).read(record_slice(0, pieces(3))).turn()
    before = bench.time.now
    bench.engine.revoked([SOURCE])

    assert 10.0 <= bench.time.now - before < 10.1
    assert [event.open_requests for event in bench.events.of(PartitionsRevoked)] == [1]
    bench.assign(SOURCE)
    bench.read(record_slice(0, pieces(3)))
    bench.sender.respond()
    bench.turn(3)
    assert bench.source.stored == {SOURCE: 0}
    bench.sender.respond()
    bench.turn(3)
    assert bench.source.stored == {SOURCE: 3}
    assert bench.used == pytest.approx(0.0)


def test_the_loop_is_alive_while_a_revoke_waits() -> None:
    """A revoke may wait for long, but `/livez` fails after a minute without a turn, and would end the process
    in the middle of it.
    """
    bench = Bench(never_answers, linger_s=0.0, revoke_timeout_s=140.0).read(record_slice(0, pieces(3))).turn()
    stood = [0.0]
    bench.engine.loop._completions = Listening(
        bench.time, lambda: stood.append(bench.time.now - bench.engine.beat)
    )
    began = bench.time.now
    bench.engine.revoked([SOURCE])

    assert bench.time.now - began >= 140
    assert max(stood) < 1


def test_a_revoke_leaves_what_was_not_sent_to_the_next_owner() -> None:
    """No stored offset covers it; the other partition's share of the same batch goes on."""
    bench = Bench(linger_s=1.0, partitions=2).read(
        record_slice(0, pieces(2)), record_slice(0, pieces(3, name="x"), SOURCE_1)
    )
    bench.engine.revoked([SOURCE])

    assert bench.source.stored.get(SOURCE, 0) == 0
    bench.settle()
    assert [tuple(request.pieces) for request in bench.sender.requests] == [tuple(pieces(3, name="x"))]
    assert bench.source.stored.get(SOURCE, 0) == 0
    assert bench.source.stored[SOURCE_1] == 3
    assert bench.used == pytest.approx(0.0)


def test_a_revoke_takes_queued_and_waiting_requests_back() -> None:
    """Only what is in flight is waited for."""
    bench = (
        Bench(
            scripted_aep(request_refused(503), then=never_answers),
            max_messages=1,
            policy={"max_in_flight": 1},
        )
        .read(record_slice(0, pieces(4)))
        .turn(20)
    )
    bench.engine.revoked([SOURCE])
    open_requests = len(bench.sender.open)
    for _ in range(open_requests):
        bench.sender.respond()
    bench.turn(5)

    assert not bench.engine.view.tasks
    assert bench.used == pytest.approx(0.0)
    assert bench.source.stored.get(SOURCE, 0) == 0


def test_lost_partitions_store_nothing() -> None:
    """Another member has them already."""
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(0, pieces(3))).turn()
    bench.source.stored.clear()
    bench.engine.lost([SOURCE, SOURCE_1])
    bench.sender.respond()
    bench.turn(3)

    assert bench.source.stored == {}
    assert [event.lost for event in bench.events.of(PartitionsRevoked)] == [True]
    assert bench.used == pytest.approx(0.0)


def test_partitions_that_we_do_not_hold_can_be_revoked() -> None:
    """After a session time-out the client names some."""
    bench = Bench()
    bench.engine.revoked([SOURCE_1, TopicPartition("unknown", 7)])

    assert list(bench.engine.view.lanes) == [SOURCE]


def test_a_rebalance_inside_a_read_does_no_harm() -> None:
    """Callbacks come while the loop is half way around."""
    bench = Bench(linger_s=0.0).read(record_slice(0, pieces(3)))
    bench.source.feed = [
        lambda: (bench.engine.revoked([SOURCE]), bench.assign(SOURCE)),
        [record_slice(3, pieces(2))],
    ]
    bench.settle()

    assert bench.source.stored == {SOURCE: 5}


def test_dead_letters_of_a_revoked_partition_are_published_within_the_deadline() -> None:
    """And then its offset is stored."""
    bench = Bench(linger_s=0.0)
    bench.dead_letters.refuse = lambda _: "" if bench.time.now > 1003 else "no leader"
    bench.read(record_slice(0, pieces(2, bad=[0]))).turn(10)
    assert bench.source.stored == {SOURCE: 0}

    bench.time.now = 1003.5
    bench.engine.revoked([SOURCE])
    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [0]
    assert bench.source.stored == {SOURCE: 2}


def test_with_order_a_revoke_forgets_the_batches_that_wait_for_their_turn() -> None:
    """Their memory is given back, and nothing of them is sent."""
    bench = (
        Bench(never_answers, ordered=True, max_messages=2, policy={"ordered": True})
        .read(record_slice(0, pieces(8)))
        .turn(3)
    )
    bench.engine.revoked([SOURCE])
    bench.sender.respond()
    bench.turn(3)

    assert len(bench.sender.requests) == 1
    assert bench.used == pytest.approx(0.0)
    assert bench.source.stored[SOURCE] == 0


def test_with_order_a_long_chain_can_be_revoked() -> None:
    """A thousand batches that wait for their turn do not exhaust the stack."""
    bench = Bench(never_answers, ordered=True, max_messages=1, policy={"ordered": True})
    bench.read(record_slice(0, pieces(sys.getrecursionlimit()))).turn()
    ticket, request = bench.sender.open.pop()
    bench.time.later(1.0, ticket, healthy_aep(request))
    bench.engine.revoked([SOURCE])

    assert bench.source.stored == {SOURCE: 1}
    assert pytest.approx(bench.used, abs=1e-6) == 0.0


@pytest.mark.parametrize("end", ["revoked", "lost"])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_replaced_lanes_records_are_settled_after_its_partition_went_and_store_nothing(
    ordered: bool, end: str
) -> None:
    """Their topic was created anew, so that no other member can read them. Its offsets are reused now."""
    old, new = pieces(4, bad=[2], name="old"), pieces(2, name="new")
    bench = Bench(
        never_answers,
        linger_s=0.0,
        max_messages=1,
        ordered=ordered,
        policy={"max_in_flight": 1, "ordered": ordered},
        revoke_timeout_s=1.0,
    )
    bench.read(record_slice(100, old), record_slice(0, new)).turn()
    assert bench.events.of(PartitionRewound) == [PartitionRewound(SOURCE, 104, 0, 4)]
    getattr(bench.engine, end)([SOURCE])
    assert [request.pieces for request in bench.sender.requests] == [old[:1]]
    stored = list(bench.source.history)
    assert all(offset in (100, 0) for _, offset in stored), "nothing is settled yet"

    while bench.sender.open:
        bench.sender.respond()
        bench.turn(20)
    assert [request.pieces for request in bench.sender.requests] == [[piece] for piece in old]
    assert sum(event.by_topic["t"] for event in bench.events.of(RecordsAccepted)) == 3
    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [102]
    assert bench.source.history == stored
    assert bench.engine.view.is_idle
    assert bench.used == pytest.approx(0.0)
