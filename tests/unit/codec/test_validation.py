"""The groups of a slice: the fast check of the whole slice and the careful check of each record agree."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codec.validation import PART_RECORDS, group_one_by_one, group_records, group_valid_slice
from bridge.model import Format, Reason
from tests.support.jsontext import ANY, ENVELOPE, OBJECT, as_bytes
from tests.unit.codec.slices import DATASET, GOOD, MEMBER, outcomes, route, unordered_outcomes, wrapped


def messages_for(*datasets: bytes) -> list[bytes]:
    return [b'{"header":{"datasetId":"%b"}}' % dataset for dataset in datasets]


def test_adjacent_records_with_one_dataset_are_one_group() -> None:
    """The dataset that a header names comes before the route's; in order, a group ends where it changes."""
    groups = group_records(route(), messages_for(b"a", b"a", b"b", b"a"))

    assert [(group.start, group.stop, group.dataset) for group in groups] == [
        (0, 2, "a"),
        (2, 3, "b"),
        (3, 4, "a"),
    ]


def test_without_order_a_dataset_is_one_group() -> None:
    """Two datasets that alternate would otherwise be handed on in groups of one record each."""
    values = messages_for(b"a", b"b", b"a", b"b", b"c")
    groups = group_records(route(), values, in_order=False)

    assert [(group.dataset, group.select(range(5))) for group in groups] == [
        ("a", [0, 2]),
        ("b", [1, 3]),
        ("c", [4]),
    ]
    assert [(group.start, group.stop) for group in groups] == [(0, 3), (1, 4), (4, 5)]
    assert [group.pieces for group in groups] == [
        [values[0], values[2]],
        [values[1], values[3]],
        [values[4]],
    ]


def test_without_order_a_bad_record_does_not_separate_a_dataset() -> None:
    """The same holds for a slice that has to be checked record by record."""
    [a, b] = messages_for(b"a", b"b")
    refused, *others = group_records(route(), [a, b"7", a, b, None], in_order=False)

    assert refused.refusal is not None
    assert (refused.start, refused.refusal.reason) == (1, Reason.NOT_AN_OBJECT)
    assert [(group.dataset, group.select(range(5)), len(group)) for group in others] == [
        ("a", [0, 2], 2),
        ("b", [3], 1),
        (None, [4], 1),
    ]


def test_a_message_without_a_dataset_gets_the_routes() -> None:
    """It is written into the message's header, and the other messages of the slice stay as they are."""
    values = [GOOD, b'{"header":{"x":1}}', b'{"header":{"datasetId":null}}']

    assert outcomes(group_records(route(), values), 3) == [
        ("a", GOOD, None),
        (DATASET, b'{"header":{%b,"x":1}}' % MEMBER, None),
        (DATASET, b'{"header":{"datasetId":null,%b}}' % MEMBER, None),
    ]


def test_a_message_without_a_header_goes_as_it_is() -> None:
    """AEP refuses it with a text of its own, which says more than the bridge could."""
    assert outcomes(group_records(route(), [b'{"body":{}}']), 1) == [(DATASET, b'{"body":{}}', None)]


def test_an_entity_is_wrapped_and_a_raw_value_is_not() -> None:
    """Both go to the dataset of their route, with every byte of white space."""
    value = b' {"_id":"1"}\n'
    entity = group_records(route(Format.ENTITY), [value])
    raw = group_records(route(Format.RAW, None), [value])

    assert outcomes(entity, 1) == [(DATASET, wrapped(value), None)]
    assert outcomes(raw, 1) == [(None, value, None)]


# -- properties ---------------------------------------------------------------------------

COMMON = [
    b'{"header":{"datasetId":"a"},"body":{}}',
    b'{"header":{"datasetId":"b"}}',
    b'{"header":{"x":1},"body":"\xc3\xa9"}',
]
BAD = [None, b"", b"7", b"\xff", b'{"a":"\xff"}', b'{"a":NaN}', b"{", b'{"a":"\\ud800"}']
VALUES = st.lists(
    st.one_of(
        st.sampled_from(COMMON),
        st.sampled_from(COMMON[:2]),
        as_bytes(ENVELOPE),
        as_bytes(OBJECT),
        st.sampled_from(BAD),
    ),
    max_size=8,
)


