"""Responses become verdicts that never claim what AEP did not say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codec import multi_status
from bridge.codec.error_text import error_text
from bridge.codec.multi_status import ACCEPTED, UNKNOWN, Verdict, VerdictKind, kind_of_status, verdicts
from tests.support.jsontext import ANY, as_bytes


def response(*entries: object) -> bytes:
    """A multi-status body as AEP writes it."""
    ids = {"inletId": "i", "batchId": "1565628583792:1485:153", "receivedTimeMs": 1565628583854}
    return json.dumps({**ids, "responses": entries}).encode()


def kinds(body: bytes, count: int) -> list[VerdictKind]:
    return [verdict.kind for verdict in verdicts(body, count)]


def refused(status: int, error: str = "no error text") -> Verdict:
    return Verdict(VerdictKind.REFUSED, status, error)


UUID = "9341f8eb-494a-4c89-9879-4d06a58d2dc7"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"xactionId": "1565628583792:1485:153:0"}, ACCEPTED),
        ({"xactionId": f"{UUID}-0"}, ACCEPTED),
        ({"status": 200}, ACCEPTED),
        ({"statusCode": "202", "xactionId": "a"}, ACCEPTED),
        (
            {"statusCode": 400, "message": "Message has  unknown\nxdm format"},
            refused(400, "Message has unknown xdm format"),
        ),
        (
            {"status": 400, "message": "The 'header' field is mandatory."},
            refused(400, "The 'header' field is mandatory."),
        ),
        ({"xactionId": f"{UUID}-0", "status": 400, "message": "m"}, refused(400, "m")),
        ({"status": "400"}, refused(400)),
        ({"statusCode": " 422 ", "title": "t"}, refused(422, "t")),
        ({"status": 400, "report": {"message": "r"}}, refused(400, "r")),
        ({"status": 200, "statusCode": 413}, refused(413)),
        ({"status": 413, "statusCode": 200}, refused(413)),
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
    """AEP writes `status` or `statusCode`, as number or text, with or without an id; doubt means unknown."""
    [verdict] = verdicts(response(entry), 1)

    assert verdict.kind is expected.kind
    if expected.kind is not VerdictKind.UNKNOWN:
        assert verdict == expected


@pytest.mark.parametrize("form", ["1565628583792:1485:153:{}", f"{UUID}-{{}}"])
def test_indexes_that_agree_with_the_position_attribute_by_position(form: str) -> None:
    """A failure that has no id is attributed too, because every other entry stands where its index says."""
    failure = {"statusCode": 400, "message": "x"}
    body = response({"xactionId": form.format(0)}, failure, {"xactionId": form.format(2)})

    assert kinds(body, 3) == [VerdictKind.ACCEPTED, VerdictKind.REFUSED, VerdictKind.ACCEPTED]


def test_shuffled_entries_are_attributed_by_their_indexes() -> None:
    """If every entry names an index, and each index is unique and in range, the order does not matter."""
    body = response({"xactionId": "b:2"}, {"xactionId": "b:0", "status": 400}, {"xactionId": "b:1"})

    assert kinds(body, 3) == [VerdictKind.REFUSED, VerdictKind.ACCEPTED, VerdictKind.ACCEPTED]


@pytest.mark.parametrize(
    "entries",
    [
        [
            {"xactionId": "b:1"},
            {"status": 400},
            {"xactionId": "b:2"},
        ],  # an index disagrees, and one is missing
        [{"xactionId": "b:1"}, {"xactionId": "b:1"}, {"xactionId": "b:2"}],  # an index occurs twice
        [{"xactionId": "b:1"}, {"xactionId": "b:2"}, {"xactionId": "b:3"}],  # an index is out of range
        [{"status": 400}, {"status": 400}],  # too few entries, without an index
        [{"xactionId": "abc"}] * 4,  # too many entries
        [],
    ],
)
def test_an_entry_that_cannot_be_attributed_makes_all_messages_unknown(
    entries: list[dict[str, object]],
) -> None:
    """A guess could settle a record that AEP refused, which is a loss."""
    assert verdicts(response(*entries), 3) == [UNKNOWN] * 3


def test_adobes_own_example_of_five_messages_and_four_responses_is_unknown() -> None:
    """In Adobe's documentation three of the four entries name no message, so none can be attributed."""
    entries = [
        {"statusCode": 400, "message": "a"},
        {"statusCode": 400, "message": "b"},
        {"xactionId": "1565628583792:1485:153:3"},
        {"statusCode": 400},
    ]

    assert verdicts(response(*entries), 5) == [UNKNOWN] * 5


