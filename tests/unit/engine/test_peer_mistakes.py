"""Mistakes that others made in our place, each shown not to be ours. First Adobe's own Kafka Connect sink, then bridges and consumers at large."""

from __future__ import annotations

import gc
import logging
import weakref
from itertools import pairwise

import httpx
import pytest

from bridge.codec.request import body
from bridge.codec.routes import Route
from bridge.engine.events import InletReleased, ProbeFailed, RecordsAccepted
from bridge.engine.flow_control import PAUSE_AFTER_S
from bridge.http.oauth import TokenSource
from bridge.kafka.dead_letter_headers import dead_letter_headers
from bridge.model import BatchRequest, BatchResponse, Fault, Format, Reason, Slice, TopicPartition
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, pieces, record_slice
from tests.support.memory import MemoryRecord
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
)

T1 = TopicPartition("t", 1)


# -- Adobe's Kafka Connect sink ---------------------------------------------------------


def test_1_a_filtered_record_does_not_shift_the_blame() -> None:
    """Adobe's sink drops what is not JSON and applies the failure's index to the unfiltered list: its dead letter names the wrong record."""
    values = [b"not json", *pieces(2), None, b"[]", b'{"bad":"1"}', b'{"good":"last"}']
    bench = Bench(linger_s=0.0).read(record_slice(0, values)).settle()

    assert {
        dead_letter.record.offset(): dead_letter.refusal.reason
        for dead_letter in bench.dead_letters.published
    } == {
        0: Reason.NOT_JSON,
        4: Reason.NOT_AN_OBJECT,
        5: Reason.REFUSED,
    }
    assert {
        dead_letter.record.offset(): dead_letter.record.value()
        for dead_letter in bench.dead_letters.published
    } == {
        0: values[0],
        4: values[4],
        5: values[5],
    }
    for dead_letter in bench.dead_letters.published:
        headers = dead_letter_headers(dead_letter)
        assert headers[0] == ("h", b"1")
        assert str(dead_letter.record.offset()).encode() == dict(headers)["__connect.errors.offset"]
        assert b"key-%d" % dead_letter.record.offset() == dead_letter.record.key()
    assert bench.source.stored == {SOURCE: 7}


@pytest.mark.parametrize("name", ["status", "statusCode"])
@pytest.mark.parametrize("form", [int, str])
def test_2_a_failure_in_either_spelling_is_a_failure(name: str, form: type) -> None:
    """Adobe's sink knows only `status`: the documented `statusCode` form counts as success, and the record is gone."""
    bench = (
        Bench(scripted_aep(multi_status(entry_accepted(0), {name: form(400), "message": "m"})), linger_s=0.0)
        .read(record_slice(0, pieces(2)))
        .settle()
    )

    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [1]
    assert bench.events.of(RecordsAccepted) == [RecordsAccepted({"t": 1})]


def test_3_a_failed_entry_without_an_id_concerns_one_record() -> None:
    """Adobe's sink dead-letters the whole batch, accepted messages included, or kills its task."""
    bench = (
        Bench(scripted_aep(multi_status(entry_accepted(0), entry_refused(), entry_accepted(2))), linger_s=0.0)
        .read(record_slice(0, pieces(3)))
        .settle()
    )

    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [1]
    assert len(bench.sender.requests) == 1


@pytest.mark.parametrize(
    "outage",
    [
        *map(request_refused, (400, 413, 429, 500, 502, 503, 504)),
        no_response(Fault.TIMEOUT),
        no_response(Fault.CONNECTION),
    ],
    ids=lambda response: str(response.status or response.fault),
)
def test_4_an_outage_dead_letters_nothing_and_moves_no_offset(outage: BatchResponse) -> None:
    """Adobe's sink sends the batch to the dead-letter topic after a second; without one it swallows the refusal, and the offset moves on."""
    bench = Bench(lambda request, now: outage, linger_s=0.0).read(record_slice(0, pieces(3))).settle(1800.0)

    assert bench.dead_letters.published == []
    assert bench.source.stored == {SOURCE: 0}
    bench.sender.aep = healthy_aep
    bench.settle(200.0)
    assert bench.dead_letters.published == []
    assert bench.source.stored == {SOURCE: 3}


