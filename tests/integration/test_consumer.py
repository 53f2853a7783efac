"""What only a real broker can show of the consumer."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient

from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.model import TopicPartition
from bridge.ports import Fatal
from tests.support.clients import Clients, unique, until
from tests.support.kafka import Kafka
from tests.support.listener import RecordingListener, collect

PROTOCOLS = [
    {"partition.assignment.strategy": "cooperative-sticky"},
    {"partition.assignment.strategy": "range"},
    {"group.protocol": "consumer"},
    {"group.protocol": "consumer", "group.remote.assignor": "range"},
]


def source(
    kafka: Kafka, topics: list[str], group: str, listener: RecordingListener | None = None, **more: object
) -> KafkaConsumer:
    callbacks = more.pop("callbacks", None)
    is_excluded = more.pop("is_excluded", lambda _: False)
    properties = {
        **kafka.properties(),
        "group.id": group,
        "log_level": 3,
        **{key.replace("_", "."): value for key, value in more.items()},
    }
    own_listener = listener or RecordingListener()
    return KafkaConsumer(properties, topics, is_excluded, own_listener, callbacks)  # type: ignore[arg-type]


def test_aborted_records_are_skipped_and_the_end_passes_control_records(kafka: Kafka) -> None:
    """The lag of a transactional topic must reach 0: `next_offset` passes markers and aborted records."""
    topic, group = kafka.clients.create_topic(unique()), unique()
    partition = TopicPartition(topic, 0)
    producer = Producer({**kafka.properties(), "transactional.id": unique()})
    producer.init_transactions(30)
    for value, commit in ((b"kept", True), (b"aborted", False)):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(10)
        (producer.commit_transaction if commit else producer.abort_transaction)(30)
    reader = source(kafka, [topic], group)

    collected = collect(reader, lambda read: read.next_offsets.get(partition) == 4)
    reader.store(collected.next_offsets)
    reader.close()

    assert collected.values[partition] == [b"kept"]
    assert kafka.clients.lag(group, topic) == 0


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_an_ignored_dead_letter_topic_leaves_the_group_consistent(
    kafka: Kafka, protocol: dict[str, str]
) -> None:
    """Members come and go, each with half of all partitions. All other records are read once and committed.

    The half may be a whole topic: sticky assignors, such as the broker's default one, give the second
    member one of the two topics, so that it may have nothing to read. The range assignor gives it halves of
    both topics, so that partitions which are read and partitions which are ignored are revoked in one call.
    """
    clients, prefix, group = kafka.clients, unique("r"), unique()
    name, dead = (clients.create_topic(f"{prefix}{suffix}", 4) for suffix in ("", ".dlq"))
    for topic in (name, dead):
        for partition in range(4):
            clients.produce(topic, [b"%d" % each for each in range(20)], partition=partition)
    partitions = [TopicPartition(name, partition) for partition in range(4)]
    listeners = [RecordingListener(), RecordingListener()]
    ignored: list[set[TopicPartition]] = [set(), set()]

    def member(number: int) -> KafkaConsumer:
        properties = {key.replace(".", "_"): value for key, value in protocol.items()}
        callbacks = ConsumerCallbacks(on_partitions_ignored=ignored[number].update)
        return source(
            kafka,
            [f"^{prefix}.*"],
            group,
            listeners[number],
            is_excluded=lambda topic: topic == dead,
            callbacks=callbacks,
            **properties,
        )

    first = member(0)
    collected = collect(first, lambda read: read.count() >= 80)
    first.store(dict.fromkeys(partitions, 20))
    second = member(1)

    def shared() -> bool:
        for each in (first, second):
            collected.add(each.read(100, 0.02))
        return (
            len(listeners[1].partitions | ignored[1]) == 4
            and len(listeners[0].partitions | listeners[1].partitions) == 4
        )

    until(shared, what="each member has its share")
    second.close()
    collect(first, lambda _: len(listeners[0].partitions) == 4, into=collected)
    clients.produce(name, [b"last"], partition=3)
    collect(first, lambda read: read.next_offsets[partitions[3]] == 21, into=collected)
    first.store({partitions[3]: 21})
    first.close()

    assert collected.offsets == {
        partition: list(range(21 if partition == partitions[3] else 20)) for partition in partitions
    }
    assert clients.committed(group, name, 4) == {0: 20, 1: 20, 2: 20, 3: 21}
    assert {partition.topic for partition in ignored[0] | ignored[1]} == {dead}
    assert clients.committed(group, dead, 4) == {}


def test_a_static_member_comes_back_without_a_rebalance(kafka: Kafka) -> None:
    """With group.instance.id a restart gets the same partitions, and reads on at the committed offset."""
    topic, group = kafka.clients.create_topic(unique(), 2), unique()
    kafka.clients.produce(topic, [b"1", b"2"])
    partition = TopicPartition(topic, 0)
    watcher = RecordingListener()
    first = source(kafka, [topic], group, group_instance_id="a")
    collect(first, lambda read: read.count() >= 2)
    first.store({partition: 1})
    first.close()

    second = source(kafka, [topic], group, watcher, group_instance_id="a")
    collected = collect(second, lambda read: read.count() >= 1)
    second.close()

    assert collected.values[partition] == [b"2"]
    assert len(watcher.partitions) == 0 or watcher.calls[0][1] == {partition, TopicPartition(topic, 1)}


def test_a_fenced_static_member_is_fatal(kafka: Kafka) -> None:
    """Two processes with one group.instance.id are a mistake that the first one must not hide."""
    topic, group = kafka.clients.create_topic(unique()), unique()
    first = source(
        kafka, [topic], group, group_instance_id="a", session_timeout_ms=6000, heartbeat_interval_ms=200
    )
    collect(first, lambda read: bool(read.slices))
    second = source(
        kafka, [topic], group, group_instance_id="a", session_timeout_ms=6000, heartbeat_interval_ms=200
    )
    collect(second, lambda read: bool(read.slices))

    with pytest.raises(Fatal, match="can't go on"):
        collect(first, lambda _: False, 20)

    second.close()
    first.close()


def test_records_that_were_deleted_before_they_were_read_are_reported(kafka: Kafka) -> None:
    """The client only logs that the committed offset is out of range, and reads on at the earliest record."""
    topic, group = kafka.clients.create_topic(unique()), unique()
    partition = TopicPartition(topic, 0)
    kafka.clients.produce(topic, [b"x"] * 100)
    first = source(kafka, [topic], group)
    collect(first, lambda read: read.count() >= 100)
    first.store({partition: 10})
    first.close()
    admin = AdminClient(dict(kafka.properties()))
    for future in admin.delete_records([Position(topic, 0, 50)]).values():
        future.result(10)
    resets: list[tuple[TopicPartition, int, int]] = []
    second = source(
        kafka,
        [topic],
        group,
        callbacks=ConsumerCallbacks(on_offset_reset=lambda *details: resets.append(details)),
    )

    collected = collect(second, lambda read: read.count() >= 50)
    second.close()

    assert collected.offsets[partition] == list(range(50, 100))
    assert resets == [(partition, 10, 50)]


def test_a_committed_offset_beyond_the_end_is_reported_and_committed_backwards(kafka: Kafka) -> None:
    """A topic that was truncated or created anew is read from its beginning, and committed while it is read.

    The client's own commits wait until the new offsets pass the old one, and a restart before that would
    skip what lies between.
    """
    topic, group = kafka.clients.create_topic(unique()), unique()
    partition = TopicPartition(topic, 0)
    kafka.clients.produce(topic, [b"x"] * 5)
    old = Consumer({**kafka.properties(), "group.id": group})
    old.commit(offsets=[Position(topic, 0, 1000)], asynchronous=False)
    old.close()
    resets: list[tuple[TopicPartition, int, int]] = []
    reader = source(
        kafka,
        [topic],
        group,
        callbacks=ConsumerCallbacks(on_offset_reset=lambda *details: resets.append(details)),
    )
    collected = collect(reader, lambda read: read.count() >= 5)

    for offset in (3, 5):
        reader.store({partition: offset})
        collect(reader, lambda _: not reader.uncommitted(), into=collected)

        assert kafka.clients.committed(group, topic) == {0: offset}
    reader.close()

    assert collected.offsets[partition] == list(range(5))
    assert resets == [(partition, 1000, 0)]


def test_a_missing_topic_is_reported_and_waited_for(kafka: Kafka) -> None:
    """The process must not end for it: the topic's records come once it has been created."""
    topic = unique()
    errors: list[KafkaError] = []
    reader = source(
        kafka,
        [topic],
        unique(),
        callbacks=ConsumerCallbacks(on_error=errors.append),
        topic_metadata_refresh_interval_ms=300,
    )
    collect(reader, lambda _: bool(errors))
    kafka.clients.create_topic(topic)
    kafka.clients.produce(topic, [b"there"])

    collected = collect(reader, lambda read: read.count() >= 1)
    reader.close()

    assert errors[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert collected.count() == 1


def test_commits_are_reported(kafka: Kafka) -> None:
    """The age of the oldest stored offset, which an alert watches, is computed from these reports."""
    topic = kafka.clients.create_topic(unique())
    kafka.clients.produce(topic, [b"1"])
    commits: list[tuple[KafkaError | None, object]] = []
    reader = source(
        kafka,
        [topic],
        unique(),
        callbacks=ConsumerCallbacks(on_commit=lambda *details: commits.append(details)),
    )
    collect(reader, lambda read: read.count() >= 1)
    reader.store({TopicPartition(topic, 0): 1})

    collect(reader, lambda _: (None, {TopicPartition(topic, 0): 1}) in commits)
    reader.close()


@pytest.mark.parametrize("listener", ["SSL", "SASL_SSL"])
def test_any_security_property_passes_through(secure_kafka: Kafka, listener: str) -> None:
    """The user's properties reach the client: here TLS with a private authority, and SCRAM over it."""
    topic = secure_kafka.clients.create_topic(unique())
    Clients(secure_kafka.properties(listener)).produce(topic, [b"1"])
    reader = KafkaConsumer(
        {**secure_kafka.properties(listener), "group.id": unique()},
        [topic],
        lambda _: False,
        RecordingListener(),
    )

    collected = collect(reader, lambda read: read.count() >= 1)
    reader.close()

    assert collected.count() == 1


def test_a_callback_that_raises_ends_the_reading_with_fatal(kafka: Kafka) -> None:
    """An exception in the client's callback would be lost. `read` raises `Fatal`, and `close` still works."""

    class Broken(RecordingListener):
        def assigned(self, offsets: object) -> list[TopicPartition]:
            raise ValueError("boom")

    failures: list[str] = []
    callbacks = ConsumerCallbacks(on_callback_failure=lambda name, _: failures.append(name))
    reader = source(kafka, [kafka.clients.create_topic(unique())], unique(), Broken(), callbacks=callbacks)

    with pytest.raises(Fatal, match="boom"):
        collect(reader, lambda _: False, 20)
    reader.close()

    assert failures == ["assign"]
