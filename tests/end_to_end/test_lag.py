"""The lag that an operator sees is the true one, most of all while AEP is down."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.simulator import Config, Rule, Simulator
from tests.end_to_end.conftest import Configure
from tests.end_to_end.test_delivery import fill
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)


def test_the_lag_grows_while_aep_is_down_and_drains_to_nothing(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """A paused partition is not fetched, and what is produced behind its last fetch counts all the same: in the metric and in /api/status."""
    topic = kafka.clients.create_topic(unique("lag"), 2)
    with Simulator(Config()) as sim:
        values = [(f"l{number:04}", envelope(f"l{number:04}", sim.config.org)) for number in range(1_000)]
        outage = sim.fault(Rule(action="status", status=503))
        with Bridge(
            configure(sim, topic, delivery={"backoff_max_s": 1, "max_uncommitted_records": 100}), tmp_path
        ) as bridge:

            def told() -> tuple[float, int | None, set[int | None]]:
                """The metric, the lag of the route, and the partitions' ends."""
                status = bridge.status()
                return (
                    bridge.metric("aep_bridge_consumer_lag", topic=topic),
                    status["routes"][0]["lag"],
                    {each["end"] for each in status["partitions"]},
                )

            bridge.wait_assigned(2)
            fill(kafka, topic, values[:200], 2)
            until(lambda: all(each["paused"] for each in bridge.status()["partitions"]), 30, bridge.tail())
            fill(kafka, topic, values[200:], 2)
            until(lambda: told() == (1_000, 1_000, {500}), 20, "the lag does not follow")

            assert sim.faults.fired(outage) > 0
            sim.faults.clear()
            until(lambda: told() == (0, 0, {500}), 60, bridge.tail())
        assert sim.accepted.keys() == {event for event, _ in values}
