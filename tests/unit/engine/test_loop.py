"""The loop with scripted ports: what is read, sent, settled and stored, and what a rebalance, a full window and a drain do to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest

from bridge.codec.routes import Route
from bridge.engine.effects import Wait
from bridge.engine.events import (
    BatchWaits,
    DeadLetterPublished,
    DeadLettersFailed,
    DrainFinished,
    InletHeld,
    InletReleased,
    PartitionRewound,
    PartitionsRevoked,
    ProbeFailed,
    RecordsAccepted,
    RecordsRead,
    RecordsSkipped,
)
from bridge.engine.flow_control import ENOUGH_S, PAUSE_AFTER_S
from bridge.engine.skips import SkipOrder
from bridge.model import BatchRequest, BatchResponse, Fault, Format, Reason, Slice, TopicPartition
from bridge.ports import Completions
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, pieces, record_slice
from tests.support.scripted_aep import (
    all_accepted,
    entry_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    never_answers,
    no_response,
    request_refused,
    scripted_aep,
    strict_aep,
)

T1 = TopicPartition("t", 1)


class Listening:
    """Completions that tell of every look at them."""

    def __init__(self, inner: Completions, on_take: Callable[[], None]) -> None:
        self._inner, self._on_take = inner, on_take
        self.put = inner.put

    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        self._on_take()
        return self._inner.take(timeout_s)


# -- reading, sending, storing ---------------------------------------------------------------


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


def test_datasets_in_turn_are_a_batch_each_and_hold_back_what_lies_between() -> None:
    """Batches of two: the first of `a` is full before any of `b` is taken, and what was accepted first stores nothing beyond what is still out."""
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
    assert 0.0 == pytest.approx(bench.used)


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
    """It can't be read again. A revoke of the new lane meanwhile changes nothing, for no other member will ever read it."""
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
    assert 0.0 == pytest.approx(bench.used)
    assert bench.engine.view.is_idle


def test_a_refused_record_of_a_topic_that_is_created_anew_is_dead_lettered() -> None:
    """Whether AEP refuses it or it waits for company in an open batch of its kind."""
    bench = Bench(linger_s=10.0).read(record_slice(100, [b"not json", *pieces(2, bad=[1])]))
    bench.read(record_slice(0, [])).settle(120.0)

    assert {dead_letter.record.offset() for dead_letter in bench.dead_letters.published} == {100, 102}
    assert bench.source.history == [(SOURCE, 100), (SOURCE, 0)]


def test_a_paused_partition_whose_offsets_go_backwards_is_resumed() -> None:
    """The lane is another one; the partition is as paused at the client as before."""
    bench = (
        Bench(never_answers, max_messages=1, linger_s=0.0, max_uncommitted_records=8)
        .read(record_slice(100, pieces(10)))
        .turn(20)
    )
    assert bench.source.paused == {SOURCE}

    bench.sender.aep = healthy_aep
    bench.read(record_slice(0, pieces(1))).settle()
    bench.turn(20)
    assert bench.source.paused == set()


def test_records_of_a_partition_that_is_not_ours_are_left() -> None:
    """They are read again by their owner."""
    bench = Bench().read(record_slice(0, pieces(1), T1)).settle()

    assert bench.sender.requests == []
    assert bench.source.stored == {}


def test_a_topic_without_a_route_stops_the_pump() -> None:
    """It was subscribed by mistake: reading it further would lose it."""
    bench = Bench()
    bench.engine._offsets.begin(TopicPartition("other", 0), 0.0)
    with pytest.raises(RuntimeError, match="topic other was read, but no route"):
        bench.read(record_slice(0, pieces(1), TopicPartition("other", 0)))


