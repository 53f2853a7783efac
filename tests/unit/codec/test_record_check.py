"""What is refused before it is sent, with which text, and what is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridge.codec.record_groups import PROFILE_LIMIT_BYTES, RecordGroup
from bridge.codec.request import FRAME_BYTES, MAX_REQUEST_BYTES
from bridge.codec.validation import group_records
from bridge.model import Format, Reason
from tests.unit.codec.slices import DATASET, GOOD, MEMBER, WRAPPER, outcomes, route, wrapped


@pytest.mark.parametrize(
    ("value", "reason", "text"),
    [
        (b"", Reason.NOT_JSON, "not JSON"),
        (b"hello", Reason.NOT_JSON, "not JSON"),
        (b"\xef\xbb\xbf{}", Reason.NOT_JSON, "byte 0"),
        (b'{"header":{},"a":NaN}', Reason.NOT_JSON, "not JSON"),
        (b'{"a":Infinity}', Reason.NOT_JSON, "not JSON"),
        (b'{"a":01}', Reason.NOT_JSON, "invalid number"),
        (b"{'a':1}", Reason.NOT_JSON, "not JSON"),
        (b'{"a":1,}', Reason.NOT_JSON, "trailing comma"),
        (b'{"a":1} {"b":2}', Reason.NOT_JSON, "trailing characters"),
        (b'{"a":"\n"}', Reason.NOT_JSON, "invalid character"),
        (b'{"header":{"datasetId":"a"},"body":"\xff"}', Reason.NOT_JSON, "not UTF-8: byte 36 is 0xff"),
        (b'{"body":"\xed\xa0\x80"}', Reason.NOT_JSON, "not UTF-8: byte 9 is 0xed"),
        (b'{"body":"\xc3"}', Reason.NOT_JSON, "not UTF-8"),
        (b'{"body":"\\ud83d}', Reason.NOT_JSON, "truncated"),
        (b'{"body":"\\ud83d","a":01}', Reason.NOT_JSON, "invalid number (byte 22)"),
        (b'{"body":"\\ud83d\xff"}', Reason.NOT_JSON, "not UTF-8: byte 15 is 0xff"),
        (b'{"body":\\ud83d}', Reason.NOT_JSON, "not JSON"),
        (b"[1]", Reason.NOT_AN_OBJECT, "begins with b'[1]'"),
        (b" 17", Reason.NOT_AN_OBJECT, "begins with b'17'"),
        (b"null", Reason.NOT_AN_OBJECT, "not an object"),
        (b'"text"', Reason.NOT_AN_OBJECT, "not an object"),
        (b'{"header":{"datasetId":7}}', Reason.NO_ROUTE, "header.datasetId is 7"),
        (b'{"header":{"datasetId":""}}', Reason.NO_ROUTE, 'header.datasetId is ""'),
        (b'{"header":{"datasetId":1e999}}', Reason.NO_ROUTE, "header.datasetId is 1e999"),
        (
            b'{"header":{"datasetId":"a\\ud83d"}}',
            Reason.NO_ROUTE,
            "header.datasetId has half a surrogate pair in it",
        ),
        (
            b'{"header":{"datasetId":"\\ude00","datasetId":null,"datasetId":"\\ude00"}}',
            Reason.NO_ROUTE,
            "half a surrogate pair",
        ),
        (b'"\\ud83d"', Reason.NOT_AN_OBJECT, "not an object"),
        (b'{"header":{"datasetId":["a"]}}', Reason.NO_ROUTE, 'header.datasetId is ["a"]'),
    ],
)
def test_a_bad_value_is_refused_with_a_clear_text(value: bytes, reason: Reason, text: str) -> None:
    """The text goes into the dead letter. The records beside the bad one are sent all the same."""
    groups = group_records(route(), [GOOD, value, GOOD])

    assert [outcome[2] for outcome in outcomes(groups, 3)] == [None, reason, None]
    refusal = groups[1].refusal
    assert refusal is not None
    assert text in refusal.error


LONE_SURROGATES = [
    rb"\ud83d",
    rb"\uD83D",
    rb"\ude00",
    rb"\uDFFF",
    rb"\ud83d\ud83d",
    rb"\ude00\ud83d",
    rb"\ud83d\u0041",
    rb"\\\ud83d",
    rb"\ud83d\ud83d\ude00",
    rb"\ude00\ude00",
]


@pytest.mark.parametrize("text", LONE_SURROGATES)
@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b'{"header":{"datasetId":"a"},"body":"%b"}', b'{"header":{"datasetId":"a"},"body":"%b"}'),
        (b'{"%b":1,"header":{"datasetId":"a"}}', b'{"%b":1,"header":{"datasetId":"a"}}'),
        (b'{"header":{"datasetId":"a","x":"%b"}}', b'{"header":{"datasetId":"a","x":"%b"}}'),
        (b'{"header":{"x":"%b"}}', b'{"header":{' + MEMBER + b',"x":"%b"}}'),
        (b'{"%b":1,"header":{}}', b'{"%b":1,"header":{' + MEMBER + b"}}"),
        (b'{"header":{"datasetId":null,"%b":1}}', b'{"header":{"datasetId":null,"%b":1,' + MEMBER + b"}}"),
        (b'{"body":"%b"}', b'{"body":"%b"}'),
    ],
)
def test_a_message_with_a_lone_surrogate_goes_as_it_is(text: bytes, frame: bytes, expected: bytes) -> None:
    """JSON's grammar has it, producers write it, and AEP's reader takes it, so only AEP may refuse it."""
    [first, outcome, last] = outcomes(group_records(route(), [GOOD, frame % text, GOOD]), 3)

    assert first == ("a", GOOD, None)
    assert last == ("a", GOOD, None)
    assert outcome[1:] == (expected % text, None)
    assert outcome[0] in {"a", DATASET}


def test_an_entity_and_a_raw_value_may_have_a_lone_surrogate() -> None:
    """The entity is wrapped and the raw value goes as it is, as without a surrogate."""
    value = rb'{"_id":"\udc00"}'
    entity = group_records(route(Format.ENTITY), [value])
    raw = group_records(route(Format.RAW, None), [value])

    assert outcomes(entity, 1) == [(DATASET, wrapped(value), None)]
    assert outcomes(raw, 1) == [(None, value, None)]


def test_an_escaped_backslash_begins_no_surrogate() -> None:
    r"""`\\ud83d` is plain text, in a dataset's id too, and a second half behind it is alone."""
    message = rb'{"header":{"datasetId":"a\\ud83d"},"b":"\\ud83d\ude00"}'

    assert outcomes(group_records(route(), [message]), 1) == [("a\\ud83d", message, None)]


