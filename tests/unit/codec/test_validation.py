"""What a record is, and where it goes; a fast path for a slice that agrees with the careful one."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codec.envelope import entity_wrapper
from bridge.codec.request import FRAME_BYTES, MAX_REQUEST_BYTES
from bridge.codec.routes import Route
from bridge.codec.validation import PART, PROFILE_LIMIT, RecordGroup, _sort_each, _sort_fast, group_records
from bridge.model import Format, Reason
from tests.support.jsontext import ANY, ENVELOPE, OBJECT, as_bytes

DATASET = "route-dataset"
MEMBER = b'"datasetId":"route-dataset"'
WRAPPER = entity_wrapper(schema_id="s", schema_version="1", ims_org_id="o", dataset_id=DATASET)


def route(
    format: Format = Format.ENVELOPE, dataset: str | None = DATASET, *, tombstones: bool = False
) -> Route:
    return Route(
        "t", format, "inlet", dataset, WRAPPER if format is Format.ENTITY else (b"", b""), tombstones
    )


def flat(runs: list[RecordGroup], count: int) -> list[tuple[str | None, bytes | None, Reason | None]]:
    """One line for each record, whatever the runs."""
    lines: list[tuple[str | None, bytes | None, Reason | None]] = []
    for run in runs:
        assert run.start == len(lines), "runs follow each other"
        for at in range(run.stop - run.start):
            lines.append(
                (
                    run.dataset,
                    run.pieces[at] if run.pieces else None,
                    run.refusal.reason if run.refusal else None,
                )
            )
    assert len(lines) == count
    return lines


def scattered(runs: list[RecordGroup], count: int) -> list[tuple[str | None, bytes | None, Reason | None]]:
    """One line for each record, wherever its run is."""
    lines: dict[int, tuple[str | None, bytes | None, Reason | None]] = {}
    for run in runs:
        rows = list(run.select(range(count)))
        assert rows == sorted(rows), "a run keeps the order of its records"
        assert (len(run), run.start, run.stop) == (len(rows), rows[0], rows[-1] + 1)
        for place, at in enumerate(rows):
            assert at not in lines
            lines[at] = (
                run.dataset,
                run.pieces[place] if run.pieces else None,
                run.refusal.reason if run.refusal else None,
            )
    sendable = [run.dataset for run in runs if run.pieces]
    assert len(sendable) == len(set(sendable)), "a dataset has one run"
    assert sorted(lines) == list(range(count))
    return [lines[at] for at in range(count)]


# -- where ------------------------------------------------------------------------------


def test_neighbours_with_one_dataset_are_one_run() -> None:
    """The header's dataset comes before the route's."""
    named = [b'{"header":{"datasetId":"%b"}}' % name for name in (b"a", b"a", b"b", b"a")]

    assert [(0, 2, "a"), (2, 3, "b"), (3, 4, "a")] == [
        (run.start, run.stop, run.dataset) for run in group_records(route(), named)
    ]


def test_where_order_is_not_kept_a_dataset_is_one_run() -> None:
    """Whatever lies between its records, what can't be sent too."""
    named = [b'{"header":{"datasetId":"%b"}}' % name for name in (b"a", b"b", b"a", b"b", b"c")]

    runs = group_records(route(), named, in_order=False)
    assert [("a", [0, 2]), ("b", [1, 3]), ("c", [4])] == [(run.dataset, run.select(range(5))) for run in runs]
    assert [(0, 3), (1, 4), (4, 5)] == [(run.start, run.stop) for run in runs]
    assert [[named[0], named[2]], [named[1], named[3]], [named[4]]] == [run.pieces for run in runs]

    refused, *others = group_records(route(), [named[0], b"7", named[2], named[1], None], in_order=False)
    assert (1, Reason.NOT_AN_OBJECT) == (refused.start, refused.refusal and refused.refusal.reason)
    assert [("a", [0, 2], 2), ("b", [3], 1), (None, [4], 1)] == [
        (run.dataset, run.select(range(5)), len(run)) for run in others
    ]