def test_requests_wait_for_their_inlet() -> None:
    """Oldest first, never more than the ceiling."""
    bench = (
        Bench(never_answers, max_messages=1, policy={"max_in_flight": 2})
        .read(record_slice(0, pieces(5)))
        .turn(3)
    )
    assert pieces(5)[:2] == [request.pieces[0] for request in bench.sender.requests]
    assert bench.engine.view.queued("inlet") == 3

    bench.sender.respond(1)
    bench.turn()
    assert pieces(5)[:3] == [request.pieces[0] for request in bench.sender.requests]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_request_that_waited_while_the_rate_sank_goes_in_parts(ordered: bool) -> None:
    """It was made for the rate of then; batches that are made from now on are small themselves."""
    bench = Bench(
        never_answers,
        max_messages=100,
        ordered=ordered,
        partitions=2,
        policy={"max_in_flight": 1, "ordered": ordered},
    )
    bench.read(record_slice(0, pieces(100)), record_slice(0, pieces(100), TopicPartition("t", 1))).turn(3)
    bench.inlets["inlet"].rate.configured = 100.0
    bench.sender.respond()
    bench.settle(0.5)
    assert [len(request.pieces) for request in bench.sender.requests] == [100, 20]

    bench.read(record_slice(100, pieces(40)))
    while bench.engine.view.tasks:
        bench.sender.respond()
        bench.settle(2.0)
    assert [len(request.pieces) for request in bench.sender.requests][1:] == [20] * 7
    assert 0.0 == pytest.approx(bench.used)
    assert bench.source.stored == {SOURCE: 140, TopicPartition("t", 1): 100}


def test_only_what_probes_gets_small() -> None:
    """A bucket too small for what waits is found by one batch, in parts; where it gets larger meanwhile, the others go as they were made."""
    fit: list[int] = []

    def aep(request: BatchRequest, _: float) -> BatchResponse:
        if fit or len(request.pieces) <= 30:
            fit.append(len(request.pieces))
            return healthy_aep(request)
        return request_refused(429)

    bench = Bench(aep, max_messages=100).read(record_slice(0, pieces(1000)))
    bench.settle(600.0)

    assert bench.source.stored == {SOURCE: 1000}
    assert fit[0] <= 30
    assert fit.count(100) >= 7
    assert sum(size for size in fit if size < 100) <= 300


@pytest.mark.parametrize("bad", [2, 4, 20])
def test_bad_records_that_came_first_do_not_keep_good_ones_waiting(bad: int) -> None:
    """Nothing was ever accepted, and AEP refuses the whole request for each of them: the inlet only probes, and only the good records of another partition can end that."""
    bench = Bench(strict_aep(), partitions=2).read(record_slice(0, pieces(bad, bad=range(bad))))
    bench.settle(10.0)
    bench.read(record_slice(0, pieces(20), TopicPartition("t", 1))).settle(300.0)
    bench.read(record_slice(20, pieces(20), TopicPartition("t", 1))).settle(300.0)

    assert bench.source.stored == {SOURCE: bad, TopicPartition("t", 1): 40}
    assert bad == len(bench.dead_letters.published)


def test_what_is_refused_again_and_again_does_not_keep_others_waiting() -> None:
    """Where one request at a time is allowed, a batch with many bad records always has one that is due; those behind it get their turns."""
    good = pieces(30, name="good")
    bench = Bench(strict_aep(), partitions=2, max_messages=100, policy={"max_in_flight": 1}).read(
        record_slice(0, pieces(100, bad=range(100)))
    )
    bench.read(record_slice(0, good[:10], TopicPartition("t", 1))).settle(30.0)
    for at in (10, 20):
        bench.read(record_slice(at, good[at : at + 10], TopicPartition("t", 1))).settle(60.0)
    bench.settle(600.0)

    assert bench.source.stored == {SOURCE: 100, TopicPartition("t", 1): 30}
    assert len(bench.dead_letters.published) == 100


def test_a_revoke_after_a_storm_of_429_repeats_nothing() -> None:
    """What probed at its end was small, and the rest of its batch goes whole: a revoke waits in vain for dozens of requests, one after another."""
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


def test_an_outage_wakes_everything_when_it_is_over() -> None:
    """All that waited goes out at once."""
    bench = Bench(
        lambda request, now: request_refused(503) if now < 1600 else healthy_aep(request), max_messages=1
    ).read(record_slice(0, pieces(30)))
    bench.settle(700.0)

    assert bench.source.stored == {SOURCE: 30}
    assert bench.time.now < 1670
    assert len(bench.events.of(InletReleased)) == 1
    assert len(bench.events.of(InletHeld)) == 1
    assert len(bench.events.of(ProbeFailed)) > 3
    assert not any(isinstance(task.effect, Wait) for task in bench.engine.view.tasks)


