"""The contract between the pump and Kafka, once, for every world."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bridge.model import DeadLetter, PublishResult, Reason, Refusal, TopicPartition
from bridge.ports import Source
from tests.contract.worlds import World
from tests.support.clients import unique, until
from tests.support.listener import (
    CollectedRecords,
    QueuedCompletions,
    RecordingListener,
    collect,
    collect_for,
)


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"%d" % each for each in range(start, stop)]


class SourceContract:
    """What every source does."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_records_of_a_partition_arrive_in_order(self, world: World) -> None:
        """Each partition's records come once each, in offset order, next_offset one past the last."""
        topic = world.topic(3)
        for partition in range(3):
            world.produce(topic, numbers(0, 700), partition)
        source = world.source([topic], RecordingListener(), unique())

        found = collect(source, lambda got: got.count() >= 2100)

        assert {TopicPartition(topic, each): numbers(0, 700) for each in range(3)} == found.values
        assert all(list(range(700)) == offsets for offsets in found.offsets.values())
        assert set(found.next_offsets.values()) == {700}

    def test_a_read_is_never_more_than_its_limit(self, world: World) -> None:
        """`limit` bounds the records of one read."""
        topic = world.topic()
        world.produce(topic, numbers(0, 50))
        source = world.source([topic], RecordingListener(), unique())

        found = collect(source, lambda got: got.count() >= 50, limit=7)

        assert max(len(part.records) for part in found.slices) <= 7

    def test_the_end_of_a_partition_is_told(self, world: World) -> None:
        """An empty partition gives an empty slice with its end."""
        topic = world.topic()
        source = world.source([topic], RecordingListener(), unique())

        found = collect(source, lambda got: bool(got.slices))

        assert [(each.partition, len(each.records), each.next_offset) for each in found.slices] == [
            (TopicPartition(topic, 0), 0, 0)
        ]

    def test_key_value_and_headers_are_intact(self, world: World) -> None:
        """Bytes that are no text, an empty value, a tombstone and repeated headers come as they were written."""
        topic = world.topic()
        headers = [("a", b"\xff\x00"), ("b", b""), ("a", None)]
        world.produce(topic, [b"\x00\xfe", b"", None], key=b"\xff", headers=headers)
        source = world.source([topic], RecordingListener(), unique())

        found = collect(source, lambda got: got.count() >= 3)

        records = [record for part in found.slices for record in part.records]
        assert [record.value() for record in records] == [b"\x00\xfe", b"", None]
        assert [record.key() for record in records] == [b"\xff"] * 3
        assert all(headers == [tuple(each) for each in record.headers() or ()] for record in records)
        assert sum(part.overhead for part in found.slices) >= 3 * 600

    def test_what_was_stored_is_where_the_next_member_goes_on(self, world: World) -> None:
        """A close commits the stored offset, not what was read."""
        topic, group = world.topic(), unique()
        world.produce(topic, numbers(0, 100))
        first = world.source([topic], RecordingListener(), group)
        collect(first, lambda got: got.count() >= 100)
        first.store({TopicPartition(topic, 0): 40})
        first.close()

        assert world.committed(group, topic) == {0: 40}

        second = collect(world.source([topic], RecordingListener(), group), lambda got: got.count() >= 60)

        assert numbers(40, 100) == second.values[TopicPartition(topic, 0)]

    def test_a_stored_offset_is_committed_while_reading(self, world: World) -> None:
        """Nobody calls commit: reading on is enough."""
        topic, group = world.topic(), unique()
        world.produce(topic, numbers(0, 10))
        source = world.source([topic], RecordingListener(), group)
        collect(source, lambda got: got.count() >= 10)
        source.store({TopicPartition(topic, 0): 7})

        def committed() -> bool:
            source.read(10, 0.05)
            return world.committed(group, topic) == {0: 7}

        until(committed)

    def test_a_paused_partition_is_silent_until_it_is_resumed(self, world: World) -> None:
        """Pause loses nothing and repeats nothing; other partitions flow."""
        topic = world.topic(2)
        held, free = TopicPartition(topic, 0), TopicPartition(topic, 1)
        world.produce(topic, numbers(0, 5), 0)
        source = world.source([topic], RecordingListener(), unique())
        found = collect(source, lambda got: got.next_offsets.keys() == {held, free} and got.count() >= 5)
        source.pause([held])
        world.produce(topic, numbers(5, 10), 0)
        world.produce(topic, numbers(0, 5), 1)

        collect(source, lambda got: len(got.values[free]) >= 5, into=found)
        found.add(collect_for(source, 0.3).slices)
        assert found.values[held] == numbers(0, 5)

        source.resume([held])
        collect(source, lambda got: got.count() >= 15, into=found)

        assert found.values[held] == numbers(0, 10)

    def test_a_partition_can_start_paused(self, world: World) -> None:
        """What `assigned` returns is silent from the first record on."""
        topic = world.topic()
        world.produce(topic, numbers(0, 5))
        listener = RecordingListener()
        listener.paused = {TopicPartition(topic, 0)}
        source = world.source([topic], listener, unique())
        found = CollectedRecords()
        collect(source, lambda _: bool(listener.partitions), into=found)
        found.add(collect_for(source, 0.5).slices)
        assert found.count() == 0

        source.resume(listener.paused)
        collect(source, lambda got: got.count() >= 5, into=found)

        assert found.values[TopicPartition(topic, 0)] == numbers(0, 5)

    def test_a_revoke_hands_over_exactly(self, world: World) -> None:
        """What is stored inside `revoked` is where the new member begins; nothing is skipped or read twice."""
        for _ in range(20):
            before = len(world.refused)
            read = self._handed_over(world)
            if len(world.refused) == before:
                break

        assert read == [numbers(60, 100)] * 2

    def _handed_over(self, world: World) -> list[list[bytes]]:
        """What a second member has read of the two partitions that a first one gave up, with 60 stored for each."""
        topic, group = world.topic(4), unique()
        for partition in range(4):
            world.produce(topic, numbers(0, 100), partition)
        listener, other = RecordingListener(), RecordingListener()
        first: Source = world.source([topic], listener, group)
        ours, theirs = collect(first, lambda got: got.count() >= 400), CollectedRecords()
        listener.on_revoked = lambda: first.store(dict.fromkeys(listener.calls[-1][1], 60))
        second = world.source([topic], other, group)

        def handed_over() -> bool:
            ours.add(first.read(500, 0.02))
            theirs.add(second.read(500, 0.02))
            return (
                len(other.partitions) == 2
                and len(listener.partitions) == 2
                and all(len(theirs.values.get(each, ())) >= 40 for each in other.partitions)
            )

        until(handed_over)

        assert not listener.partitions & other.partitions
        return [theirs.values[source] for source in other.partitions]

    def test_a_partition_revoked_while_paused_comes_back_flowing(self, world: World) -> None:
        """The pause dies with the assignment."""
        topic, group = world.topic(2), unique()
        listener = RecordingListener()
        first = world.source([topic], listener, group)
        collect(first, lambda got: len(got.next_offsets) == 2)
        first.pause([TopicPartition(topic, 0), TopicPartition(topic, 1)])
        second = world.source([topic], RecordingListener(), group)

        def split() -> bool:
            first.read(10, 0.02)
            second.read(10, 0.02)
            return len(listener.partitions) == 1

        until(split)
        gone = ({TopicPartition(topic, 0), TopicPartition(topic, 1)} - listener.partitions).pop()
        second.close()
        collect(first, lambda _: len(listener.partitions) == 2)
        world.produce(topic, [b"after"], gone.partition)

        found = collect(first, lambda got: got.count() >= 1)

        assert found.values[gone] == [b"after"]

    def test_lost_partitions_store_nothing(self, world: World) -> None:
        """Neither inside `lost` nor from what was stored and not committed after it; the member joins again."""
        topic, group = world.topic(), unique()
        lane = TopicPartition(topic, 0)
        world.produce(topic, numbers(0, 10))
        listener = RecordingListener()
        source = world.source([topic], listener, group)
        collect(source, lambda got: got.count() >= 10)
        listener.on_lost = lambda: source.store({lane: 9})
        world.lose(source)

        again = collect(source, lambda got: got.count() >= 10)

        assert ("lost", frozenset({lane})) in listener.calls
        assert again.values[lane] == numbers(0, 10)
        assert world.committed(group, topic) == {}

    def test_offsets_of_foreign_partitions_are_refused_silently(self, world: World) -> None:
        """Storing for a partition that isn't ours changes nothing."""
        topic, group = world.topic(), unique()
        world.produce(topic, numbers(0, 3))
        source = world.source([topic], RecordingListener(), group)
        collect(source, lambda got: got.count() >= 3)

        source.store(
            {TopicPartition(topic, 9): 5, TopicPartition("elsewhere", 0): 5, TopicPartition(topic, 0): 3}
        )
        source.close()

        assert world.committed(group, topic) == {0: 3}

    def test_a_dead_letter_topic_that_a_regex_matches_is_not_read(self, world: World) -> None:
        """Only the others are assigned and delivered."""
        topic, dead = world.topic(), world.topic()
        world.produce(topic, [b"yes"])
        world.produce(dead, [b"no"])
        listener = RecordingListener()
        source = world.source([f"^({topic}|{dead})$"], listener, unique(), lambda name: name == dead)

        found = collect(source, lambda got: got.count() >= 1)
        found.add(collect_for(source, 0.5).slices)

        assert found.values == {TopicPartition(topic, 0): [b"yes"]}
        assert listener.partitions == {TopicPartition(topic, 0)}


