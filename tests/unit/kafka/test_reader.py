"""Reading within bounds: everything up to the end at one moment, and nothing behind it."""

from __future__ import annotations

import pytest

from bridge.demo.mock_cluster import MockCluster
from bridge.kafka.acknowledged_producer import AcknowledgedProducer
from bridge.kafka.client_errors import Unreachable
from bridge.kafka.reader import Bounds, TopicReader
from bridge.model import TopicPartition

PARTITION = TopicPartition("t", 0)


def produce(cluster: MockCluster, *values: bytes) -> None:
    """Produce records, and wait until they are acknowledged."""
    producer = AcknowledgedProducer({"bootstrap.servers": cluster.bootstrap})
    for value in values:
        producer.put("t", value, b"k", [("h", b"1")])
    producer.flush()


def reader(cluster: MockCluster, patience_s: float = 30) -> TopicReader:
    """Return a reader of a cluster."""
    return TopicReader({"bootstrap.servers": cluster.bootstrap, "group.id": "g"}, patience_s)


def test_what_comes_after_the_bounds_is_not_read() -> None:
    """A replay must never meet its own failures, which land at the end of the topic that it reads."""
    with MockCluster(topics={"t": 1}) as cluster:
        produce(cluster, b"1", b"2")
        client = reader(cluster)
        bounds = client.bounds({"t": 1})
        produce(cluster, b"3")
        records = list(client.records(bounds))
        client.close()

    assert (bounds.low, bounds.end, bounds.records) == ({PARTITION: 0}, {PARTITION: 2}, 2)
    assert [record.value() for record in records] == [b"1", b"2"]
    assert (records[0].key(), records[0].headers()) == (b"k", [("h", b"1")])


def test_bounds_may_begin_anywhere_and_may_be_empty() -> None:
    """One record is read by its offset; an empty partition ends at once."""
    with MockCluster(topics={"t": 1}) as cluster:
        client = reader(cluster)
        nothing = list(client.records(client.bounds({"t": 1})))
        produce(cluster, b"1", b"2", b"3")
        one = list(client.records(Bounds({PARTITION: 1}, {PARTITION: 2})))
        client.close()

    assert nothing == []
    assert [record.value() for record in one] == [b"2"]


def test_brokers_that_fall_silent_are_an_error() -> None:
    """A command must end some time, and say what it waited for."""
    with MockCluster(topics={"t": 1}) as cluster:
        produce(cluster, b"1")
        client = reader(cluster, patience_s=0.5)
        bounds = client.bounds({"t": 1})
        cluster.down()
        with pytest.raises(Unreachable, match="nothing came from t/0"):
            list(client.records(bounds))
        client.close()
