"""Memory under an AEP that stopped, with a backlog many times the window: `BACKLOG_MB` megabytes, 400 unless told.

`make memory-long` has 4,000, and keeps the figures (`MEMORY_OUT`) for docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from bridge.simulator import Config, Rule, Simulator
from tests.hostile.conftest import ORG, Configure, ceiling, peak_bytes
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

BACKLOG_MB = int(os.environ.get("BACKLOG_MB", "400"))
STOPPED_S = float(os.environ.get("STOPPED_S", "15"))

pytestmark = pytest.mark.timeout(900)


def test_a_backlog_stays_in_kafka(
    kafka: Kafka, configure: Configure, tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    """With every request hanging, the window full and partitions paused, the peak stays under the ceiling that was printed; then delivery goes on."""
    sizes = {"small": 400, "large": 200_000}
    topics: list[str] = []
    records = size_bytes = 0
    for name, size in sizes.items():
        topic = kafka.clients.create_topic(unique(name), 4, retention_bytes="-1")
        topics.append(topic)
        producer = Producer(
            {
                **kafka.properties(),
                "linger.ms": 20,
                "batch.size": 900_000,
                "queue.buffering.max.kbytes": 200_000,
            }
        )
        value = envelope("e", ORG, size=size)
        count = BACKLOG_MB * 500_000 // size
        records, size_bytes = records + count, size_bytes + count * len(value)
        for number in range(count):
            while True:
                try:
                    producer.produce(topic, value, partition=number % 4)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(300) == 0
    with Simulator(Config(org=ORG, fast=True)) as sim:
        number = sim.fault(Rule(action="hang"))
        with Bridge(configure(sim.inlet_url, *topics), tmp_path) as bridge:
            until(lambda: sim.faults.fired(number) >= 8, 60, bridge.tail())
            until(
                lambda: any(entry["event"] == "partition.paused" for entry in bridge.events()),
                60,
                bridge.tail(),
            )
            deadline = time.monotonic() + STOPPED_S
            until(lambda: time.monotonic() > deadline, STOPPED_S + 5)
            stopped, accepted = peak_bytes(bridge), sim.stats["messages_accepted"]
            sim.faults.clear()
            until(lambda: sim.stats["messages_accepted"] > accepted + 20_000, 60, bridge.tail())
            peak, most = peak_bytes(bridge), ceiling(bridge)
    figures = {
        "backlog_mb": size_bytes // 1_000_000, "records": records, "stopped_s": STOPPED_S,
        "stopped_mib": stopped >> 20, "peak_mib": peak >> 20, "ceiling_mib": most >> 20,
    }  # fmt: skip
    record_property("memory", json.dumps(figures))
    if out := os.environ.get("MEMORY_OUT"):
        Path(out).write_text(json.dumps(figures) + "\n")

    assert accepted == 0
    assert peak < most, figures