def test_too_few_entries_count_if_each_names_its_message() -> None:
    """What is known is used; the messages that no entry names are unknown, and are sent again."""
    body = response({"xactionId": "b:4"}, {"xactionId": "b:0", "status": 400})

    assert kinds(body, 5) == [
        VerdictKind.REFUSED,
        VerdictKind.UNKNOWN,
        VerdictKind.UNKNOWN,
        VerdictKind.UNKNOWN,
        VerdictKind.ACCEPTED,
    ]


@pytest.mark.parametrize(
    "body",
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
def test_a_response_that_cannot_be_read_is_unknown(body: bytes) -> None:
    """A proxy's page with status 200 accepts nothing."""
    assert verdicts(body, 2) == [UNKNOWN] * 2


def test_an_error_text_may_have_a_lone_surrogate() -> None:
    """AEP quotes the message in it; the other verdicts of the response must not be lost for that."""
    failure = rb'{"xactionId":"b:1","status":400,"message":"bad name \ud83d\\ude00"}'
    body = b'{"responses":[{"xactionId":"b:0"},%b]}' % failure

    assert verdicts(body, 2) == [ACCEPTED, refused(400, r"bad name ?\ude00")]


def test_only_the_list_of_responses_counts() -> None:
    """AEP's other fields differ between its versions, and their numbers may exceed 64 bits."""
    head = b'"inletID":"x","batchId":17,"receivedTimeMs":15656285838540000000000000'
    body = b'{%b,"responses":[{"xactionId":"a:0","more":[{}]}]}' % head

    assert verdicts(body, 1) == [ACCEPTED]


STATUSES = [200, 207, 400, 413, 429, 500, 503, "200", "400", "503", "no", 0, -1, True, 2.5]
IDS_WITH_AN_INDEX = [st.integers(0, 4).map("b:{}".format), st.integers(0, 4).map("u-{}".format)]
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "xactionId": st.one_of(
            st.none(), st.text(max_size=4), st.integers(), st.booleans(), *IDS_WITH_AN_INDEX
        ),
        "status": st.one_of(st.none(), st.sampled_from(STATUSES), st.integers(), st.text(max_size=3)),
        "statusCode": st.one_of(st.none(), st.sampled_from([200, 400, "400", "500", "", {}])),
        "message": st.one_of(st.text(max_size=3), st.integers()),
    },
)


def may_be_a_success(entry: dict[str, object]) -> bool:
    """Whether an entry can be called a success at all, judged without the code under test."""
    statuses = [str(entry[key]).strip() for key in ("status", "statusCode") if entry.get(key) is not None]
    if any(text.isdecimal() and int(text) >= 400 for text in statuses):
        return False
    if statuses:
        return any(text in {str(number) for number in range(200, 300)} for text in statuses)
    xaction_id = entry.get("xactionId")
    return not isinstance(xaction_id, bool) and xaction_id is not None and bool(str(xaction_id).strip())


@settings(max_examples=500)
@given(st.lists(ENTRY, max_size=6), st.integers(0, 6))
def test_nothing_is_accepted_without_evidence(entries: list[dict[str, object]], count: int) -> None:
    """For an accepted message there is an entry that says so, at its position or with its index."""
    result = verdicts(response(*entries), count)

    assert len(result) == count
    for at, verdict in enumerate(result):
        if verdict.kind is VerdictKind.ACCEPTED:
            endings = (f":{at}", f"-{at}")
            own = [entry for entry in entries if str(entry.get("xactionId", "")).endswith(endings)]
            own += [entries[at]] if len(entries) == count else []
            assert any(map(may_be_a_success, own))
    accepted = sum(verdict.kind is VerdictKind.ACCEPTED for verdict in result)
    assert accepted <= sum(map(may_be_a_success, entries))