def test_a_message_without_a_dataset_gets_the_routes() -> None:
    """Written into its header; the others of the slice stay as they are."""
    values = [b'{"header":{"datasetId":"a"}}', b'{"header":{"x":1}}', b'{"header":{"datasetId":null}}']

    assert [
        ("a", values[0], None),
        (DATASET, b'{"header":{%b,"x":1}}' % MEMBER, None),
        (DATASET, b'{"header":{"datasetId":null,%b}}' % MEMBER, None),
    ] == flat(group_records(route(), values), 3)


def test_a_message_without_a_header_goes_as_it_is() -> None:
    """AEP says what is wrong with it."""

    assert [(DATASET, b'{"body":{}}', None)] == flat(group_records(route(), [b'{"body":{}}']), 1)


def test_an_entity_is_wrapped_and_a_raw_value_is_not() -> None:
    """Each goes to its route's dataset."""
    value = b' {"_id":"1"}\n'

    assert [(DATASET, WRAPPER[0] + value + WRAPPER[1], None)] == flat(
        group_records(route(Format.ENTITY), [value]), 1
    )
    assert [(None, value, None)] == flat(group_records(route(Format.RAW, None), [value]), 1)


# -- what is refused ----------------------------------------------------------------------


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
    """One bad record poisons neither its slice nor its batch."""
    good = b'{"header":{"datasetId":"a"}}'
    runs = group_records(route(), [good, value, good])

    assert [None, reason, None] == [line[2] for line in flat(runs, 3)]
    refusal = runs[1].refusal
    assert refusal is not None
    assert text in refusal.error


