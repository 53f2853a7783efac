"""A replay's source: dead letters are marked up to the watermark, and none is sent twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bridge.kafka.reader import Bounds
from bridge.model import Record, Slice, TopicPartition
from bridge.ports import Fatal
from bridge.replay import source as source_module
from bridge.replay.dead_letter import StoredDeadLetter
from bridge.replay.marks import ReplayMarks
from bridge.replay.plan import Plan, make_plan
from bridge.replay.selection import Selection
from tests.support.memory import MemoryRecord
from tests.unit.replay.dead_letters import DEAD, letter


class FakeKafkaSource:
    """Stands where the real source is: keeps what it is asked to store, and gives the slices in `next`."""

    def __init__(self, _properties: Any, _topics: Any, _ignored: Any, listener: Any, _events: Any) -> None:
        self.listener = listener
        self.stored: dict[TopicPartition, int] = {}
        self.next: list[Slice] = []

    def read(self, limit: int, timeout_s: float) -> list[Slice]:
        slices, self.next = self.next, []
        return slices

    def store(self, offsets: dict[TopicPartition, int]) -> None:
        self.stored.update(offsets)


class StatelessListener:
    """An engine that keeps nothing."""

    def assigned(self, offsets: Any) -> tuple[()]:
        return ()

    def revoked(self, partitions: Any) -> None: ...

    lost = revoked


class Replaying:
    """A replay's source over a fake one, with the marks and the parked records that it orders."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, plan: Plan, **options: Any) -> None:
        self.marks: list[tuple[str, int]] = []
        self.parked: list[int] = []
        fakes: list[FakeKafkaSource] = []

        def fake(*arguments: Any) -> FakeKafkaSource:
            fakes.append(FakeKafkaSource(*arguments))
            return fakes[-1]

        monkeypatch.setattr(source_module, "KafkaConsumer", fake)
        self.source = source_module.ReplaySource(
            {},
            plan,
            StatelessListener(),
            default_topic="t",
            park=self._park,
            on_settled=self.marks.extend,
            **options,
        )
        self.kafka = fakes[0]

    def _park(self, records: Sequence[Record]) -> None:
        self.parked += [record.offset() for record in records]


def plan_for(*letters: StoredDeadLetter) -> Plan:
    """Return the plan that sends these dead letters, or parks those with three failures before."""
    return make_plan(letters, Bounds({DEAD: 0}, {DEAD: 1000}), ReplayMarks(), Selection(), None, 3)


def records(first: int, stop: int) -> Slice:
    """Return a slice as the real source gives it."""
    each = [MemoryRecord(DEAD, offset, b"{}") for offset in range(first, stop)]
    return Slice(DEAD, each, [b"{}"] * len(each), stop, 100)


def offsets(part: Slice) -> list[int]:
    """Return the offsets of a slice's records."""
    return [record.offset() for record in part.records]


def test_settled_dead_letters_are_marked_and_not_sent_again_after_a_partition_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Marks follow the watermark; what lies before it is passed over when it comes
    again; the end is reached once.
    """
    replay = Replaying(monkeypatch, plan_for(letter(2, 2), letter(4, 4), letter(990, 990)))
    source, kafka = replay.source, replay.kafka
    kafka.listener.assigned({DEAD: 2})
    kafka.next = [records(2, 5)]
    (part,) = source.read(500, 0)
    assert offsets(part) == [2, 4]
    source.store({part.partition: 3})
    assert replay.marks == [("t/0/2@7", 0)]

    kafka.listener.lost([DEAD])
    kafka.listener.assigned({DEAD: 2})
    kafka.next = [records(2, 5)]
    (part,) = source.read(500, 0)
    assert offsets(part) == [4]
    source.store({part.partition: 2})
    assert source.position() == {DEAD: 3}
    assert not source.finished
    source.store({part.partition: 1000})
    assert replay.marks == [("t/0/2@7", 0), ("t/0/4@7", 0), ("t/0/990@7", 0)]
    assert source.finished
    assert kafka.stored == {DEAD: 1000}


def test_a_dead_letter_partition_is_stored_once_all_of_its_source_topics_are_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two source topics share a dead-letter topic, and the engine settles them apart:
    the lower watermark holds.
    """
    replay = Replaying(monkeypatch, plan_for(letter(2, 2), letter(4, 4, topic="u"), letter(5, 5, count=3)))
    source, kafka = replay.source, replay.kafka
    kafka.listener.assigned({DEAD: 2})
    kafka.next = [records(2, 6)]
    first, second = source.read(500, 0)

    assert (first.partition.topic, offsets(first)) == ("t", [2])
    assert (second.partition.topic, offsets(second)) == ("u", [4])
    assert [record.topic() for record in second.records] == ["u"]
    assert replay.parked == [5]
    source.store({first.partition: 6})
    assert kafka.stored == {}
    source.store({second.partition: 5})
    assert kafka.stored == {DEAD: 5}
    assert replay.marks == [("t/0/2@7", 0), ("u/0/4@7", 0)]


def test_a_group_that_somebody_else_moved_stops_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two replays may begin at the same moment: one whose partition is not where it was put sends nothing."""
    replay = Replaying(monkeypatch, plan_for(letter(2, 2)))
    replay.kafka.listener.assigned({DEAD: 7})
    with pytest.raises(Fatal, match="another replay"):
        replay.source.read(500, 0)
    assert not replay.source.finished


def test_a_rate_bounds_what_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """AEP's quota is shared: a replay with a rate must not begin with a burst of everything."""
    replay = Replaying(monkeypatch, plan_for(letter(2, 2), letter(3, 3)), rate=0.5)
    replay.kafka.listener.assigned({DEAD: 2})
    replay.kafka.next = [records(2, 3)]
    (part,) = replay.source.read(500, 0)
    assert offsets(part) == [2]
    replay.kafka.next = [records(3, 4)]
    assert replay.source.read(500, 0) == ()