LIST_OF_ANYTHING = st.lists(ANY, max_size=3).map(
    lambda items: f'{{"responses":[{",".join(items)}]}}'.encode()
)


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=200), as_bytes(ANY), LIST_OF_ANYTHING), st.integers(0, 4))
def test_no_response_raises(body: bytes, count: int) -> None:
    """A reading that raised would end the engine; and random bytes accept nothing."""
    result = verdicts(body, count)

    assert len(result) == count
    assert isinstance(error_text(body), str)
    if b"xactionId" not in body and b"status" not in body:
        assert all(verdict.kind is VerdictKind.UNKNOWN for verdict in result)


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ((400, 404, 413, 422), VerdictKind.REFUSED),
        ((401, 403, 408, 425, 429, 501, 502, 503, 504, 599), VerdictKind.RETRY),
        ((500,), VerdictKind.SUSPECT),
        ((600,), VerdictKind.UNKNOWN),
    ],
)
def test_the_status_of_one_message_says_whose_fault_it_is(
    statuses: tuple[int, ...], kind: VerdictKind
) -> None:
    """Only a permanent status is held against the record; a transient one is nobody's fault."""
    assert {status: kind_of_status(status) for status in statuses} == dict.fromkeys(statuses, kind)


FRAMES = [
    '{"inletId":"i","responses":[%s]}',
    '{"a":"\\"responses\\":[","responses":[%s]}',
    '{"x":{"responses":[%s]}',
    '{"responses":[],"responses":[%s]}',
    '{"responses":[1],"responses":[%s]}',
    '"responses":[%s]}',
    '{"y":"responses":[%s]}',
    '{"responses":[%s],"responses":[]}',
    '{"responses":[%s]} ',
    '{"t":"\xff","responses":[%s]}',
]
ENTRIES = [
    '{"xactionId":"%s"}',
    '{"xactionId": "%s"}',
    '{"xactionId":"%s","status":400}',
    '{"xactionId":"%s","message":"m"}',
]
SPELLINGS = st.tuples(
    st.sampled_from(FRAMES),
    st.sampled_from(["b:1:", "u-", "", "x", 'q\\":', "ü:"]),
    st.lists(st.one_of(st.integers(0, 3).map(str), st.just("00")), max_size=5),
    st.sampled_from(ENTRIES),
)


@settings(max_examples=1000)
@given(SPELLINGS, st.integers(0, 5))
def test_a_response_that_is_recognised_as_a_whole_reads_the_same_entry_by_entry(
    spelling: tuple[str, str, list[str], str], count: int
) -> None:
    """The fast ways may only save time: they must not accept anything that the slow way does not accept."""
    frame, batch_id, numbers, entry = spelling
    body = (frame % ",".join(entry % (batch_id + number) for number in numbers)).encode("latin-1")

    assert verdicts(body, count) == multi_status._read_entries(body, count)


def test_a_batch_that_is_accepted_whole_is_recognised_without_reading_its_entries() -> None:
    """Nearly every request has this response; ids of different batches take the next fastest way."""
    entries = b",".join(b'{"xactionId":"b:1:%d"}' % at for at in range(1000))
    one_batch = b'{"inletId":"i","batchId":"b:1","receivedTimeMs":1,"responses":[%b]}' % entries
    entries = b",".join(b'{"xactionId":"%d-%d"}' % (at * 7, at) for at in range(1000))
    many_batches = b'{"responses":[%b]}' % entries

    assert multi_status._all_of_one_batch(one_batch, 1000)
    assert not multi_status._all_of_one_batch(one_batch, 999)
    assert multi_status._all_accepted(many_batches, 1000)
    assert not multi_status._all_of_one_batch(many_batches, 1000)
