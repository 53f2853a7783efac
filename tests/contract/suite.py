"""The obligations of `ports.Source` and `ports.DeadLetterProducer`, which are the same in every world."""

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
    """What every `Source` does."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_records_of_a_partition_arrive_in_order(self, world: World) -> None:
        """Each record comes once, and `next_offset` is one past the last one."""
        topic = world.topic(3)
        for partition in range(3):
            world.produce(topic, numbers(0, 700), partition)
        source = world.source([topic], RecordingListener(), unique())

        collected = collect(source, lambda read: read.count() >= 2100)

        assert collected.values == {TopicPartition(topic, each): numbers(0, 700) for each in range(3)}
        assert all(offsets == list(range(700)) for offsets in collected.offsets.values())
        assert set(collected.next_offsets.values()) == {700}

    def test_a_read_is_never_more_than_its_limit(self, world: World) -> None:
        """The engine's memory is bounded by what it asks for."""
        topic = world.topic()
        world.produce(topic, numbers(0, 50))
        source = world.source([topic], RecordingListener(), unique())

        collected = collect(source, lambda read: read.count() >= 50, limit=7)

        assert max(len(part.records) for part in collected.slices) <= 7

    def test_the_end_of_a_partition_is_an_empty_slice(self, world: World) -> None:
        """So the committed offset can pass control records, and an empty partition has a known lag."""
        topic = world.topic()
        source = world.source([topic], RecordingListener(), unique())

        collected = collect(source, lambda read: bool(read.slices))

        slices = [(part.partition, len(part.records), part.next_offset) for part in collected.slices]
        assert slices == [(TopicPartition(topic, 0), 0, 0)]

    def test_key_value_and_headers_are_intact(self, world: World) -> None:
        """Bytes that are no text, an empty value, a tombstone, repeated headers: as the producer wrote
        them.
        """
        topic = world.topic()
        headers = [("a", b"\xff\x00"), ("b", b""), ("a", None)]
        world.produce(topic, [b"\x00\xfe", b"", None], key=b"\xff", headers=headers)
        source = world.source([topic], RecordingListener(), unique())

        collected = collect(source, lambda read: read.count() >= 3)

        records = [record for part in collected.slices for record in part.records]
        assert [record.value() for record in records] == [b"\x00\xfe", b"", None]
        assert [record.key() for record in records] == [b"\xff"] * 3
        assert all(headers == [tuple(each) for each in record.headers() or ()] for record in records)
        assert sum(part.overhead for part in collected.slices) >= 3 * 600

    def test_what_was_stored_is_where_the_next_member_goes_on(self, world: World) -> None:
        """`close` commits what was stored, not what was read: unsettled records must come again."""
        topic, group = world.topic(), unique()
        world.produce(topic, numbers(0, 100))
        first = world.source([topic], RecordingListener(), group)
        collect(first, lambda read: read.count() >= 100)
        first.store({TopicPartition(topic, 0): 40})
        first.close()

        assert world.committed(group, topic) == {0: 40}

        second = collect(world.source([topic], RecordingListener(), group), lambda read: read.count() >= 60)

        assert second.values[TopicPartition(topic, 0)] == numbers(40, 100)

    def test_a_stored_offset_is_committed_while_reading(self, world: World) -> None:
        """The engine never calls a commit: to read on is enough."""
        topic, group = world.topic(), unique()
        world.produce(topic, numbers(0, 10))
        source = world.source([topic], RecordingListener(), group)
        collect(source, lambda read: read.count() >= 10)
        source.store({TopicPartition(topic, 0): 7})

        def committed() -> bool:
            source.read(10, 0.05)
            return world.committed(group, topic) == {0: 7}

        until(committed)

    def test_a_paused_partition_returns_nothing_until_it_is_resumed(self, world: World) -> None:
        """Back-pressure must neither lose nor repeat records, nor stop other partitions."""
        topic = world.topic(2)
        held, free = TopicPartition(topic, 0), TopicPartition(topic, 1)
        world.produce(topic, numbers(0, 5), 0)
        source = world.source([topic], RecordingListener(), unique())
        collected = collect(
            source, lambda read: read.next_offsets.keys() == {held, free} and read.count() >= 5
        )
        source.pause([held])
        world.produce(topic, numbers(5, 10), 0)
        world.produce(topic, numbers(0, 5), 1)

        collect(source, lambda read: len(read.values[free]) >= 5, into=collected)
        collected.add(collect_for(source, 0.3).slices)
        assert collected.values[held] == numbers(0, 5)

        source.resume([held])
        collect(source, lambda read: read.count() >= 15, into=collected)

        assert collected.values[held] == numbers(0, 10)

    def test_a_partition_can_start_paused(self, world: World) -> None:
        """What `assigned` returns is paused before its first record: its inlet's window may be full."""
        topic = world.topic()
        world.produce(topic, numbers(0, 5))
        listener = RecordingListener()
        listener.paused = {TopicPartition(topic, 0)}
        source = world.source([topic], listener, unique())
        collected = CollectedRecords()
        collect(source, lambda _: bool(listener.partitions), into=collected)
        collected.add(collect_for(source, 0.5).slices)
        assert collected.count() == 0

        source.resume(listener.paused)
        collect(source, lambda read: read.count() >= 5, into=collected)

        assert collected.values[TopicPartition(topic, 0)] == numbers(0, 5)

    def test_a_revoked_partition_is_handed_over_exactly(self, world: World) -> None:
        """The new owner begins where `revoked` has stored: nothing is skipped or read twice."""
        for _ in range(20):
            before = len(world.refused)
            read = self._read_after_handover(world)
            if len(world.refused) == before:
                break

        assert read == [numbers(60, 100)] * 2

    def _read_after_handover(self, world: World) -> list[list[bytes]]:
        """Return what a second member reads of two partitions that a first one gave up with 60 stored."""
        topic, group = world.topic(4), unique()
        for partition in range(4):
            world.produce(topic, numbers(0, 100), partition)
        listener, other = RecordingListener(), RecordingListener()
        first: Source = world.source([topic], listener, group)
        ours, theirs = collect(first, lambda read: read.count() >= 400), CollectedRecords()
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

    def test_a_partition_revoked_while_paused_is_not_paused_when_it_comes_back(self, world: World) -> None:
        """A pause ends with its assignment: the engine begins anew with what comes back."""
        topic, group = world.topic(2), unique()
        listener = RecordingListener()
        first = world.source([topic], listener, group)
        collect(first, lambda read: len(read.next_offsets) == 2)
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

        collected = collect(first, lambda read: read.count() >= 1)

        assert collected.values[gone] == [b"after"]

    def test_lost_partitions_store_nothing(self, world: World) -> None:
        """Another member may own them: no store inside `lost` is committed, nor any from before it."""
        topic, group = world.topic(), unique()
        partition = TopicPartition(topic, 0)
        world.produce(topic, numbers(0, 10))
        listener = RecordingListener()
        source = world.source([topic], listener, group)
        collect(source, lambda read: read.count() >= 10)
        listener.on_lost = lambda: source.store({partition: 9})
        world.lose(source)

        again = collect(source, lambda read: read.count() >= 10)

        assert ("lost", frozenset({partition})) in listener.calls
        assert again.values[partition] == numbers(0, 10)
        assert world.committed(group, topic) == {}

    def test_offsets_of_partitions_that_are_not_assigned_are_left_out(self, world: World) -> None:
        """Partitions may go at any time, so this is no error, and the other offsets are stored."""
        topic, group = world.topic(), unique()
        world.produce(topic, numbers(0, 3))
        source = world.source([topic], RecordingListener(), group)
        collect(source, lambda read: read.count() >= 3)

        source.store(
            {TopicPartition(topic, 9): 5, TopicPartition("elsewhere", 0): 5, TopicPartition(topic, 0): 3}
        )
        source.close()

        assert world.committed(group, topic) == {0: 3}

    def test_a_dead_letter_topic_that_a_regex_matches_is_not_read(self, world: World) -> None:
        """Dead letters must not be delivered as if they were events. Only other topics are assigned."""
        topic, dead = world.topic(), world.topic()
        world.produce(topic, [b"yes"])
        world.produce(dead, [b"no"])
        listener = RecordingListener()
        source = world.source([f"^({topic}|{dead})$"], listener, unique(), lambda name: name == dead)

        collected = collect(source, lambda read: read.count() >= 1)
        collected.add(collect_for(source, 0.5).slices)

        assert collected.values == {TopicPartition(topic, 0): [b"yes"]}
        assert listener.partitions == {TopicPartition(topic, 0)}


class DeadLetterContract:
    """What every `DeadLetterProducer` does."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_dead_letter_is_its_record_with_more_headers(self, world: World) -> None:
        """A replay needs the record as it was: key, value and headers byte for byte, the added ones last."""
        topic, dead = world.topic(), world.topic()
        own = [("trace", b"\xff"), ("trace", None)]
        world.produce(topic, [b"{bad", None], key=b"\x00k", headers=own)
        source = world.source([topic], RecordingListener(), unique())
        records = [
            record
            for part in collect(source, lambda read: read.count() >= 2).slices
            for record in part.records
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

    def test_an_empty_list_of_dead_letters_has_a_result(self, world: World) -> None:
        """The engine waits for a result of everything that it publishes."""
        inbox = QueuedCompletions()

        world.dead_letters(inbox).publish(1, [])

        assert inbox.take(10) == [(1, PublishResult())]