HALVES = [
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


@pytest.mark.parametrize("half", HALVES)
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
def test_half_a_surrogate_pair_goes_as_it_is(half: bytes, frame: bytes, expected: bytes) -> None:
    """JSON's grammar has it, producers write it, AEP's reader takes it: what is wrong with it is AEP's to say."""
    good = b'{"header":{"datasetId":"a"}}'
    [first, line, last] = flat(group_records(route(), [good, frame % half, good]), 3)

    assert ("a", good, None) == first == last
    assert (expected % half, None) == line[1:]
    assert line[0] in {"a", DATASET}


def test_half_a_surrogate_pair_in_an_entity_and_in_a_raw_value() -> None:
    """Wrapped, and as it is."""
    value = rb'{"_id":"\udc00"}'

    assert [(DATASET, WRAPPER[0] + value + WRAPPER[1], None)] == flat(
        group_records(route(Format.ENTITY), [value]), 1
    )
    assert [(None, value, None)] == flat(group_records(route(Format.RAW, None), [value]), 1)


def test_a_backslash_that_is_escaped_begins_no_escape() -> None:
    """Such a backslash and `ud83d` are plain text, in a dataset's id too; what follows may be half a pair all the same."""
    plain = rb'{"header":{"datasetId":"a\\ud83d"},"b":"\\ud83d\ude00"}'

    assert [("a\\ud83d", plain, None)] == flat(group_records(route(), [plain]), 1)


def test_a_message_that_names_no_dataset_needs_a_route_that_does() -> None:
    """Otherwise there is nowhere to send it."""
    values = [b'{"header":{}}', b'{"header":{"datasetId":null}}', b"{}", b'{"header":5}']
    runs = group_records(route(dataset=None), values)

    assert [Reason.NO_ROUTE] * 4 == [line[2] for line in flat(runs, 4)]
    assert runs[0].refusal is not None
    assert "the route t has no dataset_id" in runs[0].refusal.error


@pytest.mark.parametrize("format", list(Format))
def test_null_values_are_skipped_or_refused_as_configured(format: Format) -> None:
    """Tombstones mean nothing to AEP."""
    value = b'{"header":{"datasetId":"a"}}'
    skipped = group_records(route(format), [None, None, value, None])

    assert [(0, 2, True), (2, 3, False), (3, 4, True)] == [
        (run.start, run.stop, not run.pieces) for run in skipped
    ]
    assert all(run.refusal is None for run in skipped)
    assert [Reason.TOMBSTONE] * 2 == [
        run.refusal and run.refusal.reason
        for run in group_records(route(format, tombstones=True), [None, None])
    ]


def of_size(size: int, format: Format) -> bytes:
    frame = b'{"header":{"datasetId":"a"},"body":"%b"}'
    wrapper = len(WRAPPER[0]) + len(WRAPPER[1]) if format is Format.ENTITY else 0
    return frame % (b"x" * (size - wrapper - FRAME_BYTES - len(frame) + 2))


@pytest.mark.parametrize("format", list(Format))
def test_a_request_of_exactly_a_million_bytes_is_sent_and_one_byte_more_is_refused(format: Format) -> None:
    """The wrapper included."""
    fits, too_large = (
        group_records(route(format), [of_size(size, format)])[0] for size in (1_000_000, 1_000_001)
    )

    assert [1_000_000] == [len(piece) + FRAME_BYTES for piece in fits.pieces]
    assert too_large.refusal is not None
    assert too_large.refusal.reason is Reason.TOO_LARGE
    assert "999,986 bytes" in too_large.refusal.error


def test_the_spliced_dataset_counts() -> None:
    """A value that fits alone, but not with the dataset that we add."""
    value = b'{"header":{"a":1},"body":"%b"}' % (b"x" * (MAX_REQUEST_BYTES - FRAME_BYTES - 27 - 10))
    [run] = group_records(route(), [value])

    assert len(value) + FRAME_BYTES <= MAX_REQUEST_BYTES
    assert run.refusal is not None
    assert run.refusal.reason is Reason.TOO_LARGE


def test_what_profile_would_drop_is_counted() -> None:
    """Events above 10,000 bytes, on the fast path and on the careful one."""
    large = b'{"header":{"datasetId":"a"},"body":"%b"}' % (b"x" * PROFILE_LIMIT)
    small = b'{"header":{"datasetId":"a"}}'

    assert [2] == [run.oversize for run in group_records(route(), [large, small, large])]
    assert [2, 0] == [run.oversize for run in group_records(route(), [large, small, large, None])]


@pytest.mark.parametrize("stack", [0, 1, 2, 7, 100, 500])
@pytest.mark.parametrize("format", list(Format))
def test_deep_nesting_is_refused_and_never_raised(stack: int, format: Format) -> None:
    """At every depth, called from every depth of the stack: the limit is met in one decoder or another."""

    def below(frames: int, what: Callable[[], list[RecordGroup]]) -> list[RecordGroup]:
        return what() if frames == 0 else below(frames - 1, what)

    frames = [
        b'{"header":{"datasetId":%b%b}}',
        b'{"header":{"x":%b%b}}',
        b'{"header":{"datasetId":"a"},"body":%b%b}',
    ]
    kinds = set()
    for depth in [*range(1, 60, 20), *range(1000 - stack - 100, 1000 - stack + 10)]:
        for frame in frames:
            value = frame % (b"[" * depth, b"]" * depth)
            [run] = below(stack, lambda value=value: group_records(route(format), [value]))
            kinds.add(run.refusal and run.refusal.error.split(";")[0][:32])

    assert "the value nests too deeply (some" in kinds
    assert None in kinds
    [run] = group_records(route(format), [b'{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}"])
    assert run.refusal is not None
    assert run.refusal.reason is Reason.NOT_JSON


# -- properties ---------------------------------------------------------------------------

VALUES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b'{"header":{"datasetId":"a"},"body":{}}',
                b'{"header":{"datasetId":"b"}}',
                b'{"header":{"x":1},"body":"\xc3\xa9"}',
            ]
        ),
        st.sampled_from([b'{"header":{"datasetId":"a"},"body":{}}', b'{"header":{"datasetId":"b"}}']),
        as_bytes(ENVELOPE),
        as_bytes(OBJECT),
        st.sampled_from([None, b"", b"7", b"\xff", b'{"a":"\xff"}', b'{"a":NaN}', b"{", b'{"a":"\\ud800"}']),
    ),
    max_size=8,
)


