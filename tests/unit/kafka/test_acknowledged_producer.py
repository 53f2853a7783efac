"""A producer whose records count once they are acknowledged: an error is raised, and raised once."""

from __future__ import annotations

import pytest

from bridge.demo.mock_cluster import MockCluster
from bridge.kafka.acknowledged_producer import AcknowledgedProducer, NotAcknowledged


def test_a_record_that_the_brokers_refuse_is_an_error_at_the_flush() -> None:
    """What stands behind it must not be committed. The next flush is about the next records only."""
    with MockCluster(topics={"t": 1}) as cluster:
        # How long the client gives the brokers to learn of a new topic.
        properties = {"bootstrap.servers": cluster.bootstrap, "topic.metadata.propagation.max.ms": 200}
        producer = AcknowledgedProducer(properties)
        producer.put("missing", b"1", None)
        with pytest.raises(NotAcknowledged, match="missing: "):
            producer.flush()
        producer.put("t", b"2", None)
        producer.flush()


def test_a_record_that_is_too_large_is_refused_at_once() -> None:
    """The client itself refuses it; the topic is named."""
    properties = {"bootstrap.servers": "127.0.0.1:9", "message.max.bytes": 1000}
    with pytest.raises(NotAcknowledged, match=r"^t: .*large"):
        AcknowledgedProducer(properties).put("t", b"x" * 2000, None)
