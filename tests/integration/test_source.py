"""What only a real broker can show of the source."""

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
    events = more.pop("events", None)
    excluded = more.pop("excluded", lambda _: False)
    properties = {
        **kafka.properties(),
        "group.id": group,
        "log_level": 3,
        **{key.replace("_", "."): value for key, value in more.items()},
    }
    return KafkaConsumer(properties, topics, excluded, listener or RecordingListener(), events)  # type: ignore[arg-type]


def test_aborted_records_are_skipped_and_the_end_passes_control_records(kafka: Kafka) -> None:
    """A transactional topic's lag reaches 0: next_offset moves past markers and aborted records."""
    topic, group = kafka.clients.create_topic(unique()), unique()
    lane = TopicPartition(topic, 0)
    producer = Producer({**kafka.properties(), "transactional.id": unique()})
    producer.init_transactions(30)
    for value, commit in ((b"kept", True), (b"aborted", False)):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(10)
        (producer.commit_transaction if commit else producer.abort_transaction)(30)
    reader = source(kafka, [topic], group)

    found = collect(reader, lambda got: got.next_offsets.get(lane) == 4)
    reader.store(found.next_offsets)
    reader.close()

    assert found.values[lane] == [b"kept"]
    assert kafka.clients.lag(group, topic) == 0


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_an_ignored_dead_letter_topic_leaves_the_group_consistent(
    kafka: Kafka, protocol: dict[str, str]
) -> None:
    """Members come and go, each with its half of all partitions, and every other record is still read once and committed.

    The half may be whole topics: sticky assignors, the broker's default one too, give the second member either of both, so it may have nothing to read.
    Range gives halves of each, so partitions that are read and partitions that are ignored are revoked in one call.
    """
    clients, prefix, group = kafka.clients, unique("r"), unique()
    name, dead = (clients.create_topic(f"{prefix}{suffix}", 4) for suffix in ("", ".dlq"))
    for topic in (name, dead):
        for partition in range(4):
            clients.produce(topic, [b"%d" % each for each in range(20)], partition=partition)
    lanes = [TopicPartition(name, partition) for partition in range(4)]
    listeners = [RecordingListener(), RecordingListener()]
    ignored: list[set[TopicPartition]] = [set(), set()]

    def member(number: int) -> KafkaConsumer:
        properties = {key.replace(".", "_"): value for key, value in protocol.items()}
        events = ConsumerCallbacks(on_partitions_ignored=ignored[number].update)
        return source(
            kafka,
            [f"^{prefix}.*"],
            group,
            listeners[number],
            excluded=lambda topic: topic == dead,
            events=events,
            **properties,
        )

    first = member(0)
    found = collect(first, lambda got: got.count() >= 80)
    first.store(dict.fromkeys(lanes, 20))
    second = member(1)

    def shared() -> bool:
        for each in (first, second):
            found.add(each.read(100, 0.02))
        return (
            len(listeners[1].partitions | ignored[1]) == 4
            and len(listeners[0].partitions | listeners[1].partitions) == 4
        )

    until(shared, what="each member has its share")
    second.close()
    collect(first, lambda _: len(listeners[0].partitions) == 4, into=found)
    clients.produce(name, [b"last"], partition=3)
    collect(first, lambda got: got.next_offsets[lanes[3]] == 21, into=found)
    first.store({lanes[3]: 21})
    first.close()

    assert found.offsets == {lane: list(range(21 if lane == lanes[3] else 20)) for lane in lanes}
    assert clients.committed(group, name, 4) == {0: 20, 1: 20, 2: 20, 3: 21}
    assert {lane.topic for lane in ignored[0] | ignored[1]} == {dead}
    assert clients.committed(group, dead, 4) == {}


def test_a_static_member_comes_back_without_a_rebalance(kafka: Kafka) -> None:
    """With group.instance.id a restart gets the same partitions and goes on at what was committed."""
    topic, group = kafka.clients.create_topic(unique(), 2), unique()
    kafka.clients.produce(topic, [b"1", b"2"])
    lane = TopicPartition(topic, 0)
    watcher = RecordingListener()
    first = source(kafka, [topic], group, group_instance_id="a")
    collect(first, lambda got: got.count() >= 2)
    first.store({lane: 1})
    first.close()

    second = source(kafka, [topic], group, watcher, group_instance_id="a")
    found = collect(second, lambda got: got.count() >= 1)
    second.close()

    assert found.values[lane] == [b"2"]
    assert len(watcher.partitions) == 0 or watcher.calls[0][1] == {lane, TopicPartition(topic, 1)}


def test_a_fenced_static_member_is_fatal(kafka: Kafka) -> None:
    """A second process with the same group.instance.id ends the first one's reading with `Fatal`, never silently."""
    topic, group = kafka.clients.create_topic(unique()), unique()
    first = source(
        kafka, [topic], group, group_instance_id="a", session_timeout_ms=6000, heartbeat_interval_ms=200
    )
    collect(first, lambda got: bool(got.slices))
    second = source(
        kafka, [topic], group, group_instance_id="a", session_timeout_ms=6000, heartbeat_interval_ms=200
    )
    collect(second, lambda got: bool(got.slices))

    with pytest.raises(Fatal, match="can't go on"):
        collect(first, lambda _: False, 20)

    second.close()
    first.close()


