"""Dead letters with headers that anybody may have written.

Every command reads them, and a dead letter leads back to the topic of its record and to no other.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bridge.cli.dlq import app
from bridge.demo.mock_cluster import MockCluster
from bridge.kafka.coordinates import Coordinates
from bridge.kafka.dead_letter_headers import dead_letter_headers
from bridge.kafka.reader import Bounds
from bridge.model import DeadLetter, Headers, Reason, Record, Refusal, TopicPartition
from bridge.replay import reading
from bridge.replay.dead_letter import StoredDeadLetter, error_kind, iso_time, parse_dead_letter
from bridge.replay.marks import Mark, ReplayMarks, parse_marks
from bridge.replay.patch import CannotPatch, Patch
from bridge.replay.plan import Action, make_plan
from bridge.replay.reading import DeadLetterReader
from bridge.replay.selection import Selection
from tests.contract.test_mock_cluster import produce_raw_header
from tests.support.memory import MemoryRecord
from tests.support.settings import settings as configured

DEAD = TopicPartition("t.dlq", 0)
FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FIX = [{"op": "replace", "path": "/a", "value": 1}, {"op": "add", "path": "/b/-", "value": 2}]
LONG = [
    b"1" * 5000,
    b"9" * 30,
    b"1" * 19,
    str(2**63).encode(),
    b"-1",
    b"+1",
    b"1_0",
    b" 1",
    "٣".encode(),
    b"",
    b"\xff\xfe",
    b"0",
    b"7",
    b"1e3",
]
OURS = [
    name
    for name, _ in dead_letter_headers(
        DeadLetter(MemoryRecord(DEAD, 0, b""), "t.dlq", Refusal(Reason.REFUSED, "x"), "b", "i", None)
    )
]

texts = (
    st.none()
    | st.sampled_from(LONG)
    | st.binary(max_size=40)
    | st.sampled_from([b"t", b"u", b"../etc", b"a\x00b", b"\x1b]0;gone\x07", b"[" * 100_000])
)
headers = st.lists(
    st.tuples(st.sampled_from(OURS) | st.text(st.characters(exclude_categories=("Cs",)), max_size=5), texts),
    max_size=25,
)
payloads = (
    st.none()
    | st.binary(max_size=60)
    | st.sampled_from(
        [
            b"",
            b"[" * 100_000,
            b"x" * 200_000,
            b'{"a":"\\ud800"}',
            b'{"a":1e99999999999999999999}',
            b"1" * 5000,
            b'{"a":1,"b":[]}',
            b"\x1b[2J",
        ]
    )
)
times = st.tuples(st.integers(0, 2), st.integers(-(2**63), 2**63 - 1) | st.sampled_from([10**18, -1, 0]))


@st.composite
def records(draw: st.DrawFn) -> list[MemoryRecord]:
    """Draw some dead letters of one partition."""
    parts = st.tuples(payloads, payloads, st.none() | headers, times)
    return [MemoryRecord(DEAD, at, *each) for at, each in enumerate(draw(st.lists(parts, max_size=6)))]


def dead_letter(*more: tuple[str, bytes | None], at: int = 0, time: int = 1000) -> MemoryRecord:
    """Return a dead letter with these headers."""
    return MemoryRecord(DEAD, at, b"{}", b"k", more, (1, time))


def coordinates(
    topic: bytes, partition: bytes = b"0", offset: bytes = b"5"
) -> list[tuple[str, bytes | None]]:
    """Return coordinates as Kafka Connect writes them, and as we do."""
    return [
        ("__connect.errors.topic", topic),
        ("__connect.errors.partition", partition),
        ("__connect.errors.offset", offset),
    ]


@FUZZ
@given(records())
@example([dead_letter(("aep.replay.count", b"1" * 5000))])
@example([dead_letter(("aep.replay.count", b"9" * 30))])
@example([dead_letter(*coordinates(b"t", b"1" * 5000))])
@example([dead_letter(*coordinates(b"t", b"0", b"9" * 30))])
@example([dead_letter(*coordinates(b"a\x00b"))])
@example([dead_letter(time=10**18), dead_letter(at=1, time=-(2**63))])
def test_every_dead_letter_is_parsed_and_planned(read: list[MemoryRecord]) -> None:
    """Whatever the headers are, what comes out is possible.

    Coordinates that Kafka could have, a count that fits, a time of the calendar. Each dead letter is one
    action of the plan, or a repeat.
    """
    letters = [parse_dead_letter(record) for record in read]
    for each in letters:
        fields = each.as_json()
        json.dumps(fields).encode()
        assert datetime.fromisoformat(fields["failed_at"]).year in range(1, 10_000)
        assert 0 <= each.source.partition < 2**31
        assert 0 <= each.source.offset < 2**63
        assert each.source.topic.replace(".", "a").replace("_", "a").replace("-", "a").isalnum()
        assert len(each.reason + each.status + each.dataset + each.source_timestamp + each.kind) < 1000
    plan = make_plan(letters, Bounds({DEAD: 0}, {DEAD: len(read)}), ReplayMarks(), Selection(), None, 3)
    actions = plan.actions(DEAD, 0, len(read))

    assert len(read) == plan.total
    assert plan.total == plan.to_send + plan.to_park + plan.repeats
    assert {name for name, _ in plan.destinations} == {topic for topic, _ in actions.values()}
    assert {letters[at].identity for at in actions} == {
        identity for identity, _ in plan.identities(DEAD, 0, len(read))
    }
    assert all(letters[at].source.topic == topic for at, (topic, _) in actions.items())
    assert plan.starts()[DEAD] == min(actions, default=len(read))


class FakeReader:
    """Stands where the reader is, and gives these records."""

    stored: Sequence[Record] = ()

    def __init__(self, _: object) -> None: ...

    def bounds(self, _: object) -> Bounds:
        return Bounds({DEAD: 0}, {DEAD: len(self.stored)})

    def dead_letters(self, _: object) -> Iterator[StoredDeadLetter]:
        return map(parse_dead_letter, self.stored)

    def dead_letter_at(self, coordinates: Coordinates) -> StoredDeadLetter | None:
        return parse_dead_letter(self.stored[coordinates.offset])

    def marks(self) -> ReplayMarks:
        return ReplayMarks()

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a configuration and a patch for the commands, which read what `FakeReader` gives."""
    path = tmp_path_factory.mktemp("letters")
    kafka = {"bootstrap_servers": "127.0.0.1:9", "group_id": "g"}
    (path / "c.yaml").write_text(
        yaml.safe_dump(
            {
                "kafka": kafka,
                "aep": {"inlet_url": "http://127.0.0.1:9/collection/x"},
                "topics": [{"topic": "t"}],
            }
        )
    )
    (path / "p.json").write_text(json.dumps(FIX))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "DeadLetterReader", FakeReader)
        patch.setattr(reading, "dead_letter_topics", lambda *_: {"t.dlq": 1})
        yield path


