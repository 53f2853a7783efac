"""The source's own logic, over a client that does what it is told: what a rebalance in the middle of a read must not do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Position
from hypothesis import given
from hypothesis import strategies as st

from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.model import TopicPartition
from bridge.ports import Fatal
from tests.support.listener import RecordingListener

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


class Scripted:
    """A consumer: `polled` and `consumed` give the next results, and may rebalance while they run."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.polled: Callable[[], Message | None] = lambda: None
        self.consumed: Callable[[], list[Message]] = list
        self.calls: list[tuple[str, list[tuple[str, int]]]] = []
        self.low = 0
        self.committed_at: dict[tuple[str, int], int] = {}
        self.stored_error: KafkaError | None = None

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.topics, self.on_assign, self.on_revoke, self.on_lost = topics, on_assign, on_revoke, on_lost

    def poll(self, _: float) -> Message | None:
        return self.polled()

    def consume(self, _: int, __: float) -> list[Message]:
        return self.consumed()

    def committed(self, positions: list[Position], _: float) -> list[Position]:
        return [
            Position(
                each.topic, each.partition, self.committed_at.get((each.topic, each.partition), each.offset)
            )
            for each in positions
        ]

    def commit(self, offsets: list[Position], *, asynchronous: bool) -> None:
        assert asynchronous
        self.calls.append(("commit", [(each.topic, each.offset) for each in offsets]))

    def get_watermark_offsets(self, _: Position, *, cached: bool) -> tuple[int, int]:
        assert cached
        return self.low, -1

    def store_offsets(self, offsets: list[Position]) -> None:
        if self.stored_error is not None:
            raise KafkaException(self.stored_error)
        self._note("store", offsets)

    def _note(self, name: str, positions: list[Position]) -> None:
        self.calls.append((name, [(each.topic, each.partition) for each in positions]))

    def __getattr__(self, name: str) -> Any:
        if name not in {
            "pause",
            "resume",
            "assign",
            "unassign",
            "incremental_assign",
            "incremental_unassign",
        }:
            raise AttributeError(name)
        return lambda positions=(): self._note(name, positions)


def make(
    events: ConsumerCallbacks | None = None, properties: dict[str, str] | None = None
) -> tuple[KafkaConsumer, Scripted, RecordingListener]:
    made: list[Scripted] = []

    def client(config: dict[str, Any]) -> Consumer:
        made.append(Scripted(config))
        return made[0]  # type: ignore[return-value]

    listener = RecordingListener()
    source = KafkaConsumer(
        properties or {}, ["t"], lambda name: name.endswith(".dlq"), listener, events, client=client
    )
    return source, made[0], listener


def positions(*sources: TopicPartition) -> list[Position]:
    return [Position(each.topic, each.partition) for each in sources]


def message(source: TopicPartition, offset: int, error: int | None = None) -> Message:
    return Message(
        source.topic,
        source.partition,
        offset,
        None,
        b"v",
        error=KafkaError(error) if error is not None else None,
    )


def test_a_record_polled_before_its_partition_went_is_not_delivered() -> None:
    """`poll` gave it, `consume` served the revoke: the next owner reads it."""
    source, client, _ = make()
    client.on_assign(client, positions(A, B))
    client.polled = lambda: message(A, 7)

    def consumed() -> list[Message]:
        client.on_revoke(client, positions(A))
        return [message(B, 1)]

    client.consumed = consumed

    assert [(each.partition, each.next_offset) for each in source.read(10, 0)] == [(B, 2)]


def test_a_record_from_before_a_new_assignment_is_not_delivered_into_it() -> None:
    """Revoked and assigned again inside one read: the old record would be out of order in the new lane."""
    source, client, _ = make()
    client.on_assign(client, positions(A))
    client.polled = lambda: message(A, 7)

    def consumed() -> list[Message]:
        client.on_lost(client, positions(A))
        client.on_assign(client, positions(A))
        return [message(A, 3)]

    client.consumed = consumed

    assert [[record.offset() for record in each.records] for each in source.read(10, 0)] == [[3]]


def test_the_first_record_of_a_new_assignment_is_delivered() -> None:
    """Revoked, assigned again and read inside one poll: the record is of the new lane, and nobody else will read it."""
    source, client, _ = make()
    client.on_assign(client, positions(A))

    def polled() -> Message:
        client.on_revoke(client, positions(A))
        client.on_assign(client, positions(A))
        return message(A, 7)

    client.polled = polled
    client.consumed = lambda: [message(A, 8)]

    assert [[record.offset() for record in each.records] for each in source.read(10, 0)] == [[7, 8]]


def test_records_of_partitions_that_are_not_ours_are_dropped() -> None:
    """Nothing of an unheld partition, ends neither."""
    source, client, _ = make()
    client.polled = lambda: message(A, 7)
    client.consumed = lambda: [message(B, 9, KafkaError._PARTITION_EOF)]

    assert list(source.read(10, 0)) == []