def test_records_deleted_unread_are_told(kafka: Kafka) -> None:
    """An offset out of range goes on at the earliest record, and `on_offset_reset` names what is lost."""
    topic, group = kafka.clients.create_topic(unique()), unique()
    lane = TopicPartition(topic, 0)
    kafka.clients.produce(topic, [b"x"] * 100)
    first = source(kafka, [topic], group)
    collect(first, lambda got: got.count() >= 100)
    first.store({lane: 10})
    first.close()
    admin = AdminClient(dict(kafka.properties()))
    for future in admin.delete_records([Position(topic, 0, 50)]).values():
        future.result(10)
    resets: list[tuple[TopicPartition, int, int]] = []
    second = source(
        kafka, [topic], group, events=ConsumerCallbacks(on_offset_reset=lambda *found: resets.append(found))
    )

    found = collect(second, lambda got: got.count() >= 50)
    second.close()

    assert found.offsets[lane] == list(range(50, 100))
    assert resets == [(lane, 10, 50)]


def test_a_committed_offset_beyond_the_end_is_told_and_committed_back(kafka: Kafka) -> None:
    """A topic truncated or created anew: read from its beginning, and what is settled of it is committed while it is read.

    The client's own commits wait until the new offsets pass the old one, and a restart by then skips what lies between.
    """
    topic, group = kafka.clients.create_topic(unique()), unique()
    lane = TopicPartition(topic, 0)
    kafka.clients.produce(topic, [b"x"] * 5)
    old = Consumer({**kafka.properties(), "group.id": group})
    old.commit(offsets=[Position(topic, 0, 1000)], asynchronous=False)
    old.close()
    resets: list[tuple[TopicPartition, int, int]] = []
    reader = source(
        kafka, [topic], group, events=ConsumerCallbacks(on_offset_reset=lambda *found: resets.append(found))
    )
    found = collect(reader, lambda got: got.count() >= 5)

    for offset in (3, 5):
        reader.store({lane: offset})
        collect(reader, lambda _: not reader.uncommitted(), into=found)

        assert kafka.clients.committed(group, topic) == {0: offset}
    reader.close()

    assert found.offsets[lane] == list(range(5))
    assert resets == [(lane, 1000, 0)]


def test_a_missing_topic_is_told_and_waited_for(kafka: Kafka) -> None:
    """`on_error` hears of it; nothing is raised; the records come once the topic is there."""
    topic = unique()
    errors: list[KafkaError] = []
    reader = source(
        kafka,
        [topic],
        unique(),
        events=ConsumerCallbacks(on_error=errors.append),
        topic_metadata_refresh_interval_ms=300,
    )
    collect(reader, lambda _: bool(errors))
    kafka.clients.create_topic(topic)
    kafka.clients.produce(topic, [b"there"])

    found = collect(reader, lambda got: got.count() >= 1)
    reader.close()

    assert errors[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert found.count() == 1


def test_commits_are_told(kafka: Kafka) -> None:
    """`on_commit` gets the offsets that are committed."""
    topic = kafka.clients.create_topic(unique())
    kafka.clients.produce(topic, [b"1"])
    commits: list[tuple[KafkaError | None, object]] = []
    reader = source(
        kafka, [topic], unique(), events=ConsumerCallbacks(on_commit=lambda *found: commits.append(found))
    )
    collect(reader, lambda got: got.count() >= 1)
    reader.store({TopicPartition(topic, 0): 1})

    collect(reader, lambda _: (None, {TopicPartition(topic, 0): 1}) in commits)
    reader.close()


@pytest.mark.parametrize("listener", ["SSL", "SASL_SSL"])
def test_any_security_property_passes_through(secure_kafka: Kafka, listener: str) -> None:
    """TLS with its own authority, and SCRAM over it."""
    topic = secure_kafka.clients.create_topic(unique())
    Clients(secure_kafka.properties(listener)).produce(topic, [b"1"])
    reader = KafkaConsumer(
        {**secure_kafka.properties(listener), "group.id": unique()},
        [topic],
        lambda _: False,
        RecordingListener(),
    )

    found = collect(reader, lambda got: got.count() >= 1)
    reader.close()

    assert found.count() == 1


def test_a_callback_that_raises_ends_the_reading_with_fatal(kafka: Kafka) -> None:
    """The exception does not leave the callback; `read` raises `Fatal`, `close` still works."""

    class Broken(RecordingListener):
        def assigned(self, offsets: object) -> list[TopicPartition]:
            raise ValueError("boom")

    failures: list[str] = []
    events = ConsumerCallbacks(on_callback_failure=lambda name, _: failures.append(name))
    reader = source(kafka, [kafka.clients.create_topic(unique())], unique(), Broken(), events=events)

    with pytest.raises(Fatal, match="boom"):
        collect(reader, lambda _: False, 20)
    reader.close()

    assert failures == ["assign"]