class DeadLetterContract:
    """What every publisher of dead letters does."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_letter_is_the_record_with_more_headers(self, world: World) -> None:
        """Key, value and headers byte for byte, ours behind them; acknowledged under the ticket it was published with."""
        topic, dead = world.topic(), world.topic()
        own = [("trace", b"\xff"), ("trace", None)]
        world.produce(topic, [b"{bad", None], key=b"\x00k", headers=own)
        source = world.source([topic], RecordingListener(), unique())
        records = [
            record for part in collect(source, lambda got: got.count() >= 2).slices for record in part.records
        ]
        inbox = QueuedCompletions()

        letters = [
            DeadLetter(each, dead, Refusal(Reason.REFUSED, "é" * 9000, 400, 2), "b1", "i1", None)
            for each in records
        ]
        world.dead_letters(inbox).publish("t1", letters)
        replies = inbox.take(30)

        assert replies == [("t1", PublishResult())]
        published = world.read_all(dead)
        assert [each.value() for each in published] == [b"{bad", None]
        assert [each.key() for each in published] == [b"\x00k"] * 2
        headers = [tuple(each) for each in cast("Any", published[1].headers())]
        assert own == headers[:2]
        assert dict(headers[2:])["__connect.errors.offset"] == b"1"
        assert dict(headers[2:])["aep.error"] == "é".encode() * 4096

    def test_no_letters_are_acknowledged_too(self, world: World) -> None:
        """An empty list is answered, not forgotten."""
        inbox = QueuedCompletions()

        world.dead_letters(inbox).publish(1, [])

        assert inbox.take(10) == [(1, PublishResult())]
