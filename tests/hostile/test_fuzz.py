"""Fuzz of everything that strangers write: records, AEP's answers, the token endpoint's, the configuration, and what becomes of it in a dead letter."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge.codec.envelope import entity_wrapper
from bridge.codec.error_text import error_text
from bridge.codec.multi_status import VerdictKind, verdicts
from bridge.codec.request import body, body_size
from bridge.codec.routes import Route
from bridge.codec.validation import group_records
from bridge.config.loader import ConfigurationError, load
from bridge.config.settings import Settings
from bridge.http.oauth import TokenError, TokenSource
from bridge.kafka.dead_letter_headers import ERROR_BYTES, dead_letter_headers
from bridge.model import DeadLetter, Format, Reason, Refusal, TopicPartition
from tests.support.memory import MemoryRecord
from tests.support.xdm import envelope as event

CANARY = "canary-7f3d91c5"
ROUTES = [
    Route("t", Format.ENVELOPE, "i", None),
    Route("t", Format.ENVELOPE, "i", "5d86d1a29ba7e11648cc3afb", tombstones=True),
    Route(
        "t",
        Format.ENTITY,
        "i",
        "d",
        entity_wrapper(schema_id="https://s", schema_version="1", ims_org_id="A@AdobeOrg", dataset_id="d"),
    ),
    Route("t", Format.RAW, "i", "d"),
]
FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["header", "datasetId", "body", "xdmEntity", "_id", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@st.composite
def spoilt(draw: st.DrawFn, text: bytes) -> bytes:
    """A text with bytes changed, left out, doubled."""
    data = bytearray(text)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from("xcdi")):
            case "x":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "c":
                del data[at:]
            case "d":
                data[at:at] = data[at : at + draw(st.integers(1, 30))]
            case _:
                data[at:at] = draw(
                    st.sampled_from(
                        [
                            b'"',
                            b"\\",
                            b"\\u0000",
                            b"\\ud800",
                            b"{",
                            b"}",
                            b"[",
                            b",",
                            b"\xff",
                            b"NaN",
                            b"1e999",
                            b"\x00",
                            b"null",
                        ]
                    )
                )
    return bytes(data)


GOOD = event("e", "A@AdobeOrg")
TWICE = b'{"header":{"datasetId":null,"datasetId":"d"}}'
values = st.lists(
    st.none()
    | st.binary(max_size=60)
    | plain.map(lambda value: json.dumps(value).encode())
    | spoilt(GOOD)
    | spoilt(event("e", "A@AdobeOrg", dataset=None))
    | st.sampled_from(
        [
            b"",
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b'{"header":{"datasetId":"' + b"x" * 999_990 + b'"}}',
            b'{"header":{"datasetId":null,"datasetId":"d"}}',
        ]
    ),
    max_size=12,
)


@FUZZ
@given(values, st.sampled_from(ROUTES))
def test_every_record_is_routed_refused_or_skipped_and_never_raises(
    batch: list[bytes | None], route: Route
) -> None:
    """The runs cover the slice in order; what goes out is one JSON object that AEP's own reader would take, within the limit; what does not has a text."""
    runs = group_records(route, batch)

    assert [at for run in runs for at in range(run.start, run.stop)] == list(range(len(batch)))
    for run in runs:
        if run.refusal is not None:
            assert run.refusal.error
            assert run.stop == run.start + 1
        elif run.pieces:
            assert len(run.pieces) == run.stop - run.start
            for piece, value in zip(run.pieces, batch[run.start : run.stop], strict=True):
                assert value is not None
                assert isinstance(json.loads(piece.decode()), dict)
                assert len(piece) + 20 < 1_000_020
        else:
            assert all(value is None for value in batch[run.start : run.stop])


@FUZZ
@given(values)
def test_one_record_spoils_no_request(batch: list[bytes | None]) -> None:
    """Whatever passes the check can stand beside any other in one body, which is JSON of the size that was computed."""
    pieces = [piece for run in group_records(ROUTES[0], batch) if run.refusal is None for piece in run.pieces]
    sent = body(pieces)

    assert len(json.loads(sent)["messages"]) == len(pieces)
    assert len(sent) == body_size(pieces)


answers = (
    st.binary(max_size=80)
    | plain.map(lambda value: json.dumps(value).encode())
    | st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "xactionId": plain
                | st.builds(lambda at: f"1565650704337:2124:50:3:{at}", st.integers(-3, 12)),
                "statusCode": plain
                | st.sampled_from([200, 207, 400, 413, 422, 429, 500, 503, "400", "x", 1 << 70, -1, True]),
                "status": plain | st.sampled_from([400, "400", 503]),
                "message": plain,
            },
        ),
        max_size=6,
    ).map(lambda entries: json.dumps({"inletId": "i", "responses": entries}).encode())
    | spoilt(json.dumps({"responses": [{"xactionId": f"b:{at}"} for at in range(4)]}).encode())
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


@FUZZ
@given(answers, st.integers(0, 8))
@example(
    b'{"responses": [{" actionId": "\x80:0"}, {"xactionId": "b:1"}, {"xactionId": "b:2"}, {"xactionId": "b:3"}]}',
    4,
)
@example(b'{"note":"\x80","responses":[{"xactionId":"b:0"}]}', 1)
def test_no_answer_raises_and_each_message_gets_one_verdict(answer: bytes, count: int) -> None:
    """One verdict for each message, bounded in size; accepted and refused only out of an answer that is JSON."""
    found = verdicts(answer, count)

    assert count == len(found)
    assert all(len(each.error) <= 20_000 for each in found)
    assert len(error_text(answer)) <= 20_000
    try:
        json.loads(answer)
    except (ValueError, RecursionError):
        assert all(each.kind is VerdictKind.UNKNOWN for each in found)


