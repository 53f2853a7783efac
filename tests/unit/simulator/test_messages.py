"""The simulator judges messages as Adobe's collection service does, and keeps their bytes."""

from __future__ import annotations

import msgspec
import pytest

from bridge.simulator import DEFAULT_INLET, DEFAULT_ORG, Config
from bridge.simulator.messages import Judgement, entity_bytes, judge, ordering_key, split_batch

CONTENT_TYPE = "application/vnd.adobe.xed-full+json;version=1"
REF = f'{{"id":"https://ns.adobe.com/tenant/schemas/1","contentType":"{CONTENT_TYPE}"}}'
HEADER = f'{{"schemaRef":{REF},"imsOrgId":"{DEFAULT_ORG}","datasetId":"d1"}}'
BODY = f'{{"xdmMeta":{{"schemaRef":{REF}}},"xdmEntity":{{ "_id" : "e1","n":1.50 }}}}'
GOOD = f'{{"header":{HEADER},"body":{BODY}}}'


def judgement(text: str, config: Config | None = None) -> Judgement:
    return judge(msgspec.Raw(text.encode()), DEFAULT_INLET, config or Config())


def test_a_good_message_is_accepted_under_its_id() -> None:
    """Tests count events by the entity's `_id`."""
    assert judgement(GOOD) == Judgement("e1")


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
    """Each mistake that Adobe documents is a 400 with its own text, which users meet in a dead letter."""
    refusal = judgement(text)

    assert refusal.status == 400
    assert error in refusal.error


def test_a_missing_org_can_be_accepted() -> None:
    """Adobe's pages contradict each other here, so both behaviours are an option."""
    assert judgement(GOOD.replace("imsOrgId", "org"), Config(missing_org="accept")).accepted


def test_datasets_bind_schemas() -> None:
    """Where datasets are configured, a message must name one of them with that dataset's schema."""
    schema = "https://ns.adobe.com/tenant/schemas/1"

    assert judgement(GOOD, Config(datasets={"d1": schema})).accepted
    assert judgement(GOOD, Config(datasets={"d1": "other"})).status == 400
    assert judgement(GOOD, Config(datasets={"d2": schema})).status == 400


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
def test_a_body_without_a_list_of_messages_is_no_batch(body: bytes) -> None:
    """AEP refuses such a request as a whole, whether it is not JSON, not UTF-8, or holds no list."""
    assert split_batch(body) is None


def test_messages_keep_their_bytes() -> None:
    """Tests compare what arrived with what was produced, so white space and numbers must not change."""
    first, second = split_batch(f'{{"messages": [ {GOOD} ,{GOOD}]}}'.encode()) or []

    assert GOOD.encode() == bytes(first)
    assert GOOD.encode() == bytes(second)
    assert entity_bytes(bytes(first)) == b'{ "_id" : "e1","n":1.50 }'
    assert ordering_key(first, "_id", enveloped=True) == "e1"
    assert ordering_key(first, "n", enveloped=True) == "1.50"
    assert ordering_key(first, "nothing", enveloped=True) == ""
