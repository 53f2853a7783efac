"""The consumer over a scripted client: rebalances in the middle of a read, and what may be stored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Position

from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.model import Slice, TopicPartition
from bridge.ports import Fatal
from tests.support.listener import RecordingListener
from tests.support.messages import end_of_partition, message

A, B = TopicPartition("t", 0), TopicPartition("t", 1)
DEAD_LETTERS = TopicPartition("t.dlq", 0)


class ScriptedClient:
    """Stands for confluent_kafka's `Consumer`. `on_poll` and `on_consume` return the next messages, and may
    run a rebalance before they do.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.on_poll: Callable[[], Message | None] = lambda: None
        self.on_consume: Callable[[], list[Message]] = list
        self.calls: list[tuple[str, list[tuple[str, int]]]] = []
        """Every other call, with the partitions that it was about; of a commit, with topics and offsets."""
        self.low_watermark = 0
        self.committed_offsets: dict[TopicPartition, int] = {}
        self.store_error: int | None = None

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost

    # -- the group ------------------------------------------------------------------------

    def assign_to_member(self, *partitions: TopicPartition) -> None:
        self._on_assign(self, positions(*partitions))

    def revoke_from_member(self, *partitions: TopicPartition) -> None:
        self._on_revoke(self, positions(*partitions))

    def take_away_from_member(self, *partitions: TopicPartition) -> None:
        self._on_lost(self, positions(*partitions))

    def end_commit(self, offset: int) -> None:
        """Have a commit of partition A end."""
        self.config["on_commit"](None, [Position(*A, offset)])

    # -- what the consumer calls ------------------------------------------------------------

    def poll(self, _: float) -> Message | None:
        return self.on_poll()

    def consume(self, _: int, __: float) -> list[Message]:
        return self.on_consume()

    def committed(self, asked: list[Position], _: float) -> list[Position]:
        partitions = [TopicPartition(each.topic, each.partition) for each in asked]
        unknown = Position("t", 0).offset
        return [Position(*each, self.committed_offsets.get(each, unknown)) for each in partitions]

    def commit(self, offsets: list[Position], *, asynchronous: bool) -> None:
        assert asynchronous
        self.calls.append(("commit", [(each.topic, each.offset) for each in offsets]))

    def get_watermark_offsets(self, _: Position, *, cached: bool) -> tuple[int, int]:
        assert cached
        return self.low_watermark, -1

    def store_offsets(self, offsets: list[Position]) -> None:
        if self.store_error is not None:
            raise KafkaException(KafkaError(self.store_error))
        self._note("store", offsets)

    def pause(self, partitions: list[Position]) -> None:
        self._note("pause", partitions)

    def resume(self, partitions: list[Position]) -> None:
        self._note("resume", partitions)

    def assign(self, partitions: list[Position]) -> None:
        self._note("assign", partitions)

    def unassign(self) -> None:
        self._note("unassign", [])

    def incremental_assign(self, partitions: list[Position]) -> None:
        self._note("incremental_assign", partitions)

    def incremental_unassign(self, partitions: list[Position]) -> None:
        self._note("incremental_unassign", partitions)

    def _note(self, name: str, about: list[Position]) -> None:
        self.calls.append((name, [(each.topic, each.partition) for each in about]))


def positions(*partitions: TopicPartition) -> list[Position]:
    return [Position(*partition) for partition in partitions]


def consumer(
    callbacks: ConsumerCallbacks | None = None, properties: dict[str, str] | None = None
) -> tuple[KafkaConsumer, ScriptedClient, RecordingListener]:
    clients: list[ScriptedClient] = []

    def scripted(config: dict[str, Any]) -> Consumer:
        clients.append(ScriptedClient(config))
        return clients[0]  # type: ignore[return-value]

    listener = RecordingListener()
    member = KafkaConsumer(
        properties or {}, ["t"], lambda name: name.endswith(".dlq"), listener, callbacks, client=scripted
    )
    return member, clients[0], listener


def offsets(slices: list[Slice]) -> list[tuple[TopicPartition, list[int]]]:
    return [(part.partition, [record.offset() for record in part.records]) for part in slices]


# -- a rebalance inside a read ------------------------------------------------------------