def test_interleaved_partitions_keep_their_order_and_ends() -> None:
    """One slice a partition; an end behind the records moves next_offset past control records."""
    source, client, _ = make()
    client.on_assign(client, positions(A, B))
    client.polled = lambda: message(A, 1)
    client.consumed = lambda: [
        message(B, 5),
        message(A, 2),
        message(A, 6, KafkaError._PARTITION_EOF),
        message(B, 6),
    ]

    found = {
        each.partition: ([record.offset() for record in each.records], each.next_offset)
        for each in source.read(10, 0)
    }

    assert found == {A: ([1, 2], 6), B: ([5, 6], 7)}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, B, TopicPartition("u", 0), TopicPartition("u", 300)]), st.integers(1, 4)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_each_partition_gets_its_records_however_a_read_is_mixed(
    runs: list[tuple[TopicPartition, int]],
) -> None:
    """Topics change where partitions don't, and the other way round; runs are long or of one record."""
    source, client, _ = make()
    order = [each for each, number in runs for _ in range(number)]
    client.on_assign(client, positions(*dict.fromkeys(order)))
    client.polled = lambda: message(order[0], 0)
    client.consumed = lambda: [message(each, at) for at, each in enumerate(order)][1:]

    found = {each.partition: [record.offset() for record in each.records] for each in source.read(100, 0)}

    assert found == {wanted: [at for at, each in enumerate(order) if each == wanted] for wanted in order}


def test_a_revoke_of_partitions_that_are_not_ours_is_ignored() -> None:
    """Only those held are handed to the listener and given back (confluent-kafka-python #1551)."""
    _, client, listener = make()
    client.on_assign(client, positions(A))

    client.on_revoke(client, positions(A, B))

    assert listener.calls[-1] == ("revoked", frozenset({A}))
    assert client.calls[-1] == ("incremental_unassign", [("t", 0)])


def test_a_share_of_ignored_partitions_only_is_taken_and_given_back_with_nothing_in_it() -> None:
    """The listener hears of neither. Without the empty call the client gives back what it was never given, and `read` ends with an error."""
    ignored: list[object] = []
    _, client, listener = make(ConsumerCallbacks(on_partitions_ignored=ignored.append))
    dead = TopicPartition("t.dlq", 0)

    client.on_assign(client, positions(dead))
    client.on_revoke(client, positions(dead))

    assert client.calls == [("incremental_assign", []), ("incremental_unassign", [])]
    assert listener.calls == []
    assert ignored == [[dead]]


def test_the_pause_state_is_set_explicitly_at_every_assignment() -> None:
    """Paused and flowing both (librdkafka #1849, #5113)."""
    _, client, listener = make()
    listener.paused = {B}

    client.on_assign(client, positions(A, B))

    assert client.calls == [
        ("incremental_assign", [("t", 0), ("t", 1)]),
        ("pause", [("t", 1)]),
        ("resume", [("t", 0)]),
    ]


def test_lost_partitions_are_not_ours_when_the_listener_hears_of_it() -> None:
    """A store inside `lost` is refused, and told."""
    refused: list[object] = []
    source, client, listener = make(ConsumerCallbacks(on_store_refused=refused.append))
    client.on_assign(client, positions(A))
    listener.on_lost = lambda: source.store({A: 5})

    client.on_lost(client, positions(A))

    assert refused == [{A: 5}]
    assert "store" not in [name for name, _ in client.calls]


def test_a_refused_store_is_told_and_any_other_failure_is_fatal() -> None:
    """_STATE means that the partition went; what isn't known is not ignored."""
    refused: list[object] = []
    source, client, _ = make(ConsumerCallbacks(on_store_refused=refused.append))
    client.on_assign(client, positions(A))
    client.stored_error = KafkaError(KafkaError._STATE)
    source.store({A: 5})
    client.stored_error = KafkaError(KafkaError._INVALID_ARG)

    with pytest.raises(Fatal, match="store"):
        source.store({A: 6})

    assert refused == [{A: 5}]


def test_a_gap_is_loss_only_below_the_low_watermark() -> None:
    """Compaction and transactions leave gaps too."""
    resets: list[object] = []
    source, client, _ = make(ConsumerCallbacks(on_offset_reset=lambda *found: resets.append(found)))
    client.on_assign(client, positions(A))
    for offset, low in ((1, 0), (5, 0), (20, 15)):
        client.low = low
        client.polled = partial(message, A, offset)
        source.read(1, 0)

    assert resets == [(A, 6, 20)]