@pytest.mark.parametrize(
    "response",
    [request_refused(503), request_refused(500), no_response(Fault.CONNECTION)],
    ids=["503", "500", "connection"],
)
def test_a_request_that_fails_by_itself_keeps_its_back_off(response: BatchResponse) -> None:
    """While others are accepted: it neither comes again with each of them, nor costs them their concurrency."""
    poison = pieces(1)[0]
    bench = Bench(
        lambda request, now: response if poison in request.pieces else healthy_aep(request),
        max_messages=1,
        linger_s=0.0,
    ).read(record_slice(0, [poison]))
    began, at = bench.time.now, 1
    while bench.time.now < began + 60:
        bench.read(record_slice(at, pieces(4, name=str(at)))).turn(20)
        at += 4

    assert at > 200
    assert 3 <= sum(poison in request.pieces for request in bench.sender.requests) <= 25


# -- windows ------------------------------------------------------------------------------------


def test_a_full_window_stops_reading_then_pauses_and_resumes_at_half() -> None:
    """Memory is bounded by the setting and one read."""
    bench = Bench(never_answers, max_messages=10, linger_s=0.0, policy={"window_bytes": 20_000})
    bench.source.feed = [[record_slice(at * 10, pieces(10))] for at in range(50)]
    bench.turn(20)
    reads = bench.source.reads
    assert bench.used < 20_000 + 10 * 700
    assert bench.source.paused == set()
    assert reads < 6

    end = bench.time.now + PAUSE_AFTER_S + 1
    while bench.time.now < end:
        bench.turn()
        if bench.source.paused:
            bench.source.feed.clear()  # a paused partition gives nothing
    assert bench.source.paused == {SOURCE}
    assert bench.source.reads > reads, "a paused consumer is polled on"

    while bench.sender.open:
        bench.sender.respond()
        bench.turn(20)
    bench.settle()
    assert bench.source.paused == set()
    assert 0.0 == pytest.approx(bench.used)


def test_a_full_inlet_pauses_its_own_partitions_only() -> None:
    """The others flow."""
    routes = [Route("a", Format.RAW, "one", "ds"), Route("b", Format.RAW, "two", "ds")]
    bench = Bench(
        lambda request, now: None if request.inlet == "one" else all_accepted(len(request.pieces)),
        routes=routes,
        linger_s=0.0,
        policy={"window_bytes": 5000},
    )
    bench.read(record_slice(0, pieces(10), TopicPartition("a", 0))).turn(20)
    assert bench.source.paused == {TopicPartition("a", 0)}

    bench.read(record_slice(0, pieces(3), TopicPartition("b", 0))).turn(20)
    assert bench.source.stored == {TopicPartition("a", 0): 0, TopicPartition("b", 0): 3}


def test_a_lane_too_far_ahead_of_its_watermark_is_paused() -> None:
    """One stuck batch must not pile up hours of repeats; the lane goes on when the batch is settled."""
    stuck = pieces(10)[0]
    bench = Bench(
        lambda request, now: None if stuck in request.pieces else healthy_aep(request),
        max_messages=1,
        linger_s=0.0,
        partitions=2,
        max_uncommitted_records=10,
    )
    bench.read(record_slice(0, pieces(10)), record_slice(0, pieces(3, name="x"), T1)).turn(30)
    assert bench.source.paused == {SOURCE}

    bench.sender.respond()
    bench.turn(20)
    assert bench.source.paused == set()
    assert bench.source.stored == {SOURCE: 10, T1: 3}