@settings(max_examples=400)
@given(VALUES, st.sampled_from(list(Format)), st.sampled_from([DATASET, None]))
def test_the_fast_path_agrees_with_the_careful_one(
    values: list[bytes | None], format: Format, dataset: str | None
) -> None:
    """For any mix: what the fast path answers at all, the careful one answers too; and each record of a slice is judged as if it were alone."""
    where = route(format, dataset if format is not Format.ENTITY else DATASET)
    careful = flat(_sort_each(where, values), len(values))
    try:
        fast = flat(_sort_fast(where, values, True), len(values))  # type: ignore[arg-type]  # given a None on purpose: it has to raise TypeError
    except Exception:
        fast = careful

    assert careful == fast
    assert careful == flat(group_records(where, values), len(values))
    assert careful == [line for value in values for line in flat(group_records(where, [value]), 1)]
    assert careful == scattered(group_records(where, values, in_order=False), len(values))


@settings(max_examples=400)
@given(as_bytes(ENVELOPE))
def test_a_dataset_is_only_ever_inserted(value: bytes) -> None:
    """Take our member out, and the value is as it was; with it, a reader that keeps the last of two keys finds the dataset that the batch is for."""
    [(dataset, piece, reason)] = flat(group_records(route(), [value]), 1)
    if reason is not None:
        assert reason is Reason.NO_ROUTE
        return
    assert piece is not None
    if piece != value:
        assert any(
            piece.replace(member, b"", 1) == value for member in (MEMBER + b",", b"," + MEMBER, MEMBER)
        )
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
def test_half_a_surrogate_pair_changes_nothing(
    value: bytes, half: bytes, format: Format, dataset: str | None
) -> None:
    """With it in the place of another escape the same becomes of a value, and every byte goes out as it was produced."""
    where = route(format, dataset if format is not Format.ENTITY else DATASET)
    other = value.replace(rb"\u0041", half)
    [(named, piece, reason)] = flat(group_records(where, [value]), 1)

    assert [(named, piece and piece.replace(rb"\u0041", half), reason)] == flat(
        group_records(where, [other]), 1
    )


@given(
    st.lists(
        st.sampled_from(
            [b'{"header":{"datasetId":"a"}}', b'{"header":{"datasetId":"b"}}', b'{"header":{}}', b"7", None]
        ),
        min_size=PART,
        max_size=4 * PART,
    )
)
def test_odd_records_in_a_long_slice(values: list[bytes | None]) -> None:
    """Wherever they are: it is sorted in parts, and each record is judged as if it were alone; neighbours that go the same way are one run."""
    runs = group_records(route(), values)

    assert (
        flat(_sort_each(route(), values), len(values))
        == flat(runs, len(values))
        == scattered(group_records(route(), values, in_order=False), len(values))
    )
    assert len(_sort_each(route(), values)) == len(runs)


BYTES = list(b'{}[]",:\\ u0.-e+\n\x00\xff\xc3\xa9nd8')


def strict(text: bytes) -> bool:
    """Whether Python's parser calls it JSON: UTF-8, no NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text.decode(), parse_constant=refuse)
    except ValueError:
        return False
    return True


@settings(max_examples=500)
@given(
    as_bytes(ANY),
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from(BYTES), st.booleans()), min_size=1, max_size=3),
)
def test_what_is_sent_is_json(value: bytes, mutations: list[tuple[int, int, bool]]) -> None:
    """One byte changed here and there: where we send it, another parser calls it JSON too; and nothing raises."""
    text = bytearray(value)
    for at, byte, insert in mutations:
        where = at % (len(text) + 1)
        text[where : where + (not insert)] = bytes([byte])
    mutated = bytes(text)
    for format in Format:
        for _, piece, reason in flat(group_records(route(format), [mutated]), 1):
            if piece is not None:
                assert strict(piece)
            if reason is Reason.NOT_JSON:
                assert not strict(mutated)


@given(st.binary(max_size=60))
def test_random_bytes_never_raise(value: bytes) -> None:
    """Whatever is in a topic."""
    for format in Format:
        flat(group_records(route(format), [value]), 1)