def run(folder: Path, *arguments: str, code: frozenset[int] = frozenset({0})) -> str:
    """Return what a command prints."""
    done = CliRunner().invoke(app, [*arguments, "--config", str(folder / "c.yaml")])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert done.exit_code in code, done.output
    return done.stdout


@settings(FUZZ, max_examples=12)
@given(records())
@example(
    [
        MemoryRecord(DEAD, 0, b"[" * 100_000),
        MemoryRecord(DEAD, 1, b'{"a":"\\ud800"}'),
        dead_letter(*coordinates(b"t", b"1" * 5000), at=2, time=10**18),
    ]
)
@example([MemoryRecord(DEAD, 0, None, b"x" * 200_000)])
@example(
    [
        MemoryRecord(
            DEAD,
            0,
            b'{"a":1e99999999999999999999,"b":[]}',
            b"\x1b[2J",
            [("aep.error", b"\x1b]0;gone\x07 \x9b")],
        )
    ]
)
def test_no_dead_letter_stops_a_command(folder: Path, read: list[MemoryRecord]) -> None:
    """list, show, export, stats and the dry runs of replay work for scripts and for people.

    A terminal gets no escape sequence that others wrote.
    """
    FakeReader.stored = read
    listed = json.loads(run(folder, "list"))
    assert len(read) == sum(group["count"] for group in listed)
    assert len(read) == json.loads(run(folder, "stats"))["total"]
    lines = [json.loads(line) for line in run(folder, "export").splitlines()]
    run(folder, "export", "--format", "csv", "--to", str(folder / "x.csv"))
    csv.field_size_limit(1 << 30)
    with (folder / "x.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [line["payload"] or "" for line in lines] == [row["payload"] for row in rows]
    shown = [run(folder, command, "-o", "table") for command in ("list", "stats")]
    for at in range(len(read)):
        json.loads(run(folder, "show", f"t.dlq/0/{at}").encode())
        shown.append(run(folder, "show", f"t.dlq/0/{at}", "-o", "table"))
    codes = frozenset({0, 1, 2})
    with_patch = ("--patch", str(folder / "p.json"), "--leave-unpatched")
    for options in ((), ("--to", "source"), with_patch):
        shown += [run(folder, "replay", "-o", "table", *options, code=codes)]
    assert [text for text in shown if "\x1b" in text or "\x9b" in text] == []


def test_what_is_no_mark_marks_nothing() -> None:
    """Anybody may write to the marks' topic: huge counts, half a surrogate pair, nesting without end."""
    good = json.dumps({"count": 1, "at": "2026-11-24T12:00:00Z", "to": "aep"}).encode()
    bad = [
        b'{"count":%s,"at":"","to":""}' % count
        for count in (b"9" * 30, b"1" * 5000, b"1e999", b"-1", b"true", b"null")
    ]
    bad += [b'{"count":1,"at":"\\ud800","to":""}', b"[" * 100_000, b"\xff", b"[]", b"null"]

    stored = [MemoryRecord(DEAD, offset, value, b"k%d" % offset) for offset, value in enumerate([*bad, good])]

    assert list(parse_marks(stored)) == [(f"k{len(bad)}", Mark(1, "2026-11-24T12:00:00Z", "aep"))]


def test_times_outside_of_the_calendar_are_its_ends() -> None:
    """A command that shows a time must not fail for it. All others are shown to the second."""
    assert iso_time(10**18) == "9999-12-31T23:59:59Z"
    assert iso_time(-(10**18)) == "0001-01-01T00:00:00Z"
    assert iso_time(1_795_521_600_999) == "2026-11-24T12:00:00Z"
    assert iso_time(-1) == "1969-12-31T23:59:59Z"


def test_what_a_dead_letter_is_grouped_by_takes_no_time_for_a_long_error() -> None:
    """Brackets that never close are searched in a bounded text, of which 300 characters are kept."""
    assert len(error_kind("[" * 1_000_000)) == 300


@FUZZ
@given(payloads)
def test_a_payload_takes_the_patch_or_says_why_not(
    tmp_path_factory: pytest.TempPathFactory, value: bytes | None
) -> None:
    """What comes out is JSON again, or `CannotPatch`, for numbers of any length too."""
    path = tmp_path_factory.getbasetemp() / "patch.json"
    path.write_text(json.dumps(FIX))
    try:
        json.loads(Patch(path).apply(value))
    except CannotPatch as problem:
        assert str(problem)


forged = st.lists(
    st.sampled_from(
        [
            *coordinates(b"u"),
            *coordinates(b"t", b"3", b"9"),
            *coordinates(b"t", b"x"),
            ("aep.replay.count", b"0"),
            ("aep.source.timestamp", b"5"),
        ]
    )
    | st.tuples(st.sampled_from(OURS), texts),
    max_size=12,
)


@FUZZ
@given(forged, st.integers(1, 3))
@example([*coordinates(b"u"), ("aep.replay.count", b"0")], 1)
@example(coordinates(b"u"), 2)
@example([("aep.replay.count", b"2")], 1)
def test_a_dead_letter_leads_to_the_topic_of_its_record_whatever_its_producer_wrote(
    own: Headers, times: int
) -> None:
    """That holds also after further failures.

    The reason, the error, the status and the dataset are ours, and the record's own headers are kept.
    """
    place, carried = TopicPartition("t", 1), own
    for _ in range(times):  # a replay gives the record back with its dead letter's headers
        record = MemoryRecord(place, 77, b"{}", b"k", carried)
        carried = dead_letter_headers(
            DeadLetter(record, "t.dlq", Refusal(Reason.REFUSED, "no", 400, 1), "b", "i", "d")
        )
    parsed = parse_dead_letter(MemoryRecord(DEAD, 3, b"{}", b"k", carried))

    assert list(own) == carried[: len(own)]
    assert parsed.source.topic == "t"
    assert (parsed.reason, parsed.error, parsed.status, parsed.dataset) == ("refused", "no", "400", "d")
    assert make_plan(
        [parsed], Bounds({DEAD: 0}, {DEAD: 9}), ReplayMarks(), Selection(), None, 3
    ).destinations.keys() <= {
        ("t", Action.SEND),
        ("t", Action.PARK),
    }


def test_forged_coordinates_of_another_topic_are_not_believed() -> None:
    """With or without a count, the dead letter has its own record's coordinates, and a count of 0."""
    for own in (
        [*coordinates(b"u"), ("aep.replay.count", b"7")],
        coordinates(b"u"),
        [("aep.replay.count", b"7")],
        coordinates(b"t", b"9", b"9"),
    ):
        record = MemoryRecord(TopicPartition("t", 1), 77, b"{}", b"k", own, (1, 1234))
        built = dead_letter_headers(
            DeadLetter(record, "t.dlq", Refusal(Reason.REFUSED, "no"), "b", "i", None)
        )
        parsed = parse_dead_letter(MemoryRecord(DEAD, 3, b"{}", b"k", built))

        assert (
            parsed.source,
            parsed.earlier_failures,
            parsed.source_timestamp,
        ) == (Coordinates("t", 1, 77), 0, "1234")


def test_dead_letters_that_do_not_say_where_they_came_from_are_not_sent_back(folder: Path) -> None:
    """They would end in the dead-letter topic once more."""
    FakeReader.stored = [MemoryRecord(DEAD, 0, b"{}", None, None)]
    done = CliRunner().invoke(app, ["replay", "--to", "source", "--config", str(folder / "c.yaml")])

    assert done.exit_code == 2
    assert "don't say which topic they came from" in done.output


def test_a_header_name_that_is_no_text_does_not_stop_the_reader() -> None:
    """The client holds a null pointer for it. The dead letter is read, with that header renamed."""
    with MockCluster(topics={"t.dlq": 1}) as cluster:
        produce_raw_header(cluster.bootstrap, b"t.dlq", b"caf\xe9")
        kafka = {"bootstrap_servers": cluster.bootstrap, "group_id": "g"}
        reader = DeadLetterReader(configured(kafka=kafka))
        (read_letter,) = reader.dead_letters(reader.bounds({"t.dlq": 1}))
        reader.close()

    assert [value for _, value in read_letter.record.headers() or ()] == [b"x", b"y"]
    assert read_letter.coordinates == read_letter.source
