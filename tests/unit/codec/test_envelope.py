"""A bare entity becomes a message, and a header gets a dataset, without a change to any other byte."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec.envelope import entity_wrapper, insert_dataset_id
from tests.support.jsontext import OBJECT, as_bytes

DATASET = "5d86d1a29ba7e11648cc3afb"
MEMBER = b'"datasetId":"%b"' % DATASET.encode()


@given(as_bytes(OBJECT), st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
def test_an_entity_is_wrapped_and_nothing_else(entity: bytes, dataset: str) -> None:
    """Ids come from the configuration and may hold quotes, which must not break the message."""
    before, after = entity_wrapper(
        schema_id='https://ns/"1"', schema_version="1", ims_org_id="o@AdobeOrg", dataset_id=dataset
    )
    message = before + entity + after
    parsed = json.loads(message)
    content_type = "application/vnd.adobe.xed-full+json;version=1"

    assert parsed["header"] == {
        "schemaRef": {"id": 'https://ns/"1"', "contentType": content_type},
        "imsOrgId": "o@AdobeOrg",
        "datasetId": dataset,
    }
    assert parsed["body"]["xdmMeta"] == {"schemaRef": parsed["header"]["schemaRef"]}
    raw = msgspec.json.decode(message, type=dict[str, dict[str, msgspec.Raw]])["body"]["xdmEntity"]
    assert bytes(raw).strip() == entity.strip()


@pytest.mark.parametrize(
    ("message", "absent", "expected"),
    [
        (b'{"header":{"a":1},"body":2}', True, b'{"header":{%b,"a":1},"body":2}'),
        (b' { "header" : { "a" : 1 } } ', True, b' { "header" : { %b,"a" : 1 } } '),
        (b'{"header":{}}', True, b'{"header":{%b}}'),
        (b'{"header":{ \n}}', True, b'{"header":{ \n%b}}'),
        (
            b'{"body":{"header":{"x":1}},"header":{"a":1}}',
            True,
            b'{"body":{"header":{"x":1}},"header":{%b,"a":1}}',
        ),
        (
            b'{"body":"{\\"header\\":{","header":{"a":1}}',
            True,
            b'{"body":"{\\"header\\":{","header":{%b,"a":1}}',
        ),
        (b'{"header":{"a":1},"header":{"b":2}}', True, b'{"header":{"a":1},"header":{%b,"b":2}}'),
        (b'{"header":{"a":1},"he\\u0061der":{"b":2}}', True, b'{"header":{"a":1},"he\\u0061der":{%b,"b":2}}'),
        (b'{"x":1,"header":{ }}', True, b'{"x":1,"header":{%b }}'),
        (b'{"header":{"datasetId":null}}', False, b'{"header":{"datasetId":null,%b}}'),
        (
            b'{"header":{"datasetId":null,"z":"}"},"b":{}}',
            False,
            b'{"header":{"datasetId":null,"z":"}",%b},"b":{}}',
        ),
    ],
)
def test_the_dataset_is_inserted_where_a_reader_finds_it(
    message: bytes, absent: bool, expected: bytes
) -> None:
    """AEP's reader keeps the last of two equal keys: the member goes behind a null, into the last header."""
    inserted = insert_dataset_id(message, DATASET, absent=absent)

    assert inserted == expected % MEMBER
    assert json.loads(inserted)["header"]["datasetId"] == DATASET


@pytest.mark.parametrize(
    "message", [b"{}", b'{"body":{"header":{}}}', b'{"header":[]}', b'{"header":"{}"}', b'{"header":7}']
)
def test_without_a_header_object_nothing_is_inserted(message: bytes) -> None:
    """The bridge adds no header to a message: AEP says what is wrong with it."""
    assert insert_dataset_id(message, DATASET, absent=True) is None


def test_a_megabyte_in_one_string_is_passed_over() -> None:
    """A large text before the header, with escapes and brackets in it, must not mislead the search."""
    text = b'\\"{[' * 200_000
    message = b'{"body":"%b","header":{"a":1}}' % text
    expected = b'{"body":"%b","header":{%b,"a":1}}' % (text, MEMBER)

    assert insert_dataset_id(message, DATASET, absent=True) == expected