def test_a_record_polled_before_its_partition_went_is_not_delivered() -> None:
    """`poll` returned it, and `consume` ran the revoke: the next owner reads it."""
    member, client, _ = consumer()
    client.assign_to_member(A, B)
    client.on_poll = lambda: message(A, 7)

    def on_consume() -> list[Message]:
        client.revoke_from_member(A)
        return [message(B, 1)]

    client.on_consume = on_consume

    assert offsets(member.read(10, 0)) == [(B, [1])]


def test_a_record_from_before_a_new_assignment_is_not_delivered_into_it() -> None:
    """The partition was lost and assigned again inside one read: the old record would break the new one's
    order.
    """
    member, client, _ = consumer()
    client.assign_to_member(A)
    client.on_poll = lambda: message(A, 7)

    def on_consume() -> list[Message]:
        client.take_away_from_member(A)
        client.assign_to_member(A)
        return [message(A, 3)]

    client.on_consume = on_consume

    assert offsets(member.read(10, 0)) == [(A, [3])]


def test_the_first_record_of_a_new_assignment_is_delivered() -> None:
    """Revoked, assigned again and read inside one poll: the record is of the new assignment. Nobody else
    reads it.
    """
    member, client, _ = consumer()
    client.assign_to_member(A)

    def on_poll() -> Message:
        client.revoke_from_member(A)
        client.assign_to_member(A)
        return message(A, 7)

    client.on_poll = on_poll
    client.on_consume = lambda: [message(A, 8)]

    assert offsets(member.read(10, 0)) == [(A, [7, 8])]


def test_records_of_partitions_that_are_not_assigned_are_dropped() -> None:
    """Their owner reads them."""
    member, client, _ = consumer()
    client.on_poll = lambda: message(A, 7)
    client.on_consume = lambda: [end_of_partition(B, 9)]

    assert offsets(member.read(10, 0)) == []


# -- assignments --------------------------------------------------------------------------


def test_a_revoke_of_partitions_that_are_not_assigned_is_ignored() -> None:
    """The listener gets only assigned ones, and only those are given back (confluent-kafka-python #1551)."""
    _, client, listener = consumer()
    client.assign_to_member(A)

    client.revoke_from_member(A, B)

    assert listener.calls[-1] == ("revoked", frozenset({A}))
    assert client.calls[-1] == ("incremental_unassign", [("t", 0)])


def test_an_assignment_of_excluded_partitions_only_is_an_empty_one() -> None:
    """Without the empty call the client would give back what it was never given, and `read` would end with
    an error.
    """
    ignored: list[object] = []
    _, client, listener = consumer(ConsumerCallbacks(on_partitions_ignored=ignored.append))

    client.assign_to_member(DEAD_LETTERS)
    client.revoke_from_member(DEAD_LETTERS)

    assert client.calls == [("incremental_assign", []), ("incremental_unassign", [])]
    assert listener.calls == []
    assert ignored == [[DEAD_LETTERS]]


def test_every_assignment_sets_explicitly_what_is_paused_and_what_is_not() -> None:
    """A partition that was revoked while it was paused would stay paused otherwise (librdkafka #1849,
    #5113).
    """
    _, client, listener = consumer()
    listener.paused = {B}

    client.assign_to_member(A, B)

    assert client.calls == [
        ("incremental_assign", [("t", 0), ("t", 1)]),
        ("pause", [("t", 1)]),
        ("resume", [("t", 0)]),
    ]


# -- storing ------------------------------------------------------------------------------


def test_nothing_is_stored_for_partitions_inside_lost() -> None:
    """Their next owner has begun already. The refusal is reported."""
    refused: list[object] = []
    member, client, listener = consumer(ConsumerCallbacks(on_store_refused=refused.append))
    client.assign_to_member(A)
    listener.on_lost = lambda: member.store({A: 5})

    client.take_away_from_member(A)

    assert refused == [{A: 5}]
    assert "store" not in [name for name, _ in client.calls]