@settings(max_examples=400)
@given(VALUES, st.sampled_from(list(Format)), st.sampled_from([DATASET, None]))
def test_the_fast_check_agrees_with_the_careful_one(
    values: list[bytes | None], format: Format, dataset: str | None
) -> None:
    """The fast check may only save time, and no record's outcome may depend on the others of its slice."""
    own_route = route(format, dataset if format is not Format.ENTITY else DATASET)
    count = len(values)
    careful = outcomes(group_one_by_one(own_route, values), count)
    try:
        # Among the values may be a None, which is given on purpose: it has to raise TypeError.
        fast = outcomes(group_valid_slice(own_route, values, True), count)  # type: ignore[arg-type]
    except Exception:
        fast = careful
    alone = [outcome for value in values for outcome in outcomes(group_records(own_route, [value]), 1)]

    assert fast == careful
    assert outcomes(group_records(own_route, values), count) == careful
    assert alone == careful
    assert unordered_outcomes(group_records(own_route, values, in_order=False), count) == careful


@settings(max_examples=400)
@given(as_bytes(ENVELOPE))
def test_a_dataset_is_only_ever_inserted(value: bytes) -> None:
    """Without it the message is as it was; with it, a reader that keeps the last of two keys finds it."""
    [(dataset, piece, reason)] = outcomes(group_records(route(), [value]), 1)
    if reason is not None:
        assert reason is Reason.NO_ROUTE
        return
    assert piece is not None
    if piece != value:
        members = (MEMBER + b",", b"," + MEMBER, MEMBER)
        assert any(piece.replace(member, b"", 1) == value for member in members)
    header = json.loads(piece).get("header")
    if isinstance(header, dict):
        assert header["datasetId"] == dataset


@settings(max_examples=600)
@given(
    as_bytes(ENVELOPE),
    st.sampled_from([rb"\ud83d", rb"\ude00", rb"\uDBFF"]),
    st.sampled_from(list(Format)),
    st.sampled_from([DATASET, None]),
)
def test_a_lone_surrogate_changes_nothing(
    value: bytes, surrogate: bytes, format: Format, dataset: str | None
) -> None:
    """A value has the same outcome with one in the place of another escape, and its own bytes go out."""
    own_route = route(format, dataset if format is not Format.ENTITY else DATASET)
    with_surrogate = value.replace(rb"\u0041", surrogate)
    [(named, piece, reason)] = outcomes(group_records(own_route, [value]), 1)
    expected = (named, piece and piece.replace(rb"\u0041", surrogate), reason)

    assert outcomes(group_records(own_route, [with_surrogate]), 1) == [expected]


@given(
    st.lists(
        st.sampled_from([*messages_for(b"a", b"b"), b'{"header":{}}', b"7", None]),
        min_size=PART_RECORDS,
        max_size=4 * PART_RECORDS,
    )
)
def test_bad_records_in_a_long_slice_are_judged_alone(values: list[bytes | None]) -> None:
    """Such a slice is checked in parts, and neither an outcome nor the number of groups may show it."""
    groups = group_records(route(), values)
    careful = group_one_by_one(route(), values)
    unordered = group_records(route(), values, in_order=False)
    count = len(values)

    assert outcomes(groups, count) == outcomes(careful, count)
    assert unordered_outcomes(unordered, count) == outcomes(careful, count)
    assert len(groups) == len(careful)


def is_strict_json(text: bytes) -> bool:
    """Whether Python's parser calls it JSON in UTF-8, without NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text.decode(), parse_constant=refuse)
    except ValueError:
        return False
    return True


BYTES = list(b'{}[]",:\\ u0.-e+\n\x00\xff\xc3\xa9nd8')
CHANGES = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(BYTES), st.booleans()), min_size=1, max_size=3
)


@settings(max_examples=500)
@given(as_bytes(ANY), CHANGES)
def test_what_is_sent_is_json(value: bytes, changes: list[tuple[int, int, bool]]) -> None:
    """AEP refuses a whole request for one message that it can't parse, so another parser has to agree."""
    text = bytearray(value)
    for position, byte, insert in changes:
        at = position % (len(text) + 1)
        text[at : at + (not insert)] = bytes([byte])
    changed = bytes(text)
    for format in Format:
        for _, piece, reason in outcomes(group_records(route(format), [changed]), 1):
            if piece is not None:
                assert is_strict_json(piece)
            if reason is Reason.NOT_JSON:
                assert not is_strict_json(changed)


@pytest.mark.parametrize("format", list(Format))
@given(st.binary(max_size=60))
def test_random_bytes_never_raise(format: Format, value: bytes) -> None:
    """An exception would end the engine, and any bytes may stand in a topic."""
    outcomes(group_records(route(format), [value]), 1)
