"""The plan of a replay: one action for each source record, what was replayed is not sent again, and no payload is held."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from bridge.cli.dlq.options import reading
from bridge.kafka.coordinates import Coordinates
from bridge.model import Slice, TopicPartition
from bridge.ports import Fatal
from bridge.replay import source as room
from bridge.replay.dead_letter import StoredDeadLetter, understood
from bridge.replay.marks import Mark, Replayed
from bridge.replay.patch import Patch
from bridge.replay.plan import Does, Plan, plan
from bridge.replay.reading import Bounds
from bridge.replay.selection import Selection
from tests.support.memory import MemoryRecord
from tests.unit.config.test_settings import settings

DEAD = TopicPartition("t.dlq", 0)


def letter(
    at: int,
    source: int,
    *,
    count: int = 0,
    failed: int = 1000,
    made: str = "7",
    topic: str = "t",
    value: bytes = b"{}",
    reason: str = "refused",
) -> StoredDeadLetter:
    """A dead letter at an offset, of a source record."""
    headers = [
        ("__connect.errors.topic", topic.encode()), ("__connect.errors.partition", b"0"), ("__connect.errors.offset", b"%d" % source),
        ("aep.source.timestamp", made.encode()), ("aep.reason", reason.encode()), ("aep.error", b"no"), ("aep.replay.count", b"%d" % count),
    ]  # fmt: skip
    return understood(MemoryRecord(DEAD, at, value, more=headers, time=(1, failed)))


def planned(
    *letters: StoredDeadLetter,
    marks: dict[str, int] | None = None,
    selection: Selection | None = None,
    patch: Patch | None = None,
    cap: int = 3,
) -> Plan:
    """The plan for these letters."""
    replayed = Replayed(
        (identity, Mark(count, "2026-11-24T12:00:00Z", "aep")) for identity, count in (marks or {}).items()
    )
    return plan(letters, Bounds({DEAD: 0}, {DEAD: 1000}), replayed, selection or Selection(), patch, cap)


def sent(made: Plan) -> dict[int, tuple[str, Does]]:
    """What goes."""
    return made.chosen(DEAD, 0, 1000)


def test_of_several_letters_of_a_record_one_counts() -> None:
    """The one that failed most often, in whatever order they are read; of equals the earliest; the others are repeats."""
    letters = [
        letter(1, 5),
        letter(2, 6),
        letter(3, 5, count=1),
        letter(4, 5, failed=900),
        letter(5, 6, failed=2000),
    ]
    for order in (letters, letters[::-1]):
        made = planned(*order)

        assert sent(made) == {2: ("t", Does.SEND), 3: ("t", Does.SEND)}
        assert (2, 3, 5) == (made.sending, made.repeats, made.seen)
        assert made.starts() == {DEAD: 2}


def test_what_was_replayed_is_not_sent_again_until_it_fails_again() -> None:
    """A mark with the letter's count, or a higher one, means done; a letter that failed since has a higher count; a topic made anew has other timestamps."""
    marks = {"t/0/5@7": 0, "t/0/6@7": 1, "t/0/7@7": 0}
    made = planned(
        letter(1, 5), letter(2, 6), letter(3, 7, count=1), letter(4, 5, made="8"), letter(5, 8), marks=marks
    )

    assert set(sent(made)) == {3, 4, 5}
    assert (3, 2, 0) == (made.sending, made.count(Does.DONE), made.repeats)
    assert set(made.identities(DEAD, 0, 1000)) >= {("t/0/7@7", 1), ("t/0/8@7", 0)}


def test_a_repeat_of_a_replayed_letter_is_done_too() -> None:
    """As a crash repeats it: the same record, the same count, another place; also where the first was deleted by retention."""
    assert planned(letter(1, 5), letter(9, 5, failed=5000), marks={"t/0/5@7": 0}).sending == 0
    assert planned(letter(9, 5, failed=5000), marks={"t/0/5@7": 0}).sending == 0


def test_filters_caps_and_patches(tmp_path: Path) -> None:
    """Not chosen, parked, not patchable: each counted, with the first that the patch does not fit; done comes before all of it."""
    (tmp_path / "p.json").write_text(json.dumps([{"op": "remove", "path": "/x"}]))
    letters = [
        letter(1, 1, value=b'{"x":1}'),
        letter(2, 2),
        letter(3, 3, count=3),
        letter(4, 4, topic="other"),
        letter(5, 5),
        letter(6, 6, reason="not_json"),
    ]
    made = planned(
        *letters,
        marks={"t/0/5@7": 0},
        selection=Selection(reason="refused"),
        patch=Patch(tmp_path / "p.json"),
    )

    assert sent(made) == {1: ("t", Does.SEND), 3: ("t", Does.PARK)}
    assert made.where_to == {("t", Does.SEND): 1, ("t", Does.PARK): 1}
    assert (2, 1, 1) == (made.count(Does.UNPATCHABLE), made.count(Does.DONE), made.count(Does.NOT_MEANT))
    assert made.unpatchable is not None
    assert Coordinates("t.dlq", 0, 2) == made.unpatchable[0]
    assert made.reasons == [("no", 1)]
    assert made.parking_from() == ["t.dlq"]
    assert planned().unpatchable is None
    assert planned().starts() == {DEAD: 1000}


