"""The simulator's pure parts: rules, shapes, judgement, configuration."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest

from bridge.simulator import DEFAULT_INLET, DEFAULT_ORG, Config, Rule, Shape
from bridge.simulator.answers import Answers
from bridge.simulator.config import changed
from bridge.simulator.faults import Faults
from bridge.simulator.http import Request
from bridge.simulator.messages import Judged, entity_bytes, judge, ordering_key, split

REF = '{"id":"https://ns.adobe.com/tenant/schemas/1","contentType":"application/vnd.adobe.xed-full+json;version=1"}'
HEADER = f'{{"schemaRef":{REF},"imsOrgId":"{DEFAULT_ORG}","datasetId":"d1"}}'
BODY = f'{{"xdmMeta":{{"schemaRef":{REF}}},"xdmEntity":{{ "_id" : "e1","n":1.50 }}}}'
GOOD = f'{{"header":{HEADER},"body":{BODY}}}'


def request(body: bytes = b"{}") -> Request:
    return Request("POST", "/", "", {}, body, len(body))


def verdict(text: str, config: Config | None = None) -> Judged:
    return judge(msgspec.Raw(text.encode()), DEFAULT_INLET, config or Config())


def test_a_sound_message_is_accepted_under_its_id() -> None:
    """The id is the entity's `_id`."""

    assert verdict(GOOD) == Judged("e1")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f'{{"body":{BODY}}}', "The 'header' field is mandatory"),
        (f'{{"header":{HEADER}}}', "unknown xdm format"),
        (GOOD.replace(f'"schemaRef":{REF},', "", 1), "unknown xdm format"),
        (GOOD.replace("schemas/1", "schemas/2", 1), "unknown xdm format"),
        (GOOD.replace('"schemaRef"', '"xdmSchema"'), "unknown xdm format"),
        (GOOD.replace(DEFAULT_ORG, "other@AdobeOrg"), "absent or wrong ims org"),
        (GOOD.replace("imsOrgId", "org"), "absent or wrong ims org"),
        ('"text"', "unknown xdm format"),
        ("17", "unknown xdm format"),
        ('{"header":[],"body":1}', "unknown xdm format"),
    ],
)
def test_a_wrong_message_is_refused_in_adobes_words(text: str, error: str) -> None:
    """Each of the documented mistakes is a 400 with its own text."""
    judged = verdict(text)

    assert judged.status == 400
    assert error in judged.error


def test_a_missing_org_can_be_accepted() -> None:
    """Adobe's pages contradict each other; both behaviours are there."""

    assert verdict(GOOD.replace("imsOrgId", "org"), Config(missing_org="accept")).status is None


def test_datasets_bind_schemas() -> None:
    """Where datasets are configured, the schema must be the dataset's."""

    assert verdict(GOOD, Config(datasets={"d1": "https://ns.adobe.com/tenant/schemas/1"})).status is None
    assert verdict(GOOD, Config(datasets={"d1": "other"})).status == 400
    assert verdict(GOOD, Config(datasets={"d2": "https://ns.adobe.com/tenant/schemas/1"})).status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"messages":1}',
        b'{"messages":[{]}',
        b'{"messages":["\xff"]}',
        b'{"messages":[' + b"[" * 100_000,
    ],
)
def test_a_body_without_messages_does_not_split(body: bytes) -> None:
    """Not JSON, not UTF-8, no list: none of these is a batch."""

    assert split(body) is None


def test_messages_keep_their_bytes() -> None:
    """What is cut out of the body is what was sent, spaces and numbers untouched."""
    first, second = split(f'{{"messages": [ {GOOD} ,{GOOD}]}}'.encode()) or []

    assert bytes(first) == bytes(second) == GOOD.encode()
    assert entity_bytes(bytes(first)) == b'{ "_id" : "e1","n":1.50 }'
    assert ordering_key(first, "_id", enveloped=True) == "e1"
    assert ordering_key(first, "n", enveloped=True) == "1.50"
    assert ordering_key(first, "nothing", enveloped=True) == ""