@pytest.mark.parametrize("most", [1, 2, 3, 10, 499, 999, 1000, 1700])
def test_a_lane_is_never_further_ahead_than_allowed(most: int) -> None:
    """A crash now would repeat so many records; and however few, the lane goes on as they are settled."""
    bench = Bench(never_answers, max_messages=50, linger_s=0.0, max_uncommitted_records=most)
    ahead = [0]
    position = 0

    def endless(limit: int, timeout_s: float) -> list[Slice]:
        nonlocal position
        lane = bench.engine.view.lanes[SOURCE]
        ahead.append(lane.uncommitted)
        bench.time.now += timeout_s
        if SOURCE in bench.source.paused:
            return []
        position += limit
        return [record_slice(position - limit, pieces(limit))]

    def turns() -> None:
        for _ in range(20):
            bench.time.now += ENOUGH_S
            bench.turn()

    bench.source.read = endless  # type: ignore[method-assign]  # the scripted source reads what it was fed; this one never ends
    turns()
    assert SOURCE in bench.source.paused
    assert most / 2 <= max(ahead) <= most

    for _ in range(10):
        while bench.sender.open:
            bench.sender.respond()
        turns()
    assert bench.source.stored[SOURCE] > 2 * most
    assert max(ahead) <= most


@pytest.mark.parametrize("inlets", ["one", "two"])
def test_nothing_is_read_while_enough_waits_to_be_sent(inlets: str) -> None:
    """Answers are waited for first, and not for long: then reading goes on. Where another inlet has nothing to send, it goes on at once."""
    routes = [Route("t", Format.RAW, "inlet", "ds"), Route("u", Format.RAW, "other", "ds")][
        : 2 if inlets == "two" else 1
    ]
    bench = Bench(never_answers, max_messages=50, linger_s=0.0, routes=routes, policy={"max_in_flight": 4})
    reads: list[float] = []

    def endless(limit: int, timeout_s: float) -> list[Slice]:
        reads.append(bench.time.now)
        first = 100 * (len(reads) - 1)
        return [record_slice(first, pieces(100))]

    bench.source.read = endless  # type: ignore[method-assign]  # the scripted source reads what it was fed; this one never ends
    bench.turn(3)
    assert len(reads) == 3  # 300 records are six batches: four are under way, two wait
    bench.turn(5)
    if inlets == "two":
        assert len(reads) == 8
        return
    assert len(reads) == 3

    bench.sender.respond()
    bench.turn(2)
    assert len(reads) == 4  # one of the two that waited has gone out
    bench.turn(5)
    assert len(reads) == 4

    bench.time.now += ENOUGH_S
    bench.turn(5)
    assert len(reads) == 5


def test_a_partition_that_comes_while_the_window_is_full_starts_paused() -> None:
    """And is resumed like the others."""
    bench = (
        Bench(never_answers, linger_s=0.0, policy={"window_bytes": 5000})
        .read(record_slice(0, pieces(10)))
        .turn(3)
    )
    bench.assign(T1)
    assert T1 in bench.source.paused

    bench.sender.respond()
    bench.turn(20)
    assert bench.source.paused == set()


# -- rebalances ------------------------------------------------------------------------------------


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
    assert 0.0 == pytest.approx(bench.used)


def test_the_loop_is_alive_while_a_revoke_waits() -> None:
    """However long it may wait: `/livez` fails after a minute without a turn, and would end the process in the middle of it."""
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
        record_slice(0, pieces(2)), record_slice(0, pieces(3, name="x"), T1)
    )
    bench.engine.revoked([SOURCE])

    assert bench.source.stored.get(SOURCE, 0) == 0
    bench.settle()
    assert [tuple(request.pieces) for request in bench.sender.requests] == [tuple(pieces(3, name="x"))]
    assert bench.source.stored.get(SOURCE, 0) == 0
    assert bench.source.stored[T1] == 3
    assert 0.0 == pytest.approx(bench.used)


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
    assert 0.0 == pytest.approx(bench.used)
    assert bench.source.stored.get(SOURCE, 0) == 0


def test_lost_partitions_store_nothing() -> None:
    """Another member has them already."""
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(0, pieces(3))).turn()
    bench.source.stored.clear()
    bench.engine.lost([SOURCE, T1])
    bench.sender.respond()
    bench.turn(3)

    assert bench.source.stored == {}
    assert [event.lost for event in bench.events.of(PartitionsRevoked)] == [True]
    assert 0.0 == pytest.approx(bench.used)


