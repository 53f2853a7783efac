"""Bytes out as they came in; answers to verdicts that never claim what was not said."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codec import multi_status
from bridge.codec.envelope import entity_wrapper, insert_dataset_id
from bridge.codec.multi_status import (
    ACCEPTED,
    UNKNOWN,
    Verdict,
    VerdictKind,
    error_text,
    kind_of_status,
    verdicts,
)
from bridge.codec.request import FRAME_BYTES, body, body_size
from tests.support.jsontext import ANY, OBJECT, as_bytes

DATASET = "5d86d1a29ba7e11648cc3afb"
MEMBER = b'"datasetId":"%b"' % DATASET.encode()


def answer(*responses: object, **more: object) -> bytes:
    return json.dumps(
        {
            "inletId": "i",
            "batchId": "1565628583792:1485:153",
            "receivedTimeMs": 1565628583854,
            "responses": responses,
            **more,
        }
    ).encode()


# -- what goes out --------------------------------------------------------------------


@given(st.lists(as_bytes(ANY), max_size=6))
def test_the_bytes_arrive_as_they_were_produced(pieces: list[bytes]) -> None:
    """Huge integers, escapes, keys twice, odd white space, non-ASCII: each message is found in the body byte for byte, and the body is JSON."""
    made = body(pieces)
    found = msgspec.json.decode(made, type=dict[str, list[msgspec.Raw]])["messages"]

    assert len(made) == body_size(pieces)
    assert [piece.strip(b" \t\r\n") for piece in pieces] == [bytes(raw).strip(b" \t\r\n") for raw in found]
    assert made == b'{"messages":[' + b",".join(pieces) + b"]}"


def test_the_frame_is_what_a_body_has_beside_its_messages() -> None:
    """15 bytes, and a comma between two."""

    assert len(body([])) == FRAME_BYTES == body_size([])
    assert len(body([b"{}"])) == FRAME_BYTES + 2
    assert len(body([b"{}", b"{}"])) == FRAME_BYTES + 5


@given(as_bytes(OBJECT), st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
def test_an_entity_is_wrapped_and_nothing_else(entity: bytes, dataset: str) -> None:
    """The entity's bytes stand in the middle of a valid message, whatever the ids hold."""
    before, after = entity_wrapper(
        schema_id='https://ns/"1"', schema_version="1", ims_org_id="o@AdobeOrg", dataset_id=dataset
    )
    message = before + entity + after
    read = json.loads(message)

    assert read["header"] == {
        "schemaRef": {"id": 'https://ns/"1"', "contentType": "application/vnd.adobe.xed-full+json;version=1"},
        "imsOrgId": "o@AdobeOrg",
        "datasetId": dataset,
    }
    assert read["body"]["xdmMeta"] == {"schemaRef": read["header"]["schemaRef"]}
    raw = msgspec.json.decode(message, type=dict[str, dict[str, msgspec.Raw]])["body"]["xdmEntity"]
    assert bytes(raw).strip() == entity.strip()


