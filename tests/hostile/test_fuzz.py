"""Fuzz of what comes in at run time: records, responses of AEP and the token endpoint, record headers."""

from __future__ import annotations

import json
import time

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.codec.envelope import entity_wrapper
from bridge.codec.error_text import error_text
from bridge.codec.multi_status import VerdictKind, verdicts
from bridge.codec.request import MAX_REQUEST_BYTES, body, body_size
from bridge.codec.routes import Route
from bridge.codec.validation import group_records
from bridge.http.oauth import TokenError, TokenSource
from bridge.kafka.dead_letter_headers import ERROR_BYTES, dead_letter_headers
from bridge.model import DeadLetter, Format, Reason, Refusal, TopicPartition
from tests.hostile.strategies import CANARY, FUZZ, JSON_VALUES, damaged, encoded
from tests.support.memory import MemoryRecord
from tests.support.xdm import envelope

WRAPPER = entity_wrapper(schema_id="https://s", schema_version="1", ims_org_id="A@AdobeOrg", dataset_id="d")
ROUTES = [
    Route("t", Format.ENVELOPE, "i", None),
    Route("t", Format.ENVELOPE, "i", "5d86d1a29ba7e11648cc3afb", tombstones=True),
    Route("t", Format.ENTITY, "i", "d", WRAPPER),
    Route("t", Format.RAW, "i", "d"),
]
LARGE_OR_ODD = [
    b"",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"header":{"datasetId":"' + b"x" * 999_990 + b'"}}',
    b'{"header":{"datasetId":null,"datasetId":"d"}}',
]
VALUES = st.lists(
    st.none()
    | st.binary(max_size=60)
    | JSON_VALUES.map(encoded)
    | damaged(envelope("e", "A@AdobeOrg"))
    | damaged(envelope("e", "A@AdobeOrg", dataset=None))
    | st.sampled_from(LARGE_OR_ODD),
    max_size=12,
)


@FUZZ
@given(VALUES, st.sampled_from(ROUTES))
def test_every_record_is_sent_refused_or_skipped(values: list[bytes | None], route: Route) -> None:
    """No record is left out; what is sent is a JSON object within the limit, and a refusal has a text."""
    groups = group_records(route, values)

    covered = [index for group in groups for index in range(group.start, group.stop)]
    assert covered == list(range(len(values)))
    for group in groups:
        own = values[group.start : group.stop]
        if group.refusal is not None:
            assert group.refusal.error
            assert group.stop == group.start + 1
        elif group.pieces:
            assert len(group.pieces) == len(own)
            for piece, value in zip(group.pieces, own, strict=True):
                assert value is not None
                assert isinstance(json.loads(piece.decode()), dict)
                assert body_size([piece]) <= MAX_REQUEST_BYTES
        else:
            assert own == [None] * len(own)


@FUZZ
@given(VALUES)
def test_one_record_spoils_no_request(values: list[bytes | None]) -> None:
    """Records that pass the check can stand together in one body, which has the size that was computed."""
    groups = group_records(ROUTES[0], values)
    pieces = [piece for group in groups if group.refusal is None for piece in group.pieces]
    request = body(pieces)

    assert len(json.loads(request)["messages"]) == len(pieces)
    assert len(request) == body_size(pieces)


IDS = st.integers(-3, 12).map("1565650704337:2124:50:3:{}".format)
STATUS_CODES = [200, 207, 400, 413, 422, 429, 500, 503, "400", "x", 1 << 70, -1, True]
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "xactionId": JSON_VALUES | IDS,
        "statusCode": JSON_VALUES | st.sampled_from(STATUS_CODES),
        "status": JSON_VALUES | st.sampled_from([400, "400", 503]),
        "message": JSON_VALUES,
    },
)
RESPONSES = (
    st.binary(max_size=80)
    | JSON_VALUES.map(encoded)
    | st.lists(ENTRIES, max_size=6).map(lambda entries: encoded({"inletId": "i", "responses": entries}))
    | damaged(encoded({"responses": [{"xactionId": f"b:{at}"} for at in range(4)]}))
    | st.sampled_from(
        [
            b"",
            b"[" * 200_000,
            b'{"responses":' * 100_000,
            b'{"responses":[{"xactionId":' + b"9" * 10_000 + b"}]}",
            b'{"responses":null}',
        ]
    )
)
NOT_UTF8_IN_A_SKIPPED_KEY = (
    b'{"responses": [{" actionId": "\x80:0"}, {"xactionId": "b:1"}, '
    b'{"xactionId": "b:2"}, {"xactionId": "b:3"}]}'
)


@FUZZ
@given(RESPONSES, st.integers(0, 8))
@example(NOT_UTF8_IN_A_SKIPPED_KEY, 4)
@example(b'{"note":"\x80","responses":[{"xactionId":"b:0"}]}', 1)
def test_each_message_gets_one_verdict_of_any_response(response: bytes, count: int) -> None:
    """A response that is not JSON accepts and refuses nothing, and no error text is without a bound."""
    result = verdicts(response, count)

    assert len(result) == count
    assert all(len(verdict.error) <= 20_000 for verdict in result)
    assert len(error_text(response)) <= 20_000
    try:
        json.loads(response)
    except (ValueError, RecursionError):
        assert all(verdict.kind is VerdictKind.UNKNOWN for verdict in result)


def token_response(value: object) -> bytes:
    return encoded({"access_token": value, "expires_in": value, "error": CANARY})


@FUZZ
@given(RESPONSES | JSON_VALUES.map(token_response), st.integers(200, 599))
def test_any_response_of_the_token_endpoint_is_a_token_or_a_token_error(response: bytes, status: int) -> None:
    """The secret does not appear in the error, even if the response repeats it."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=response))
    source = TokenSource(
        url="http://ims.example/token",
        client_id="c",
        secret=lambda: CANARY,
        scope="s",
        client=httpx.Client(transport=transport),
        refresh_ahead_s=60,
    )
    try:
        bearer = source.bearer(time.monotonic() + 1)
    except TokenError as error:
        assert CANARY not in str(error)
        assert len(str(error)) < 20_000
    else:
        assert bearer.isascii()
        assert bearer.isprintable()
    assert CANARY not in f"{source!r} {source.last_error}"


HEADER_NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["aep.replay.count", "aep.error", "__connect.errors.topic"]
)
HEADERS = st.lists(st.tuples(HEADER_NAMES, st.none() | st.binary(max_size=20)), max_size=5)
ERRORS = st.text(max_size=30) | st.characters().map(lambda text: text * 9000) | st.just("\ud800" * 9000)


@FUZZ
@given(HEADERS, ERRORS, st.none() | st.integers(100, 599), st.sampled_from(list(Reason)))
def test_a_dead_letter_keeps_the_records_headers_and_bounds_its_own(
    headers: list[tuple[str, bytes | None]], error: str, status: int | None, reason: Reason
) -> None:
    """The record's own headers come first, unchanged, and the error is at most 8 KiB of UTF-8."""
    record = MemoryRecord(TopicPartition("t", 0), 7, b"v", b"k", headers)
    letter = DeadLetter(record, "t.dlq", Refusal(reason, error, status, 1), "b", "i", None)
    all_headers = dead_letter_headers(letter)
    kept, added = all_headers[: len(headers)], all_headers[len(headers) :]

    assert kept == headers
    assert all(isinstance(name, str) for name, _ in all_headers)
    assert all(value is None or isinstance(value, bytes) for _, value in all_headers)
    text = dict(added)["aep.error"]
    assert text is not None
    assert len(text) <= ERROR_BYTES
    text.decode()
