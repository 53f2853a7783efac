"""Where others stopped reading for ever, or queued without a bound; each case shown not to be ours."""

from __future__ import annotations

import pytest

from bridge.codec.routes import Route
from bridge.engine.flow_control import PAUSE_AFTER_S
from bridge.model import Format, TopicPartition
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, SOURCE_1, pieces, record_slice
from tests.support.scripted_aep import all_accepted, healthy_aep, never_answers, request_refused


def test_records_of_a_paused_partition_are_taken_in_like_any() -> None:
    """arroyo #412: "paused, so poll returns nothing" is false during a rebalance; there it was an assertion
    that ended the process.
    """
    bench = (
        Bench(never_answers, max_messages=1, linger_s=0.0, max_uncommitted_records=5)
        .read(record_slice(0, pieces(10)))
        .turn(10)
    )
    assert bench.source.paused == {SOURCE}

    bench.sender.aep = healthy_aep
    bench.read(record_slice(10, pieces(3, name="x")))
    while bench.sender.open:
        bench.sender.respond()
        bench.turn()
    bench.settle()
    assert bench.source.stored == {SOURCE: 13}


@pytest.mark.parametrize("what", ["window", "ahead", "assigned while full", "revoked while paused"])
def test_no_partition_stays_paused_for_ever(what: str) -> None:
    """parallel-consumer #857, librdkafka #1849, #5113: a partition that was paused, or came back after a
    pause, is read on when there is room.
    """
    policy = {} if what == "ahead" else {"window_bytes": 5000}
    bench = Bench(
        never_answers,
        max_messages=1,
        linger_s=0.0,
        max_uncommitted_records=5 if what == "ahead" else 1000,
        policy=policy,
    )
    bench.read(record_slice(0, pieces(10))).turn(3)
    end = bench.time.now + PAUSE_AFTER_S + 1
    while bench.time.now < end:
        bench.turn()
    assert bench.source.paused == {SOURCE}

    if what == "assigned while full":
        bench.assign(SOURCE_1)
        assert SOURCE_1 in bench.source.paused
    elif what == "revoked while paused":
        bench.engine.revoked([SOURCE])
        bench.assign(SOURCE)
    bench.sender.aep = healthy_aep
    while bench.sender.open:
        bench.sender.respond()
        bench.turn()
    bench.settle()
    bench.turn(30)
    assert bench.source.paused == set()
    assert bench.engine.view.paused == set()


def test_an_hour_of_429_grows_no_queue() -> None:
    """vector #17276: a request queue without a bound. Here the window bounds what is held, and the rest stays
    in Kafka.
    """
    value = b'{"x":"%b"}' % (b"x" * 1000)
    bench = Bench(
        lambda request, now: request_refused(429),
        max_messages=100,
        linger_s=0.1,
        policy={"window_bytes": 1_000_000},
    )
    offset, most = 0, 0.0
    end = bench.time.now + 3600.0
    bench.source.stride = 20.0
    while bench.time.now < end:
        if not bench.source.paused and not bench.source.feed:
            bench.source.feed.append([record_slice(offset, [value] * 100)])
            offset += 100
        bench.turn()
        most = max(most, bench.used)

    assert 1_000_000 <= most < 1_000_000 + 200 * 1700
    assert offset < 1000
    assert bench.source.paused == {SOURCE}


def test_a_slow_inlet_does_not_stop_the_others() -> None:
    """One destination's outage is not everybody's."""
    routes = [Route("a", Format.RAW, "one", "ds"), Route("b", Format.RAW, "two", "ds")]
    a, b = TopicPartition("a", 0), TopicPartition("b", 0)
    bench = Bench(
        lambda request, now: (
            request_refused(503) if request.inlet == "one" else all_accepted(len(request.pieces))
        ),
        routes=routes,
        linger_s=0.0,
    )
    bench.read(record_slice(0, pieces(3), a), record_slice(0, pieces(3), b))
    bench.settle(60.0)

    assert bench.source.stored == {a: 0, b: 3}
