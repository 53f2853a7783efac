"""A large run on a real broker: every event is accounted for, byte for byte, and the metrics agree."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.simulator import Config, Simulator
from tests.end_to_end.conftest import Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import all_committed, produce_keyed
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, envelope

pytestmark = pytest.mark.timeout(240)

EVENTS, PARTITIONS = 50_000, 6
LARGE = 5
"""The last events are larger than Profile takes."""
JUNK = (b"not json", b'{"a":', b"[1]", b'"text"', b"\xff\xfe", b'{"header":{"datasetId":"x"},"body":"\xff"}')
FOREIGN_ORG = "SOMEBODYELSE@AdobeOrg"
ODD_NUMBERS = '"n": 9400100000000000000000,  "n" : 1.50'
"""A number beyond a double, a key that comes twice, and spaces: all of it has to arrive as it is."""


@dataclass
class Produced:
    """All values by id, and the ids of those that AEP refuses and of those that are no event."""

    values: dict[str, bytes] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    junk: set[str] = field(default_factory=set)

    @property
    def good(self) -> dict[str, bytes]:
        bad = self.refused | self.junk
        return {event: value for event, value in self.values.items() if event not in bad}


def make_events(org: str) -> Produced:
    """Return the events: 1% that AEP refuses, 0.5% junk, and the last ones large."""
    rng, produced = random.Random(7), Produced()
    for number in range(EVENTS):
        event = f"e{number:05}"
        kind = rng.random()
        dataset = rng.choice(DATASETS)
        if kind < 0.005:
            produced.junk.add(event)
            value = rng.choice(JUNK)
        elif kind < 0.015:
            produced.refused.add(event)
            value = envelope(event, FOREIGN_ORG, dataset=dataset)
        else:
            size = 10_500 if number >= EVENTS - LARGE else 300
            value = envelope(event, org, dataset=dataset, extra=ODD_NUMBERS, size=size)
        produced.values[event] = value
    return produced


def test_fifty_thousand_events_are_all_accounted_for(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Accepted and dead-lettered events together are what was produced, byte for byte, and the lag is 0.

    The metrics say the same.
    """
    topic = kafka.clients.create_topic(unique("events"), PARTITIONS)
    (tmp_path / "secret").write_text("secret")
    with Simulator(Config(latency_ms=5, keep_bytes=True, require_auth=True)) as sim:
        produced = make_events(sim.config.org)
        good, bad = produced.good, produced.refused | produced.junk
        produce_keyed(kafka, topic, list(produced.values.items()), PARTITIONS)
        auth = {
            "token_url": sim.token_url,
            "client_id": sim.config.client_id,
            "client_secret_file": str(tmp_path / "secret"),
            "scope": "openid",
        }
        config = configure(sim, topic, aep={"auth": auth})
        group = config["kafka"]["group_id"]
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, group, topic, PARTITIONS), 120, bridge.tail())
            wait_until_idle(bridge)
            records = {"read": EVENTS, "accepted": len(good), "dead_lettered": len(bad)}
            check_metrics(bridge, sim, records)
            dead_letters = kafka.clients.read_all(f"{topic}.dlq")

            assert bridge.stop() == 0

        assert sim.accepted.keys() == good.keys()
        assert sim.duplicates == {}
        assert [event for event, value in good.items() if sim.message(event) != value] == []
        assert Counter((message.key() or b"").decode() for message in dead_letters) == Counter(bad)
        for message in dead_letters:
            event = (message.key() or b"").decode()
            headers = dict(message.headers())

            assert message.value() == produced.values[event]
            assert (headers["aep.reason"] == b"refused") is (event in produced.refused)
            assert headers["__connect.errors.topic"] == topic.encode()
            assert headers["aep.error"]
        assert sim.stats["max_request_bytes"] <= 1_000_000


def wait_until_idle(bridge: Bridge) -> None:
    """Wait until the gauges of what waits or is in flight are 0. The engine updates them twice a second."""
    gauges = (
        "in_flight",
        "window_bytes",
        "oldest_unsettled_seconds",
        "watermark_age_seconds",
        "commit_age_seconds",
        "inlet_held",
    )
    until(lambda: not any(bridge.metric(f"aep_bridge_{name}") for name in gauges), 20, "the gauges come down")


def check_metrics(bridge: Bridge, sim: Simulator, records: dict[str, int]) -> None:
    """Compare the counters of a run without a fault with what AEP saw."""
    requests = bridge.metric("aep_bridge_requests_total", status="207")
    batch_records = bridge.metric("aep_bridge_batch_records_sum")
    batch_bytes = bridge.metric("aep_bridge_batch_bytes_sum")

    assert {name: bridge.metric(f"aep_bridge_records_{name}_total") for name in records} == records
    assert requests == sim.stats["requests"]["207"]
    for metric in ("requests_total", "request_seconds_count", "batch_records_count", "batch_bytes_count"):
        assert bridge.metric(f"aep_bridge_{metric}") == requests, metric
    assert sum(sim.accepted.values()) <= batch_records <= records["read"]
    assert records["accepted"] * 300 < batch_bytes <= requests * 1_000_000
    assert bridge.metric("aep_bridge_request_seconds_sum") > requests * 0.005
    assert 1 <= bridge.metric("aep_bridge_in_flight_limit") <= 8
    assert 0 < bridge.metric("aep_bridge_token_age_seconds") < 120
    assert bridge.metric("aep_bridge_oversize_for_profile_total") == LARGE
    assert bridge.metric("aep_bridge_assigned_partitions") == PARTITIONS
    for fault in (
        "retries_total",
        "holds_total",
        "commit_failures_total",
        "token_refresh_failures_total",
        "possible_loss_total",
        "rewinds_total",
    ):
        assert bridge.metric(f"aep_bridge_{fault}") == 0, fault
