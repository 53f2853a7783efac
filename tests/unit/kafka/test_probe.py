"""Probing brokers: the errors on the way name the cause, which the exception of the call does not."""

from __future__ import annotations

import time

import pytest

from bridge.demo.mock_cluster import MockCluster
from bridge.kafka.client_errors import Unreachable
from bridge.kafka.probe import BrokerProbe, Obstacle


def test_brokers_that_answer_are_counted() -> None:
    """Their number tells an operator whether the whole cluster is there."""
    with MockCluster(brokers=3) as cluster:
        assert BrokerProbe({"bootstrap.servers": cluster.bootstrap}).count_brokers(10) == 3


def test_a_port_that_refuses_is_an_obstacle_with_a_name() -> None:
    """`check` says what to look at by this name."""
    probe = BrokerProbe({"bootstrap.servers": "127.0.0.1:9"})
    deadline = time.monotonic() + 10
    while probe.text(Obstacle.TRANSPORT) is None and time.monotonic() < deadline:
        with pytest.raises(Unreachable):
            probe.count_brokers(0.5)

    assert "refused" in str(probe.text(Obstacle.TRANSPORT))
    assert probe.text(Obstacle.AUTHENTICATION) is None
    assert probe.text(Obstacle.TRANSPORT) in probe.texts