def test_partitions_that_we_do_not_hold_can_be_revoked() -> None:
    """After a session time-out the client names some."""
    bench = Bench()
    bench.engine.revoked([T1, TopicPartition("unknown", 7)])

    assert list(bench.engine.view.lanes) == [SOURCE]


def test_the_learned_rate_moves_with_the_partitions() -> None:
    """Of its own inlet, at once; what is held of another topic counts for that topic's inlet, and between two assignments nothing is forgotten."""
    bench = Bench(routes=(Route("t", Format.RAW, "a", "ds"), Route("u", Format.RAW, "b", "ds")), partitions=3)
    bench.engine.note_partition_counts({"t": 3, "u": 12})
    bench.engine.loop.balance(bench.source, force=True)
    for inlet in bench.inlets.values():
        inlet.rate.accepted(40_000, 0.0)
        inlet.rate.pushed_back(1.0)
    assert (40_000, 10_000) == (bench.inlets["a"].rate.limit, bench.inlets["b"].rate.limit)

    def limits() -> tuple[float, ...]:
        bench.engine.loop.balance(bench.source, force=True)
        return tuple(round(inlet.rate.limit) for inlet in bench.inlets.values())

    bench.engine.revoked([TopicPartition("t", 1), TopicPartition("t", 2), TopicPartition("u", 2)])
    assert limits() == (13_333, 6667)
    bench.engine.revoked([TopicPartition("t", 0)])
    assert limits() == (13_333, 6667)
    bench.assign(*(TopicPartition("t", number) for number in range(3)))
    assert limits() == (40_000, 6667)


def test_the_organisations_rate_is_one_for_all_inlets_that_share_it() -> None:
    """By the partitions of their topics, whoever has them; an inlet with a rate of its own has that."""
    routes = [
        Route(topic, Format.RAW, inlet, "ds") for topic, inlet in (("t", "a"), ("u", "b"), ("v", "own"))
    ]
    bench = Bench(routes=routes, partitions=1, policy={"max_messages_per_s": 6000, "shares_rate": True})
    bench.inlets["own"].policy = replace(bench.inlets["own"].policy, max_messages_per_s=90, shares_rate=False)

    def configured() -> tuple[float | None, ...]:
        bench.engine.loop.balance(bench.source, force=True)
        return tuple(inlet.rate.configured for inlet in bench.inlets.values())

    bench.engine.note_partition_counts({"t": 1, "u": 3, "v": 1})
    assert configured() == (1500, 1500, 90)
    bench.assign(*(TopicPartition("u", number) for number in range(3)))
    assert configured() == (1500, 4500, 90)
    bench.engine.revoked([TopicPartition("t", 0)])
    assert configured() == (1, 4500, 90)


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


# -- order --------------------------------------------------------------------------------------------


def test_with_order_a_lanes_next_batch_waits_for_its_last() -> None:
    """Other lanes do not."""
    bench = Bench(never_answers, ordered=True, max_messages=2, partitions=2, policy={"ordered": True})
    bench.read(record_slice(0, pieces(4)), record_slice(0, pieces(2, name="x"), T1)).turn(3)
    assert [tuple(request.pieces) for request in bench.sender.requests] == [
        tuple(pieces(4)[:2]),
        tuple(pieces(2, name="x")),
    ]

    bench.sender.respond(0)
    bench.turn()
    assert tuple(pieces(4)[2:]) == tuple(bench.sender.requests[-1].pieces)


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
    assert 0.0 == pytest.approx(bench.used)
    assert bench.source.stored[SOURCE] == 0


def test_with_order_a_long_chain_can_be_revoked() -> None:
    """A thousand batches that wait for their turn do not exhaust the stack."""
    bench = Bench(never_answers, ordered=True, max_messages=1, policy={"ordered": True})
    bench.read(record_slice(0, pieces(sys.getrecursionlimit()))).turn()
    ticket, request = bench.sender.open.pop()
    bench.time.later(1.0, ticket, healthy_aep(request))
    bench.engine.revoked([SOURCE])

    assert bench.source.stored == {SOURCE: 1}
    assert 0.0 == pytest.approx(bench.used, abs=1e-6)