def test_a_store_that_the_client_refuses_is_reported_and_any_other_failure_is_fatal() -> None:
    """_STATE means that the partition has gone. An unknown failure must not be ignored."""
    refused: list[object] = []
    member, client, _ = consumer(ConsumerCallbacks(on_store_refused=refused.append))
    client.assign_to_member(A)
    client.store_error = KafkaError._STATE
    member.store({A: 5})
    client.store_error = KafkaError._INVALID_ARG

    with pytest.raises(Fatal, match="store"):
        member.store({A: 6})

    assert refused == [{A: 5}]
    assert member.uncommitted() == 0


def test_an_offset_below_the_committed_one_is_committed_at_once() -> None:
    """The client's own commits never go backwards while it runs. The old log's offset would stay committed,
    and a restart would skip records of the new log.
    """
    member, client, _ = consumer()
    client.committed_offsets = {A: 1000}
    client.assign_to_member(A, B)

    member.store({A: 5, B: 7})
    client.end_commit(5)
    member.store({A: 6})

    assert client.calls[-3:] == [
        ("store", [("t", 0), ("t", 1)]),
        ("commit", [("t", 5)]),
        ("store", [("t", 0)]),
    ]


# -- offset resets ------------------------------------------------------------------------


@pytest.mark.parametrize("first", [message(A, 0), end_of_partition(A, 0)], ids=["a record", "an end"])
def test_a_log_that_ends_below_the_committed_offset_is_reported_once(first: Message) -> None:
    """It was truncated or created anew, and is read from its beginning; the client only logs that."""
    resets: list[object] = []
    member, client, _ = consumer(ConsumerCallbacks(on_offset_reset=lambda *reset: resets.append(reset)))
    client.committed_offsets = {A: 1000}
    client.assign_to_member(A)
    for each in (first, message(A, 1), message(A, 0)):
        client.on_poll = partial(lambda polled: polled, each)
        member.read(1, 0)

    assert resets == [(A, 1000, 0)]


def test_a_partition_that_comes_back_is_judged_by_what_is_committed_then() -> None:
    """What this member read or committed of it before is out of date: another member had it meanwhile, and
    began anew with its log.
    """
    resets: list[object] = []
    member, client, _ = consumer(ConsumerCallbacks(on_offset_reset=lambda *reset: resets.append(reset)))
    for committed, first, client.low_watermark in ((1000, 1000, 0), (None, 3, 0), (5, 5, 0), (500, 500, 100)):
        client.committed_offsets = {} if committed is None else {A: committed}
        client.assign_to_member(A)
        client.on_poll = partial(message, A, first)
        member.read(1, 0)
        member.store({A: first + 1})
        client.revoke_from_member(A)
    client.end_commit(1000)
    client.committed_offsets = {}
    client.assign_to_member(A)
    member.store({A: 7})

    assert resets == []
    assert "commit" not in [name for name, _ in client.calls]


# -- errors and properties ----------------------------------------------------------------


def test_a_fatal_error_of_the_client_is_raised_out_of_read() -> None:
    """It comes through the client's error callback, in which nothing may be raised."""
    member, client, _ = consumer()
    client.config["error_cb"](KafkaError(KafkaError._FATAL, "fenced", fatal=True))

    with pytest.raises(Fatal, match="fenced"):
        member.read(10, 0)


def test_a_fatal_error_among_the_messages_is_raised_out_of_read() -> None:
    """The client delivers it there, too."""
    member, client, _ = consumer()
    client.on_poll = lambda: message(A, 0, KafkaError._FATAL)

    with pytest.raises(Fatal, match="can't go on"):
        member.read(10, 0)


@pytest.mark.parametrize(
    ("properties", "strategy"),
    [
        ({}, "cooperative-sticky"),
        ({"group.protocol": "consumer"}, None),
        ({"partition.assignment.strategy": "range"}, "range"),
    ],
)
def test_the_properties_that_the_contract_stands_on_are_enforced(
    properties: dict[str, str], strategy: str | None
) -> None:
    """Only stored offsets are committed, ends of partitions are delivered, and a new partition is read from
    its first record. KIP-848's protocol takes no property of the classic one.
    """
    _, client, _ = consumer(properties=properties)

    keys = ("enable.auto.commit", "enable.auto.offset.store", "enable.partition.eof", "auto.offset.reset")
    assert [client.config[key] for key in keys] == [True, False, True, "earliest"]
    assert client.config.get("partition.assignment.strategy") == strategy