def test_5_a_429_is_waited_out() -> None:
    """Adobe's sink never retries a 429, never reads Retry-After, and its back-off is a constant 300 ms."""
    sent: list[float] = []

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        sent.append(now)
        return (
            request_refused(429, retry_after="17")
            if len(sent) == 1
            else request_refused(429)
            if len(sent) < 12
            else healthy_aep(request)
        )

    bench = (
        Bench(aep, linger_s=0.0, policy={"max_in_flight": 8}).read(record_slice(0, pieces(3))).settle(1000.0)
    )
    gaps = [after - before for before, after in pairwise(sent)]

    assert 17.0 <= gaps[0] < 17.5
    assert max(gaps[6:]) > 3 * max(gaps[1:4])
    assert bench.inlets["inlet"].concurrency.allowed < 8
    assert bench.source.stored == {SOURCE: 3}


def tokens(served: list[str], secret: str = "hush-hush") -> TokenSource:
    def ims(request: httpx.Request) -> httpx.Response:
        if secret.encode() not in request.content:
            return httpx.Response(
                400, json={"error": "invalid_client", "error_description": f"invalid client_secret {secret}"}
            )
        served.append(f"token-{len(served)}")
        return httpx.Response(
            200, json={"access_token": served[-1], "token_type": "bearer", "expires_in": 86399}
        )

    client = httpx.Client(transport=httpx.MockTransport(ims))
    return TokenSource(
        url="https://ims.example/token",
        client_id="me",
        secret=lambda: secret,
        scope="openid",
        client=client,
        clock=lambda: 0.0,
    )


def test_6_a_401_drops_the_cached_token() -> None:
    """Adobe's sink keeps it, and its task stops until a person restarts it."""
    served: list[str] = []
    source = tokens(served)
    first = source.bearer(10.0)
    source.accepted(first)
    good = source.refused(first)
    second = source.bearer(10.0)

    assert good
    assert first != second
    bench = (
        Bench(scripted_aep(BatchResponse(401, token_was_good=True)), linger_s=0.0)
        .read(record_slice(0, pieces(2)))
        .settle(5.0)
    )
    assert bench.source.stored == {SOURCE: 2}


@pytest.mark.parametrize("status", [401, 403, 404, 407])
def test_6_a_refused_token_or_proxy_never_stops_the_bridge(status: int) -> None:
    """A proxy's 407 kills the task of Adobe's sink. Here it is a hold that everybody can see, and that ends by itself."""
    bench = (
        Bench(
            lambda request, now: request_refused(status) if now < 4000 else healthy_aep(request), linger_s=0.0
        )
        .read(record_slice(0, pieces(2)))
        .settle(2500.0)
    )
    assert bench.inlets["inlet"].hold is not None
    assert len(bench.events.of(ProbeFailed)) > 5
    assert bench.dead_letters.published == []

    bench.settle(2000.0)
    assert bench.source.stored == {SOURCE: 2}
    assert len(bench.events.of(InletReleased)) == 1


def test_7_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Adobe's sink logs the client secret and the proxy's password at INFO."""
    caplog.set_level(logging.DEBUG)
    served: list[str] = []
    source = tokens(served)
    token = source.bearer(10.0)
    shown = caplog.text + repr(source)

    assert "hush-hush" not in shown
    assert token.removeprefix("Bearer ") not in shown


@pytest.mark.parametrize("sign", ["é", "€", "😀", "\U0010ffff"])
def test_8_batches_are_measured_in_bytes_before_adding(sign: str) -> None:
    """Adobe's sink counts UTF-16 characters, after adding, and has no guard at 1 MB: with these signs its requests are up to three times too large."""
    value = ('{"x":"' + sign * 20_000 + '"}').encode()
    bench = Bench(linger_s=0.0).read(record_slice(0, [value] * 60)).settle()
    sizes = [len(body(request.pieces)) for request in bench.sender.requests]

    assert all(size <= 1_000_000 for size in sizes)
    assert all(size + len(value) + 1 > 1_000_000 for size in sizes[:-1]), "and they are full"
    assert bench.source.stored == {SOURCE: 60}