@pytest.mark.parametrize(
    ("value", "absent", "expected"),
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
def test_the_dataset_is_spliced_into_the_header(value: bytes, absent: bool, expected: bytes) -> None:
    """In front where there is none, behind a null; into the header that a last-wins reader sees."""
    made = insert_dataset_id(value, DATASET, absent=absent)

    assert made == expected % MEMBER
    assert json.loads(made)["header"]["datasetId"] == DATASET


@pytest.mark.parametrize(
    "value", [b"{}", b'{"body":{"header":{}}}', b'{"header":[]}', b'{"header":"{}"}', b'{"header":7}']
)
def test_without_a_header_object_nothing_is_inserted(value: bytes) -> None:
    """There is no place for it."""

    assert insert_dataset_id(value, DATASET, absent=True) is None


def test_a_megabyte_in_one_string_is_passed_over() -> None:
    """Escapes and brackets inside included."""
    text = b'\\"{[' * 200_000
    value = b'{"body":"%b","header":{"a":1}}' % text

    assert insert_dataset_id(value, DATASET, absent=True) == b'{"body":"%b","header":{%b,"a":1}}' % (
        text,
        MEMBER,
    )


# -- what comes back -------------------------------------------------------------------

YES = {"xactionId": "1565628583792:1485:153:0"}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"xactionId": "1565628583792:1485:153:0"}, ACCEPTED),
        ({"xactionId": "9341f8eb-494a-4c89-9879-4d06a58d2dc7-0"}, ACCEPTED),
        ({"status": 200}, ACCEPTED),
        ({"statusCode": "202", "xactionId": "a"}, ACCEPTED),
        (
            {"statusCode": 400, "message": "Message has  unknown\nxdm format"},
            Verdict(VerdictKind.REFUSED, 400, "Message has unknown xdm format"),
        ),
        (
            {"status": 400, "message": "The 'header' field is mandatory."},
            Verdict(VerdictKind.REFUSED, 400, "The 'header' field is mandatory."),
        ),
        (
            {"xactionId": "9341f8eb-494a-4c89-9879-4d06a58d2dc7-0", "status": 400, "message": "m"},
            Verdict(VerdictKind.REFUSED, 400, "m"),
        ),
        ({"status": "400"}, Verdict(VerdictKind.REFUSED, 400, "no error text")),
        ({"statusCode": " 422 ", "title": "t"}, Verdict(VerdictKind.REFUSED, 422, "t")),
        ({"status": 400, "report": {"message": "r"}}, Verdict(VerdictKind.REFUSED, 400, "r")),
        ({"status": 200, "statusCode": 413}, Verdict(VerdictKind.REFUSED, 413, "no error text")),
        ({"status": 413, "statusCode": 200}, Verdict(VerdictKind.REFUSED, 413, "no error text")),
        ({"status": 429}, Verdict(VerdictKind.RETRY, 429, "no error text")),
        ({"statusCode": "503"}, Verdict(VerdictKind.RETRY, 503, "no error text")),
        ({"status": 500, "xactionId": "a:0"}, Verdict(VerdictKind.SUSPECT, 500, "no error text")),
        ({}, UNKNOWN),
        ({"message": "hm"}, UNKNOWN),
        ({"xactionId": ""}, UNKNOWN),
        ({"xactionId": "  "}, UNKNOWN),
        ({"xactionId": None}, UNKNOWN),
        ({"xactionId": False}, UNKNOWN),
        ({"xactionId": []}, UNKNOWN),
        ({"xactionId": "a:0", "status": "OK"}, UNKNOWN),
        ({"xactionId": "a:0", "status": True}, UNKNOWN),
        ({"xactionId": "a:0", "status": 0}, UNKNOWN),
        ({"xactionId": "a:0", "status": 302}, UNKNOWN),
        ({"status": 100}, UNKNOWN),
        ({"status": 4000}, Verdict(VerdictKind.UNKNOWN, 4000, "no error text")),
        ({"status": "99999999999999999999"}, UNKNOWN),
        ({"status": 10**30, "xactionId": "a:0"}, Verdict(VerdictKind.UNKNOWN, 10**30, "no error text")),
    ],
)
def test_every_shape_of_an_entry_is_understood(entry: dict[str, object], expected: Verdict) -> None:
    """`status` and `statusCode`, numbers and texts, with and without an id: what is not plainly said is unknown."""
    [found] = verdicts(answer(entry), 1)

    assert expected.kind is found.kind
    if expected.kind is not VerdictKind.UNKNOWN:
        assert expected == found


@pytest.mark.parametrize("form", ["1565628583792:1485:153:{}", "9341f8eb-494a-4c89-9879-4d06a58d2dc7-{}"])
def test_suffixes_that_agree_with_the_position_map_by_position(form: str) -> None:
    """Failures without an id among them."""
    found = verdicts(
        answer(
            {"xactionId": form.format(0)}, {"statusCode": 400, "message": "x"}, {"xactionId": form.format(2)}
        ),
        3,
    )

    assert [VerdictKind.ACCEPTED, VerdictKind.REFUSED, VerdictKind.ACCEPTED] == [
        verdict.kind for verdict in found
    ]


def test_shuffled_entries_are_mapped_by_their_suffixes() -> None:
    """Where every entry has one, and it is unique and in range."""
    entries = [{"xactionId": "b:2"}, {"xactionId": "b:0", "status": 400}, {"xactionId": "b:1"}]

    assert [VerdictKind.REFUSED, VerdictKind.ACCEPTED, VerdictKind.ACCEPTED] == [
        verdict.kind for verdict in verdicts(answer(*entries), 3)
    ]


@pytest.mark.parametrize(
    "entries",
    [
        [{"xactionId": "b:1"}, {"status": 400}, {"xactionId": "b:2"}],  # disagrees, and one has none
        [{"xactionId": "b:1"}, {"xactionId": "b:1"}, {"xactionId": "b:2"}],  # twice
        [{"xactionId": "b:1"}, {"xactionId": "b:2"}, {"xactionId": "b:3"}],  # out of range
        [{"status": 400}, {"status": 400}],  # too few, and none says which
        [{"xactionId": "abc"}] * 4,  # too many
        [],
    ],
)
def test_what_cannot_be_attributed_is_unknown(entries: list[dict[str, object]]) -> None:
    """Nobody guesses which record a verdict is about."""

    assert [UNKNOWN] * 3 == verdicts(answer(*entries), 3)


