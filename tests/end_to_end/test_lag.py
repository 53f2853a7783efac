"""The lag that an operator sees is the true one, above all while AEP is down."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.simulator import Config, Rule, Simulator
from tests.end_to_end.conftest import Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import produce_keyed
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)


def test_the_lag_grows_while_aep_is_down_and_drains_to_nothing(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """A paused partition is not fetched. What is produced behind its last fetch must count all the same.

    It must count in the metric and in /api/status.
    """
    topic = kafka.clients.create_topic(unique("lag"), 2)
    with Simulator(Config()) as sim:
        events = [(f"l{number:04}", envelope(f"l{number:04}", sim.config.org)) for number in range(1_000)]
        outage = sim.fault(Rule(action="status", status=503))
        delivery = {"backoff_max_s": 1, "max_uncommitted_records": 100}
        with Bridge(configure(sim, topic, delivery=delivery), tmp_path) as bridge:

            def shown() -> tuple[float, int | None, set[int | None]]:
                """Return the metric, the lag of the route, and the ends of the partitions."""
                status = bridge.status()
                return (
                    bridge.metric("aep_bridge_consumer_lag", topic=topic),
                    status["routes"][0]["lag"],
                    {partition["end"] for partition in status["partitions"]},
                )

            bridge.wait_assigned(2)
            produce_keyed(kafka, topic, events[:200], 2)
            until(lambda: all(each["paused"] for each in bridge.status()["partitions"]), 30, bridge.tail())
            produce_keyed(kafka, topic, events[200:], 2)
            until(lambda: shown() == (1_000, 1_000, {500}), 20, "the lag does not follow")

            assert sim.faults.fired(outage) > 0
            sim.faults.clear()
            until(lambda: shown() == (0, 0, {500}), 60, bridge.tail())
        assert sim.accepted.keys() == {event for event, _ in events}
