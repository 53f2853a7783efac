"""The in-process Kafka of the demo and of fast tests."""

from __future__ import annotations

import ctypes

import pytest
from confluent_kafka import cimpl
from confluent_kafka.admin import AdminClient

from bridge.demo import mock_cluster
from bridge.demo.mock_cluster import MockCluster, MockClusterMissing


def test_topics_have_the_partitions_that_were_asked_for() -> None:
    """The installed client still has the experimental interface that is called here."""
    with MockCluster(topics={"a": 1, "b": 7}) as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
        topics = admin.list_topics(timeout=10).topics

    assert {name: len(topic.partitions) for name, topic in topics.items()} == {"a": 1, "b": 7}


def test_a_missing_symbol_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another build of the client gives a sentence that says what to install, and not a crash."""
    monkeypatch.setitem(mock_cluster._SIGNATURES, "rd_kafka_mock_moved_elsewhere", (ctypes.c_int, []))

    with pytest.raises(MockClusterMissing, match="rd_kafka_mock_moved_elsewhere"), MockCluster():
        pass

    assert cimpl.__file__