# -- the operator -------------------------------------------------------------------------------------------


def order(bench: Bench, offset: int, source: TopicPartition = SOURCE) -> SkipOrder:
    skip = SkipOrder(source, offset, "ann", "poison")
    bench.time.put(skip, None)
    bench.turn()
    return skip


def test_an_operator_moves_a_record_that_is_stuck() -> None:
    """With who and why in its headers."""
    bench = (
        Bench(
            lambda request, now: (
                request_refused(503) if pieces(3)[1] in request.pieces else healthy_aep(request)
            ),
            linger_s=0.0,
        )
        .read(record_slice(0, pieces(3)))
        .turn(50)
    )
    skip = order(bench, 1)
    bench.settle()

    assert skip.done.result(0) == "moved to t.dlq"
    [dead_letter] = bench.dead_letters.published
    assert (1, Reason.SKIPPED) == (dead_letter.record.offset(), dead_letter.refusal.reason)
    assert dead_letter.refusal.extra == (("aep.skipped.by", b"ann"), ("aep.skipped.why", b"poison"))
    assert bench.source.stored == {SOURCE: 3}


@pytest.mark.parametrize(("end", "stored"), [("accepted", 2), ("moved", 2), ("lost", 0)])
def test_an_order_that_nobody_waits_for_any_more_ends_nothing(end: str, stored: int) -> None:
    """The admin port gives up after 30 seconds; the record is accepted, moved, or goes to another member after that."""
    asked: list[BatchRequest] = []
    bench = (
        Bench(lambda request, _: asked.append(request) if not asked else healthy_aep(request), linger_s=0.0)
        .read(record_slice(0, pieces(2)))
        .turn(5)
    )
    order(bench, 1).done.cancel()
    if end == "lost":
        bench.engine.lost([SOURCE])
    bench.sender.respond(0, request_refused(503) if end == "moved" else None)
    bench.settle(300.0)

    assert stored == bench.source.stored[SOURCE]
    assert (end == "moved") == bool(bench.dead_letters.published)


def test_an_order_for_a_record_that_is_settled_already_says_so() -> None:
    """Its batch may wait for another one: the watermark is the first offset of the batch, not the one that waits."""
    bench = (
        Bench(
            scripted_aep(
                multi_status(entry_accepted(0), entry_refused(503)),
                then=lambda request, now: request_refused(503),
            ),
            linger_s=0.0,
        )
        .read(record_slice(0, pieces(2)))
        .turn(50)
    )
    settled, stuck = order(bench, 0), order(bench, 1)
    bench.settle(100.0)

    assert "not moved: t/0/0 is settled already" in settled.done.result(0)
    assert stuck.done.result(0) == "moved to t.dlq"


def test_who_waits_is_told_by_its_coordinates() -> None:
    """An operator needs the offset to order it away: that of the record, not of its batch."""
    bench = (
        Bench(
            scripted_aep(
                multi_status(entry_accepted(0), entry_refused(503), entry_refused(503)),
                then=lambda request, now: request_refused(503),
            ),
            linger_s=0.0,
        )
        .read(record_slice(7, pieces(3)))
        .turn(100)
    )

    [*_, event] = bench.events.of(BatchWaits)
    assert (event.records, event.first) == (2, "t/0/8")
    [wait] = bench.engine.status["waits"]
    assert (2, "t/0/8") == (wait["records"], wait["first"])


def test_an_order_for_a_record_in_an_open_batch_is_carried_out() -> None:
    """Before it was ever sent."""
    bench = Bench(linger_s=60.0).read(record_slice(0, pieces(3)))
    skip = order(bench, 2)
    bench.settle()

    assert skip.done.result(0) == "moved to t.dlq"
    assert bench.source.stored == {SOURCE: 3}