def test_8_a_read_does_not_flush_what_is_open() -> None:
    """Every poll of Adobe's sink sends what is left over, however little."""
    bench = Bench(linger_s=1.0)
    for at in range(20):
        bench.read(record_slice(at, pieces(1)))
    bench.settle()

    assert [len(request.pieces) for request in bench.sender.requests] == [20]


def test_8_requests_go_out_side_by_side() -> None:
    """Adobe's sink makes one at a time."""
    bench = (
        Bench(never_answers, max_messages=1, policy={"max_in_flight": 8})
        .read(record_slice(0, pieces(20)))
        .turn()
    )

    assert len(bench.sender.open) == 8


# -- offsets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("failed", range(4))
def test_a_failed_batch_is_not_passed_over_by_a_later_one(failed: int) -> None:
    """vector #24543, #24215; faststream #2618: the next batch stored a higher offset, and the failed one was never sent again."""
    stuck = pieces(8)[failed * 2]
    bench = Bench(
        lambda request, now: request_refused(503) if stuck in request.pieces else healthy_aep(request),
        max_messages=2,
        linger_s=0.0,
    )
    bench.read(record_slice(0, pieces(8))).settle(120.0)

    assert bench.source.stored == {SOURCE: failed * 2}
    assert all(offset <= failed * 2 for _, offset in bench.source.history)
    bench.sender.aep = healthy_aep
    bench.settle(120.0)
    assert bench.source.stored == {SOURCE: 8}


def test_the_first_incomplete_offset_is_stored_not_the_highest_seen() -> None:
    """parallel-consumer #826: what was read ahead was committed."""
    bench = Bench(never_answers, max_messages=2, linger_s=0.0).read(record_slice(0, pieces(100))).turn(20)
    for _ in range(len(bench.sender.open) - 1):
        bench.sender.respond(-1)
        bench.turn()

    assert bench.source.stored == {SOURCE: 0}


# -- rebalances ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["revoked", "lost", "assigned"])
def test_an_acknowledgement_that_lands_after_the_partition_went_moves_nothing(how: str) -> None:
    """redpanda-data/connect PR #4477: it moved an offset that another member owned by then. The same partition come back is fenced, too."""
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(0, pieces(4))).turn()
    if how == "assigned":
        bench.assign(SOURCE)
    else:
        getattr(bench.engine, how)([SOURCE])
        bench.assign(SOURCE)
    bench.source.stored.clear()
    bench.read(record_slice(0, pieces(2))).turn(3)
    bench.sender.respond(0)
    bench.turn(3)

    assert bench.source.stored.get(SOURCE, 0) == 0


def test_unsent_records_are_not_covered_by_the_offsets_of_a_revoke() -> None:
    """redpanda-data/connect #4010: 10,433 records lost in a cooperative rebalance, committed while they still waited for their batch."""
    bench = Bench(linger_s=5.0, max_messages=10, partitions=2)
    bench.read(record_slice(0, pieces(25)), record_slice(0, pieces(3, name="x"), T1)).turn(3)
    bench.engine.revoked([SOURCE])
    sent = {piece for request in bench.sender.requests for piece in request.pieces}
    stored = bench.source.stored[SOURCE]

    assert set(pieces(25)[:stored]) <= sent
    assert stored == 20