def test_every_counts_matching_requests_only() -> None:
    """`every` and `after` count the requests that meet the other conditions."""
    faults = Faults()
    number = faults.add(Rule(action="status", contains="x", after=1, every=2))
    bodies = [b"x", b"y", b"x", b"x", b"y", b"x", b"x"]

    assert [faults.choose("ingest", None, request(body)).answer is not None for body in bodies] == [
        False,
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert faults.fired(number) == 2


def test_rules_queue_up() -> None:
    """The first rule that is not spent answers."""
    faults = Faults()
    faults.add(Rule(action="status", status=500, times=1))
    faults.add(Rule(action="hang", times=1))

    chosen = [faults.choose("ingest", None, request()).answer for _ in range(3)]

    assert [armed and armed.rule.action for armed in chosen] == ["status", "hang", None]


def test_probability_is_seeded() -> None:
    """The same seed draws the same requests."""

    def run() -> list[bool]:
        faults = Faults()
        faults.add(Rule(action="status", probability=0.3, seed=7))
        return [faults.choose("ingest", None, request()).answer is not None for _ in range(200)]

    assert run() == run()
    assert 30 < sum(run()) < 90


def test_delays_add_up_and_accompany_an_answer() -> None:
    """A delay leaves the answer to another rule."""
    faults = Faults()
    faults.add(Rule(action="delay", delay_s=0.5))
    faults.add(Rule(action="reset", delay_s=0.25))
    chosen = faults.choose("ingest", None, request())

    assert chosen.delay_s == 0.75
    assert chosen.answer is not None


@pytest.mark.parametrize(
    ("shape", "check"),
    [
        (
            Shape(),
            lambda r: (
                re.fullmatch(r"\d+:\d+:\d+:0", r[0]["xactionId"])
                and r[1] == {"statusCode": 400, "message": "no"}
            ),
        ),
        (Shape(failure="status"), lambda r: r[1] == {"status": 400, "message": "no"}),
        (Shape(failure="status_uuid"), lambda r: r[1]["xactionId"].endswith("-1") and r[1]["status"] == 400),
        (
            Shape(failure="statusCode_batch"),
            lambda r: r[1]["xactionId"].endswith(":1") and r[1]["statusCode"] == 400,
        ),
        (Shape(failure="string"), lambda r: r[1]["status"] == "400"),
        (Shape(success="uuid"), lambda r: r[0]["xactionId"].endswith("-0") and len(r[0]["xactionId"]) == 38),
        (Shape(success="opaque"), lambda r: re.fullmatch(r"[0-9a-f]{32}x", r[0]["xactionId"])),
        (Shape(success="status"), lambda r: r[0] == {"status": 200}),
        (Shape(success="silent"), lambda r: r[0] == {}),
        (Shape(order="reversed"), lambda r: r[2]["xactionId"].endswith(":0")),
        (Shape(drop=2), lambda r: len(r) == 1),
        (Shape(extra=2), lambda r: len(r) == 5 and r[4]["xactionId"].endswith(":4")),
    ],
)
def test_shapes_spell_the_answer(shape: Shape, check: Callable[[object], bool]) -> None:
    """Each option changes what it names."""
    judged = [Judged("a"), Judged("b", 400, "no"), Judged("c")]
    answer = msgspec.json.decode(Answers(1).multi_status("i", judged, shape))

    assert check(answer["responses"])
    assert answer["inletId"] == "i"


def test_big_numbers_exceed_64_bits() -> None:
    """They are numbers on the wire, larger than any machine integer."""
    text = Answers(1).multi_status("i", [Judged("a")], Shape(big_numbers=True, inlet_key="inletID")).decode()

    assert re.search(r'"receivedTimeMs":\d{30}[,}]', text)
    assert '"inletID":"i"' in text


def test_a_configuration_change_keeps_the_rest() -> None:
    """Nested shapes are merged; an unknown key is an error that names it."""
    config = changed(Config(org="o"), {"latency_ms": 5, "shape": {"drop": 1}})

    assert (config.org, config.latency_ms, config.shape.drop) == ("o", 5, 1)
    with pytest.raises(ValueError, match="latency"):
        changed(config, {"latency": 5})