@pytest.mark.parametrize("ordered", [False, True])
def test_an_order_for_a_record_of_a_topic_that_was_created_anew_is_carried_out(ordered: bool) -> None:
    """It is stuck in this process alone, and where order is kept so is all that was read behind it."""
    old = pieces(2, name="old")
    bench = Bench(
        lambda request, now: request_refused(503) if old[0] in request.pieces else healthy_aep(request),
        linger_s=0.0,
        max_messages=1,
        ordered=ordered,
    )
    bench.read(record_slice(100, old)).read(record_slice(0, pieces(1))).turn(50)
    skip = order(bench, 100)
    bench.settle()

    assert skip.done.result(0) == "moved to t.dlq"
    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [100]
    assert 0.0 == pytest.approx(bench.used)


def test_an_order_reaches_what_an_order_before_it_did_not() -> None:
    """A partition was cut off and is read again: the same offset is stuck twice, and here the second time no other member is to be asked."""
    stuck = pieces(2, name="stuck")
    bench = (
        Bench(lambda request, now: request_refused(503), linger_s=0.0, max_messages=2)
        .read(record_slice(5, stuck))
        .read(record_slice(5, stuck))
        .turn(50)
    )
    for _ in range(2):  # each batch goes on with its other record
        skip = order(bench, 5)
        bench.turn(20)
        assert skip.done.result(0) == "moved to t.dlq"
    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [5, 5]

    bench.engine.revoked([SOURCE])
    skip = order(bench, 6)
    bench.turn(20)
    assert skip.done.result(0) == "moved to t.dlq"
    assert 0.0 == pytest.approx(bench.used)


@pytest.mark.parametrize(
    ("offset", "source", "text"),
    [
        (0, SOURCE, "settled already (watermark: 3)"),
        (3, SOURCE, "not been read yet (next offset: 3)"),
        (0, T1, "t/1 is not assigned to this member"),
    ],
)
def test_an_order_that_cannot_be_carried_out_says_why(offset: int, source: TopicPartition, text: str) -> None:
    """Nothing is moved."""
    bench = Bench(linger_s=0.0).read(record_slice(0, pieces(3))).settle()

    assert text in order(bench, offset, source).done.result(0)


def test_an_order_for_a_record_that_is_accepted_meanwhile_says_so() -> None:
    """The request was in flight."""
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(0, pieces(3))).turn()
    skip = order(bench, 1)
    bench.sender.respond()
    bench.turn(3)

    assert "AEP accepted it meanwhile" in skip.done.result(0)


def test_an_order_for_a_record_whose_batch_is_over_but_for_others_says_so() -> None:
    """Its own offset is accepted; another record of the batch still waits."""
    responses = scripted_aep(
        BatchResponse(207, {}, b'{"responses":[{"xactionId":"b:0"},{"status":503}]}'),
        then=lambda request, now: request_refused(503),
    )
    bench = Bench(responses, linger_s=0.0).read(record_slice(0, pieces(2))).turn(30)
    skip = order(bench, 0)
    bench.sender.aep = healthy_aep
    bench.settle(200.0)

    assert "not moved" in skip.done.result(0)
    assert bench.dead_letters.published == []


# -- the end ----------------------------------------------------------------------------------------------------


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
    bench.source.feed.append(lambda: bench.assign(T1))
    bench.engine.loop.drain(bench.source)

    assert T1 in bench.source.paused


def test_the_pump_says_what_is_going_on() -> None:
    """A snapshot for the status page, made anew twice a second."""
    bench = Bench(strict_aep(503), linger_s=0.0).read(record_slice(0, pieces(3, bad=[1]))).turn(100)

    assert bench.engine.status["batches"] == 1
    assert [part["topic"] for part in bench.engine.status["partitions"]] == ["t"]
    assert bench.engine.status["waits"]
    assert bench.events.of(RecordsRead) == [RecordsRead("t", 3)]


def test_offsets_that_go_backwards_within_one_read_open_another_lane() -> None:
    """A topic made anew between two fetches of one read: nothing of the old one counts for the new one."""
    bench = Bench(linger_s=0.0)
    old, new = record_slice(100, pieces(3)), record_slice(0, pieces(2))
    both = Slice(
        SOURCE, [*old.records, *new.records], [*old.values, *new.values], 2, old.overhead + new.overhead
    )
    bench.read(both).settle()

    assert bench.source.stored[SOURCE] == 2