def test_no_payload_is_held() -> None:
    """Sixty thousand letters of 4 kB, 240 MB in all, leave less than a megabyte of Python's memory behind, and never take more than two."""

    def many() -> Iterator[StoredDeadLetter]:
        for at in range(60_000):
            yield letter(at, at, value=b"x" * 4096)

    tracemalloc.start()
    try:
        made = plan(many(), Bounds({DEAD: 0}, {DEAD: 60_000}), Replayed(), Selection(), None, 3)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert made.sending == 60_000
    assert left < 1 << 20
    assert peak < 2 << 20
    assert len(made.chosen(DEAD, 30_000, 30_500)) == 500


def test_no_room_for_the_coordinates_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A temporary folder that is full, as a pod's small one may be: what to do, and exit code 1."""
    with pytest.raises(typer.Exit) as ended, reading(settings()):
        raise sqlite3.OperationalError("database or disk is full")

    assert ended.value.exit_code == 1
    assert "SQLITE_TMPDIR" in capsys.readouterr().err


class Kafka:
    """Stands where the real source is: what it was told, and what it gives."""

    def __init__(self, _properties: Any, _topics: Any, _ignored: Any, listener: Any, _events: Any) -> None:
        self.listener, self.stored, self.next = listener, {}, []

    def read(self, limit: int, timeout_s: float) -> list[Slice]:
        given, self.next = self.next, []
        return given

    def store(self, offsets: dict[TopicPartition, int]) -> None:
        self.stored.update(offsets)


class Nobody:
    """A pump that keeps nothing."""

    def assigned(self, offsets: Any) -> tuple[()]:
        return ()

    def revoked(self, partitions: Any) -> None: ...

    lost = revoked


def replaying(
    monkeypatch: pytest.MonkeyPatch, made: Plan
) -> tuple[room.ReplaySource, Kafka, list[tuple[str, int]]]:
    """A replay's source over a fake one, and the marks that it orders."""
    marked: list[tuple[str, int]] = []
    fakes: list[Kafka] = []

    def fake(*arguments: Any) -> Kafka:
        fakes.append(Kafka(*arguments))
        return fakes[-1]

    monkeypatch.setattr(room, "KafkaConsumer", fake)
    replay = room.ReplaySource(
        {}, made, Nobody(), default_topic="t", park=lambda _: None, settled=marked.extend
    )
    return replay, fakes[0], marked


def records(first: int, stop: int) -> Slice:
    """A slice as the real source gives it."""
    each = [MemoryRecord(DEAD, at, b"{}") for at in range(first, stop)]
    return Slice(DEAD, each, [b"{}"] * len(each), stop, 100)


def test_settled_letters_are_marked_and_not_sent_again_after_a_partition_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Marks follow the watermark; what comes back from before it is passed over; the end is reached once."""
    made = planned(letter(2, 2), letter(4, 4), letter(990, 990))
    replay, kafka, marked = replaying(monkeypatch, made)
    kafka.listener.assigned({DEAD: 2})
    kafka.next = [records(2, 5)]
    (part,) = replay.read(500, 0)
    assert [record.offset() for record in part.records] == [2, 4]
    replay.store({part.partition: 3})
    assert marked == [("t/0/2@7", 0)]
    kafka.listener.lost([DEAD])
    kafka.listener.assigned({DEAD: 2})
    kafka.next = [records(2, 5)]
    (part,) = replay.read(500, 0)
    assert [record.offset() for record in part.records] == [4]
    replay.store({part.partition: 2})
    assert replay.position() == {DEAD: 3}
    assert not replay.finished
    replay.store({part.partition: 1000})
    assert marked == [("t/0/2@7", 0), ("t/0/4@7", 0), ("t/0/990@7", 0)]
    assert replay.finished
    assert kafka.stored == {DEAD: 1000}


def test_a_group_that_somebody_else_moved_stops_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two replays that began at the same moment: the one whose partition does not stand where it was put sends nothing."""
    replay, kafka, _ = replaying(monkeypatch, planned(letter(2, 2)))
    kafka.listener.assigned({DEAD: 7})
    with pytest.raises(Fatal, match="another replay"):
        replay.read(500, 0)
    assert not replay.finished


def test_topics_of_replays_are_never_read() -> None:
    """Parking topics and marks match a regex as well as any other name; the bridge leaves them alone, as it does dead-letter topics."""
    made = settings(
        kafka={"bootstrap_servers": "a:1", "group_id": "my group"},
        topics=[{"topic": "^.*"}, {"topic": "a", "dead_letter_topic": "dead"}],
    )

    assert made.replayed_topic == "my_group.replayed"
    assert all(map(made.is_dead_letter_topic, ("my_group.replayed", "a.dlq.parked", "dead.parked", "x.dlq")))
    assert not any(map(made.is_dead_letter_topic, ("a.parked", "other.replayed", "a")))