def test_a_message_that_names_no_dataset_needs_a_route_that_does() -> None:
    """Without a dataset there is nowhere to send it, and the text says which route to change."""
    values = [b'{"header":{}}', b'{"header":{"datasetId":null}}', b"{}", b'{"header":5}']
    groups = group_records(route(dataset=None), values)

    assert [outcome[2] for outcome in outcomes(groups, 4)] == [Reason.NO_ROUTE] * 4
    assert groups[0].refusal is not None
    assert "the route t has no dataset_id" in groups[0].refusal.error


@pytest.mark.parametrize("format", list(Format))
def test_null_values_are_skipped_or_refused_as_configured(format: Format) -> None:
    """A tombstone means nothing to AEP, but a user may want to see each one in the dead-letter topic."""
    skipped = group_records(route(format), [None, None, GOOD, None])
    refused = group_records(route(format, tombstones=True), [None, None])

    assert [(group.start, group.stop, not group.pieces) for group in skipped] == [
        (0, 2, True),
        (2, 3, False),
        (3, 4, True),
    ]
    assert all(group.refusal is None for group in skipped)
    assert [group.refusal and group.refusal.reason for group in refused] == [Reason.TOMBSTONE] * 2


def value_for_request_of(size: int, format: Format) -> bytes:
    """A value that makes a request of this size when it is sent alone."""
    frame = b'{"header":{"datasetId":"a"},"body":"%b"}'
    wrapper = len(WRAPPER[0]) + len(WRAPPER[1]) if format is Format.ENTITY else 0
    return frame % (b"x" * (size - wrapper - FRAME_BYTES - len(frame) + 2))


@pytest.mark.parametrize("format", list(Format))
def test_a_request_of_exactly_a_million_bytes_is_sent_and_one_byte_more_is_refused(format: Format) -> None:
    """AEP's limit is on the whole body, so an entity's wrapper and the request's frame count."""
    [fits] = group_records(route(format), [value_for_request_of(1_000_000, format)])
    [too_large] = group_records(route(format), [value_for_request_of(1_000_001, format)])

    assert [len(piece) + FRAME_BYTES for piece in fits.pieces] == [1_000_000]
    assert too_large.refusal is not None
    assert too_large.refusal.reason is Reason.TOO_LARGE
    assert "999,986 bytes" in too_large.refusal.error


def test_the_dataset_that_is_added_counts_against_the_limit() -> None:
    """The value fits alone, but not with the dataset that the bridge writes into its header."""
    value = b'{"header":{"a":1},"body":"%b"}' % (b"x" * (MAX_REQUEST_BYTES - FRAME_BYTES - 27 - 10))
    [group] = group_records(route(), [value])

    assert len(value) + FRAME_BYTES <= MAX_REQUEST_BYTES
    assert group.refusal is not None
    assert group.refusal.reason is Reason.TOO_LARGE


def test_events_that_profile_would_drop_are_counted() -> None:
    """Profile drops an event above 10,000 bytes without a word, so users have to see how many there are."""
    large = b'{"header":{"datasetId":"a"},"body":"%b"}' % (b"x" * PROFILE_LIMIT_BYTES)
    whole_slice = group_records(route(), [large, GOOD, large])
    one_by_one = group_records(route(), [large, GOOD, large, None])

    assert [group.oversize for group in whole_slice] == [2]
    assert [group.oversize for group in one_by_one] == [2, 0]


@pytest.mark.parametrize("stack", [0, 1, 2, 7, 100, 500])
@pytest.mark.parametrize("format", list(Format))
def test_deep_nesting_is_refused_and_never_raised(stack: int, format: Format) -> None:
    """Each decoder meets Python's recursion limit at another depth, and the caller's own depth counts too."""

    def called_from(depth: int, check: Callable[[], list[RecordGroup]]) -> list[RecordGroup]:
        return check() if depth == 0 else called_from(depth - 1, check)

    frames = [
        b'{"header":{"datasetId":%b%b}}',
        b'{"header":{"x":%b%b}}',
        b'{"header":{"datasetId":"a"},"body":%b%b}',
        b'{"header":{"datasetId":"a","x":"\\ud83d"},"body":%b%b}',
    ]
    errors = set()
    for depth in [*range(1, 60, 20), *range(1000 - stack - 100, 1000 - stack + 10)]:
        for frame in frames:
            value = frame % (b"[" * depth, b"]" * depth)
            [group] = called_from(stack, lambda value=value: group_records(route(format), [value]))
            errors.add(group.refusal and group.refusal.error.split(";")[0][:32])

    assert "the value nests too deeply (some" in errors
    assert None in errors
    [group] = group_records(route(format), [b'{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}"])
    assert group.refusal is not None
    assert group.refusal.reason is Reason.NOT_JSON