def test_loss_within_one_read_is_told() -> None:
    """What was fetched ahead comes out together with the first records after a reset; a gap above the low watermark is compaction."""
    resets: list[object] = []
    source, client, _ = make(ConsumerCallbacks(on_offset_reset=lambda *found: resets.append(found)))
    client.on_assign(client, positions(A))
    for low in (0, 15):
        client.low = low
        client.polled = lambda: message(A, 5)
        client.consumed = lambda: [message(A, 6), message(A, 20), message(A, 22)]
        source.read(10, 0)
        client.on_revoke(client, positions(A))
        client.on_assign(client, positions(A))

    assert resets == [(A, 7, 20)]


@pytest.mark.parametrize(
    "first", [message(A, 0), message(A, 0, KafkaError._PARTITION_EOF)], ids=["a record", "an end"]
)
def test_a_log_that_ends_below_the_committed_offset_is_told(first: Message) -> None:
    """It was truncated or created anew, and is read from its beginning; the client only logs that. Told once."""
    resets: list[object] = []
    source, client, _ = make(ConsumerCallbacks(on_offset_reset=lambda *found: resets.append(found)))
    client.committed_at["t", 0] = 1000
    client.on_assign(client, positions(A))
    for each in (first, message(A, 1), message(A, 0)):
        client.polled = partial(lambda given: given, each)
        source.read(1, 0)

    assert resets == [(A, 1000, 0)]


def test_reading_on_where_it_was_committed_is_not_told() -> None:
    """Nor is the end of a partition of which everything is committed."""
    resets: list[object] = []
    source, client, _ = make(ConsumerCallbacks(on_offset_reset=lambda *found: resets.append(found)))
    client.committed_at = {("t", 0): 1000, ("t", 1): 5}
    client.on_assign(client, positions(A, B))
    for each in (message(A, 1000), message(B, 5, KafkaError._PARTITION_EOF)):
        client.polled = partial(lambda given: given, each)
        source.read(1, 0)

    assert resets == []


def test_a_partition_that_comes_back_is_judged_by_what_is_committed_then() -> None:
    """Not by what this member read or committed of it before: another one had it meanwhile, and began anew with its log."""
    resets: list[object] = []
    source, client, _ = make(ConsumerCallbacks(on_offset_reset=lambda *found: resets.append(found)))
    for committed, first, client.low in ((1000, 1000, 0), (None, 3, 0), (5, 5, 0), (500, 500, 100)):
        client.committed_at = {} if committed is None else {("t", 0): committed}
        client.on_assign(client, positions(A))
        client.polled = partial(message, A, first)
        source.read(1, 0)
        source.store({A: first + 1})
        client.on_revoke(client, positions(A))
    client.config["on_commit"](None, [Position("t", 0, 1000)])
    client.committed_at = {}
    client.on_assign(client, positions(A))
    source.store({A: 7})

    assert resets == []
    assert "commit" not in [name for name, _ in client.calls]


def test_an_end_from_before_a_log_began_anew_does_not_move_the_next_offset() -> None:
    """Both may come out of one read."""
    source, client, _ = make()
    client.on_assign(client, positions(A))
    client.polled = lambda: message(A, 103, KafkaError._PARTITION_EOF)
    client.consumed = lambda: [message(A, 0), message(A, 1)]

    assert [each.next_offset for each in source.read(10, 0)] == [2]


def test_an_offset_below_the_committed_one_is_committed_at_once() -> None:
    """The client's own commits never go back while it runs; the offset of the old log would stay behind, and hide records of the new one from a restart."""
    source, client, _ = make()
    client.committed_at["t", 0] = 1000
    client.on_assign(client, positions(A, B))

    source.store({A: 5, B: 7})
    client.config["on_commit"](None, [Position("t", 0, 5)])
    source.store({A: 6})

    assert [("store", [("t", 0), ("t", 1)]), ("commit", [("t", 5)]), ("store", [("t", 0)])] == client.calls[
        -3:
    ]


def test_a_fatal_error_is_raised_out_of_read() -> None:
    """From the error callback as from a message."""
    source, client, _ = make()
    client.config["error_cb"](KafkaError(KafkaError._FATAL, "fenced", fatal=True))

    with pytest.raises(Fatal, match="fenced"):
        source.read(10, 0)


@pytest.mark.parametrize(
    ("properties", "strategy"),
    [
        ({}, "cooperative-sticky"),
        ({"group.protocol": "consumer"}, None),
        ({"partition.assignment.strategy": "range"}, "range"),
    ],
)
def test_what_the_bridge_stands_on_is_enforced(properties: dict[str, str], strategy: str | None) -> None:
    """Automatic commit of stored offsets only, ends of partitions, the earliest record; no classic key with KIP-848."""
    _, client, _ = make(properties=properties)

    assert [True, False, True, "earliest"] == [
        client.config[key]
        for key in (
            "enable.auto.commit",
            "enable.auto.offset.store",
            "enable.partition.eof",
            "auto.offset.reset",
        )
    ]
    assert client.config.get("partition.assignment.strategy") == strategy