@FUZZ
@given(
    answers
    | plain.map(
        lambda value: json.dumps({"access_token": value, "expires_in": value, "error": CANARY}).encode()
    ),
    st.integers(200, 599),
)
def test_the_token_endpoint_can_say_what_it_likes(answer: bytes, status: int) -> None:
    """A token, or a TokenError in which the secret does not appear, even where the answer repeats it."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=answer))
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


names = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@FUZZ
@given(
    st.lists(
        st.tuples(
            names | st.sampled_from(["aep.replay.count", "aep.error", "__connect.errors.topic"]),
            st.none() | st.binary(max_size=20),
        ),
        max_size=5,
    ),
    st.text(max_size=30) | st.characters().map(lambda text: text * 9000) | st.just("\ud800" * 9000),
    st.none() | st.integers(100, 599),
    st.sampled_from(list(Reason)),
)
def test_a_dead_letters_headers_are_bounded_and_keep_the_records(
    headers: list[tuple[str, bytes | None]], error: str, status: int | None, reason: Reason
) -> None:
    """The record's own headers come first and unchanged; ours are bytes; the error is at most 8 KiB of UTF-8."""
    record = MemoryRecord(TopicPartition("t", 0), 7, b"v", b"k", headers)
    built = dead_letter_headers(
        DeadLetter(record, "t.dlq", Refusal(reason, error, status, 1), "b", "i", None)
    )

    assert headers == built[: len(headers)]
    assert all(isinstance(name, str) and (value is None or isinstance(value, bytes)) for name, value in built)
    text = dict(built[len(headers) :])["aep.error"]
    assert text is not None
    assert len(text) <= ERROR_BYTES
    text.decode()


CONFIG: dict[str, Any] = {
    "kafka": {
        "bootstrap_servers": "k:9092",
        "properties": {"sasl.password": CANARY, "sasl.username": "u", "sasl.mechanism": "PLAIN"},
    },
    "aep": {
        "inlet_url": "https://dcs.adobedc.net/collection/abc",
        "ims_org_id": "A@AdobeOrg",
        "headers": {"x-api-key": CANARY},
        "proxy_url": f"http://u:{CANARY}@proxy:3128",
        "auth": {
            "token_url": "https://ims.example/token",
            "client_id": "c",
            "client_secret": CANARY,
            "scope": "s",
        },
    },
    "topics": [
        {"topic": "t", "format": "entity", "dataset_id": "d", "schema_id": "https://s", "schema_version": "1"}
    ],
    "delivery": {"request_timeout_s": 5},
}
TEXT = yaml.safe_dump(CONFIG, sort_keys=False)


def loaded(folder: Path, text: bytes, environ: dict[str, str]) -> str:
    """What a user would get to see: the masked configuration, or the error."""
    path = folder / "config.yaml"
    path.write_bytes(text)
    try:
        found = load(path, environ, limit=lambda: None)
    except ConfigurationError as error:
        assert error.__cause__ is None
        assert error.__context__ is None
        return str(error)
    assert isinstance(found, Settings)
    return json.dumps(found.masked()) + repr(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all examples."""
    return tmp_path_factory.mktemp("configuration")


@FUZZ
@given(spoilt(TEXT.encode()))
@example(TEXT.replace("x-api-key", "x-api-kNaNey").encode())
def test_a_spoilt_configuration_is_an_error_or_settings_without_a_secret(folder: Path, text: bytes) -> None:
    """`load` raises nothing else, and shows no whole secret, whatever was mistyped around it."""
    assert CANARY not in loaded(folder, text, {})


places = [
    ("kafka",),
    ("aep",),
    ("aep", "auth"),
    ("delivery",),
    ("topics",),
    ("batch",),
    ("admin",),
    ("kafka", "properties"),
    ("aep", "headers"),
]


@FUZZ
@given(st.sampled_from(places), st.text(max_size=10), plain)
def test_anything_at_any_place_of_the_configuration(
    folder: Path, place: tuple[str, ...], key: str, value: Any
) -> None:
    """A value of any type under any key, or in a section's place."""
    config = json.loads(json.dumps(CONFIG))
    inner = config
    for step in place[:-1]:
        inner = inner[step]
    if key and isinstance(inner.get(place[-1]), dict):
        inner[place[-1]][key] = value
    else:
        inner[place[-1]] = value
    try:
        text = yaml.safe_dump(config).encode()
    except yaml.YAMLError:
        return

    assert CANARY not in loaded(folder, text, {})


variables = [
    "KAFKA__GROUP_ID",
    "TOPICS",
    "DELIVERY__REQUEST_TIMEOUT_S",
    "X",
    "AEP__",
    "__",
    "TOPICS__0__TOPIC",
    "AEP__AUTH__CLIENT_SECRET",
]


@FUZZ
@given(st.sampled_from(variables), st.text(st.characters(exclude_characters="\x00"), max_size=20))
def test_any_variable(folder: Path, name: str, value: str) -> None:
    """A variable is settings or an error; a secret in it is not shown."""
    given_secret = {"AEP_BRIDGE_AEP__AUTH__CLIENT_SECRET": value + CANARY}

    assert CANARY not in loaded(
        folder,
        TEXT.encode(),
        given_secret | {f"AEP_BRIDGE_{name}": value + (CANARY if name.endswith("SECRET") else "")},
    )


def test_a_secret_is_not_in_a_repr() -> None:
    """The type that holds secrets masks them."""
    assert CANARY not in repr(SecretStr(CANARY))