def test_adobes_own_example_of_five_messages_and_four_responses() -> None:
    """Three of the four name no message: all five are unknown."""
    entries = [
        {"statusCode": 400, "message": "a"},
        {"statusCode": 400, "message": "b"},
        {"xactionId": "1565628583792:1485:153:3"},
        {"statusCode": 400},
    ]

    assert [UNKNOWN] * 5 == verdicts(answer(*entries), 5)


def test_fewer_entries_that_all_name_their_message_are_used() -> None:
    """And the messages that no entry names are unknown."""
    found = verdicts(answer({"xactionId": "b:4"}, {"xactionId": "b:0", "status": 400}), 5)

    assert [
        VerdictKind.REFUSED,
        VerdictKind.UNKNOWN,
        VerdictKind.UNKNOWN,
        VerdictKind.UNKNOWN,
        VerdictKind.ACCEPTED,
    ] == [verdict.kind for verdict in found]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"OK",
        b"null",
        b"[]",
        b"{}",
        b'{"responses":null}',
        b'{"responses":{}}',
        b'{"responses":[1,2]}',
        b'{"responses":[null]}',
        b"\xff\xfe",
        b'{"responses":[{"xactionId":"\xff:0"}]}',
        b'{"responses":[{"xactionId":"a:0"}',
        b'{"responses":[{"xactionId":' + b"[" * 5000 + b"]" * 5000 + b"}]}",
        b"[" * 100_000,
        b"<html>502</html>",
    ],
)
def test_an_answer_that_cannot_be_read_is_unknown(raw: bytes) -> None:
    """A proxy's page with status 200 accepts nothing."""

    assert [UNKNOWN] * 2 == verdicts(raw, 2)


def test_an_error_text_may_have_half_a_surrogate_pair_in_it() -> None:
    """It repeats what a message had: the answer is understood all the same."""
    raw = rb'{"responses":[{"xactionId":"b:0"},{"xactionId":"b:1","status":400,"message":"bad name \ud83d\\ude00"}]}'

    assert [ACCEPTED, Verdict(VerdictKind.REFUSED, 400, r"bad name ?\ude00")] == verdicts(raw, 2)


def test_the_top_level_is_read_leniently() -> None:
    """Other spellings, long numbers, more keys: only `responses` counts."""
    raw = b'{"inletID":"x","batchId":17,"receivedTimeMs":15656285838540000000000000,"responses":[{"xactionId":"a:0","more":[{}]}]}'

    assert [ACCEPTED] == verdicts(raw, 1)


STATUSES = [200, 207, 400, 413, 429, 500, 503, "200", "400", "503", "no", 0, -1, True, 2.5]
XACTIONS = [st.integers(0, 4).map("b:{}".format), st.integers(0, 4).map("u-{}".format)]
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "xactionId": st.one_of(st.none(), st.text(max_size=4), st.integers(), st.booleans(), *XACTIONS),
        "status": st.one_of(st.none(), st.sampled_from(STATUSES), st.integers(), st.text(max_size=3)),
        "statusCode": st.one_of(st.none(), st.sampled_from([200, 400, "400", "500", "", {}])),
        "message": st.one_of(st.text(max_size=3), st.integers()),
    },
)


def evidence(entry: dict[str, object]) -> bool:
    """Whether an entry can be called a success at all, told apart from the code under test."""
    statuses = [str(entry[key]).strip() for key in ("status", "statusCode") if entry.get(key) is not None]
    if any(text.isdecimal() and int(text) >= 400 for text in statuses):
        return False
    if statuses:
        return any(text in {str(number) for number in range(200, 300)} for text in statuses)
    xaction = entry.get("xactionId")
    return not isinstance(xaction, bool) and xaction is not None and bool(str(xaction).strip())


@settings(max_examples=500)
@given(st.lists(ENTRY, max_size=6), st.integers(0, 6))
def test_nothing_is_accepted_without_evidence(entries: list[dict[str, object]], count: int) -> None:
    """An accepted message has an entry of its own that says so: at its position, or with its suffix."""
    found = verdicts(answer(*entries), count)

    assert len(found) == count
    for at, verdict in enumerate(found):
        if verdict.kind is VerdictKind.ACCEPTED:
            own = [
                entry for entry in entries if str(entry.get("xactionId", "")).endswith((f":{at}", f"-{at}"))
            ]
            own += [entries[at]] if len(entries) == count else []
            assert any(map(evidence, own))
    assert sum(verdict.kind is VerdictKind.ACCEPTED for verdict in found) <= sum(map(evidence, entries))


