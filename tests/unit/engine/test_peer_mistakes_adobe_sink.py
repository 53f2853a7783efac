"""Mistakes of Adobe's own Kafka Connect sink, each shown not to be ours."""

from __future__ import annotations

import logging
from itertools import pairwise

import httpx
import pytest

from bridge.codec.request import body
from bridge.engine.events import InletReleased, ProbeFailed, RecordsAccepted
from bridge.http.oauth import TokenSource
from bridge.kafka.dead_letter_headers import dead_letter_headers
from bridge.model import BatchRequest, BatchResponse, Fault, Reason
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, pieces, record_slice
from tests.support.scripted_aep import (
    entry_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    never_answers,
    no_response,
    request_refused,
    scripted_aep,
)


def test_1_a_filtered_record_does_not_shift_the_blame() -> None:
    """Adobe's sink drops what is not JSON and applies the failure's index to the unfiltered list: its dead
    letter names the wrong record.
    """
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
    """Adobe's sink knows only `status`: the documented `statusCode` form counts as success, and the record is
    gone.
    """
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
    """Adobe's sink sends the batch to the dead-letter topic after a second; without one it swallows the
    refusal, and the offset moves on.
    """
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
    """A proxy's 407 kills the task of Adobe's sink. Here the inlet is held, which the status shows, and the
    hold ends by itself.
    """
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
    """Adobe's sink counts UTF-16 characters, after adding, and has no guard at 1 MB: with these signs its
    requests are up to three times too large.
    """
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
