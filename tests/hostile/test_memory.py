"""Memory under an AEP that stopped, with a backlog of `BACKLOG_MB` megabytes, by default 400.

`make memory-long` has 4,000, and writes the figures (`MEMORY_OUT`) for docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from bridge.simulator import Config, Rule, Simulator
from tests.hostile.conftest import ORG, Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

BACKLOG_MB = int(os.environ.get("BACKLOG_MB", "400"))
STOPPED_S = float(os.environ.get("STOPPED_S", "15"))
PARTITIONS = 4

pytestmark = pytest.mark.timeout(900)


def produce_backlog(kafka: Kafka, topic: str, value: bytes, count: int) -> None:
    """Produce a value so many times, round robin over the partitions."""
    settings = {"linger.ms": 20, "batch.size": 900_000, "queue.buffering.max.kbytes": 200_000}
    producer = Producer({**kafka.properties(), **settings})
    for number in range(count):
        while True:
            try:
                producer.produce(topic, value, partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(300) == 0


def test_memory_stays_under_the_printed_ceiling_while_aep_is_stopped(
    kafka: Kafka, configure: Configure, tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    """The backlog stays in Kafka: all requests hang, the window is full, partitions are paused.

    Delivery then goes on.
    """
    topics: list[str] = []
    records = size_bytes = 0
    for name, size in (("small", 400), ("large", 200_000)):
        topic = kafka.clients.create_topic(unique(name), PARTITIONS, retention_bytes="-1")
        topics.append(topic)
        value, count = envelope("e", ORG, size=size), BACKLOG_MB * 500_000 // size
        records, size_bytes = records + count, size_bytes + count * len(value)
        produce_backlog(kafka, topic, value, count)
    with Simulator(Config(org=ORG, fast=True)) as sim:
        hang = sim.fault(Rule(action="hang"))
        with Bridge(configure(sim.inlet_url, *topics), tmp_path) as bridge:
            until(lambda: sim.faults.fired(hang) >= 8, 60, bridge.tail())
            until(lambda: bridge.has_logged("partition.paused"), 60, bridge.tail())
            deadline = time.monotonic() + STOPPED_S
            until(lambda: time.monotonic() > deadline, STOPPED_S + 5)
            stopped_peak, accepted = bridge.peak_bytes(), sim.stats["messages_accepted"]
            sim.faults.clear()
            until(lambda: sim.stats["messages_accepted"] > accepted + 20_000, 60, bridge.tail())
            peak, ceiling = bridge.peak_bytes(), bridge.printed_ceiling_bytes()
    figures = {
        "backlog_mb": size_bytes // 1_000_000,
        "records": records,
        "stopped_s": STOPPED_S,
        "stopped_mib": stopped_peak >> 20,
        "peak_mib": peak >> 20,
        "ceiling_mib": ceiling >> 20,
    }
    record_property("memory", json.dumps(figures))
    if path := os.environ.get("MEMORY_OUT"):
        Path(path).write_text(json.dumps(figures) + "\n")

    assert accepted == 0
    assert peak < ceiling, figures