LISTED = st.lists(ANY, max_size=3).map(lambda items: f'{{"responses":[{",".join(items)}]}}'.encode())


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=200), as_bytes(ANY), LISTED), st.integers(0, 4))
def test_no_answer_raises(raw: bytes, count: int) -> None:
    """Neither as a list of verdicts nor as an error text; and bytes at random accept nothing."""
    found = verdicts(raw, count)

    assert len(found) == count
    assert isinstance(error_text(raw), str)
    if b"xactionId" not in raw and b"status" not in raw:
        assert all(verdict.kind is VerdictKind.UNKNOWN for verdict in found)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, VerdictKind.REFUSED),
        (404, VerdictKind.REFUSED),
        (413, VerdictKind.REFUSED),
        (422, VerdictKind.REFUSED),
        (401, VerdictKind.RETRY),
        (403, VerdictKind.RETRY),
        (408, VerdictKind.RETRY),
        (425, VerdictKind.RETRY),
    ]
    + [
        (429, VerdictKind.RETRY),
        (500, VerdictKind.SUSPECT),
        (501, VerdictKind.RETRY),
        (502, VerdictKind.RETRY),
        (503, VerdictKind.RETRY),
        (504, VerdictKind.RETRY),
        (599, VerdictKind.RETRY),
        (600, VerdictKind.UNKNOWN),
    ],
)
def test_the_status_of_one_message_tells_whose_fault_it_is(status: int, kind: VerdictKind) -> None:
    """A permanent one is the record's; the others are nobody's."""

    assert kind is kind_of_status(status)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (
            b'{"type":"http://ns.adobe.com/x","status":400,"title":"Invalid XDM Message Format","report":{"message":"inletId: [i]  unknown"}}',
            "inletId: [i] unknown",
        ),
        (b'{"title":"Invalid"}', "Invalid"),
        (b'{"status":"401","message":"Ims service token is empty"}', "Ims service token is empty"),
        (b'{"message":"no good: \\ud83d"}', "no good: ?"),
        (b"", "no error text"),
        (b"{}", "no error text"),
        (b"<html>\n bad\xff gateway</html>", "<html> bad\ufffd gateway</html>"),
        (b"x" * 9000, "x" * 500),
        (b"[" * 9000, "[" * 500),
    ],
)
def test_the_error_text_of_a_refusal(raw: bytes, text: str) -> None:
    """Adobe's problem JSON, or the beginning of whatever else came."""

    assert text == error_text(raw)


SPELLINGS = st.tuples(
    st.sampled_from(['{"inletId":"i","responses":[%s]}', '{"a":"\\"responses\\":[","responses":[%s]}', '{"x":{"responses":[%s]}', '{"responses":[],"responses":[%s]}',
                     '"responses":[%s]}', '{"y":"responses":[%s]}', '{"responses":[%s],"responses":[]}', '{"responses":[%s]} ', '{"t":"\xff","responses":[%s]}']),
    st.sampled_from(["b:1:", "u-", "", "x", 'q\\":', "ü:"]),
    st.lists(st.one_of(st.integers(0, 3).map(str), st.just("00")), max_size=5),
    st.sampled_from(['{"xactionId":"%s"}', '{"xactionId": "%s"}', '{"xactionId":"%s","status":400}', '{"xactionId":"%s","message":"m"}']),
)  # fmt: skip


@settings(max_examples=1000)
@given(SPELLINGS, st.integers(0, 5))
def test_the_fast_ways_say_what_the_careful_one_says(
    spelling: tuple[str, str, list[str], str], count: int
) -> None:
    """Whatever the fast look at an answer accepts, the careful look accepts too, record by record."""
    frame, before, numbers, entry = spelling
    raw = (frame % ",".join(entry % (before + number) for number in numbers)).encode("latin-1")
    careful = multi_status._careful(raw, count)

    assert careful == verdicts(raw, count)


def test_the_answer_of_an_accepted_batch_needs_no_look_at_its_entries() -> None:
    """The usual spelling takes the fastest way, one id a message the next one."""
    usual = b'{"inletId":"i","batchId":"b:1","receivedTimeMs":1,"responses":[%b]}' % b",".join(
        b'{"xactionId":"b:1:%d"}' % at for at in range(1000)
    )
    own = b'{"responses":[%b]}' % b",".join(b'{"xactionId":"%d-%d"}' % (at * 7, at) for at in range(1000))

    assert multi_status._as_expected(usual, 1000)
    assert not multi_status._as_expected(usual, 999)
    assert multi_status._all_accepted(own, 1000)
    assert not multi_status._as_expected(own, 1000)