def test_a_revoke_is_over_long_before_the_group_gives_up_on_us() -> None:
    """quix-streams #1131: the work of a revoke overran `max.poll.interval.ms`, the member was thrown out, and so on in a circle. One deadline for all waits."""
    bench = Bench(never_answers, linger_s=0.0, max_messages=1, partitions=20, revoke_timeout_s=10.0)
    bench.dead_letters.refuse = lambda _: "no leader"
    sources = [TopicPartition("t", at) for at in range(20)]
    bench.read(
        *(record_slice(0, [b"not json", *pieces(20, name=str(source))], source) for source in sources)
    ).turn(5)
    before = bench.time.now
    bench.engine.revoked(sources)

    assert bench.time.now - before < 10.1


def test_partitions_that_were_taken_already_can_be_named_in_a_revoke() -> None:
    """confluent-kafka-python #1551: after a session time-out the callback names partitions that we do not hold."""
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(0, pieces(2))).turn()
    bench.engine.lost([SOURCE])
    bench.engine.revoked([SOURCE, T1])
    bench.engine.lost([SOURCE, T1])

    assert bench.engine.view.lanes == {}


# -- dead letters ------------------------------------------------------------------------------------------


def test_a_dead_letter_that_fails_is_not_dropped() -> None:
    """arroyo `processor.py`: where the dead-letter producer fails, the record is gone. Here it is back-pressure, for as long as it takes."""
    bench = Bench(linger_s=0.0, max_messages=2)
    bench.dead_letters.refuse = lambda _: "NOT_ENOUGH_REPLICAS"
    bench.read(record_slice(0, [*pieces(2, bad=[0]), b"not json", *pieces(2, name="x")])).settle(3600.0)
    assert bench.source.stored == {SOURCE: 0}

    bench.dead_letters.refuse = lambda _: ""
    bench.settle(120.0)
    assert {dead_letter.record.offset() for dead_letter in bench.dead_letters.published} == {0, 2}
    assert bench.source.stored == {SOURCE: 5}


# -- pauses ---------------------------------------------------------------------------------------------------------


def test_records_of_a_paused_partition_are_taken_in_like_any() -> None:
    """arroyo #412: "paused, so poll returns nothing" is false during a rebalance; there it was an assertion that ended the process."""
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
    """parallel-consumer #857, librdkafka #1849, #5113: a partition that was paused, or came back after a pause, is read on when there is room."""
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
        bench.assign(T1)
        assert T1 in bench.source.paused
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


# -- memory ------------------------------------------------------------------------------------------------------------


def test_an_hour_of_429_grows_no_queue() -> None:
    """vector #17276: a request queue without a bound. The window is all that is ever held, and the rest stays in Kafka."""
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


class WeaklyReferencedRecord(MemoryRecord):
    """A record that tells when nobody holds it any more."""

    __slots__ = ("__weakref__",)


def test_nothing_is_kept_for_the_case_of_a_dead_letter() -> None:
    """arroyo #431: a second buffer of everything that is in flight. A record is held by its batch only, and goes with it."""
    values = pieces(20, bad=[3])
    records: list[WeaklyReferencedRecord] = [
        WeaklyReferencedRecord(SOURCE, at, value) for at, value in enumerate(values)
    ]
    held = [weakref.ref(each) for each in records]
    bench = Bench(linger_s=0.0)
    bench.source.feed.append([Slice(SOURCE, records, values, 20, 20_000)])
    del records
    bench.settle()
    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [3]

    bench.dead_letters.published.clear()
    bench.events.log.clear()
    gc.collect()
    assert sum(ref() is not None for ref in held) == 0
    assert 0.0 == pytest.approx(bench.used)


# -- whose fault --------------------------------------------------------------------------------------------------------------


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


def test_a_record_without_key_and_headers_is_dead_lettered_as_it_is() -> None:
    """Nothing is made up for it; all the headers are ours."""
    bench = Bench(linger_s=0.0)
    bench.source.feed.append(
        [Slice(SOURCE, [MemoryRecord(SOURCE, 0, b"not json", None, None)], [b"not json"], 1, 600)]
    )
    bench.settle()
    [dead_letter] = bench.dead_letters.published

    assert dead_letter.record.key() is None
    assert all(name.startswith(("__connect.errors.", "aep.")) for name, _ in dead_letter_headers(dead_letter))
