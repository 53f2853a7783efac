"""Replicas of one group over 12 partitions, with a sink that makes them wait: how much of n times the work n replicas do."""

from __future__ import annotations

import time
from typing import Any

import httpx
import yaml
from confluent_kafka import Producer

from bench.events import events
from bench.farend import FarEnd
from bench.machine import Lab
from bench.process import Child, together

PARTITIONS = 12
LATENCY_MS = 300
_IN_FLIGHT, _BATCH = 2, 100_000
_ASSIGNED_S = 90


def scaling(lab: Lab, sink: FarEnd, *, replicas: int, seconds: int) -> dict[str, Any]:
    """All replicas have joined and share the partitions evenly; then the topic fills at once, with work for so many seconds."""
    per_replica = _IN_FLIGHT * (_BATCH // 1025) / (LATENCY_MS / 1000)
    count = int(per_replica * seconds) * replicas // PARTITIONS * PARTITIONS
    topic = lab.topic(PARTITIONS)
    path = lab.config(
        topic,
        sink.url,
        "scaling",
        batch={"max_bytes": _BATCH, "linger_ms": 200},
        delivery={"max_in_flight": _IN_FLIGHT},
    )
    config = yaml.safe_load(path.read_text())
    ports = []
    with together() as children:
        for number in range(replicas):
            own = lab.config(topic, sink.url, f"scaling-{number}")
            merged = {**config, "admin": yaml.safe_load(own.read_text())["admin"]}
            own.write_text(yaml.safe_dump(merged))
            ports.append(merged["admin"]["port"])
            children.append(Child(["bridge", "run", "--config", str(own)], lab.folder / "bridge.log"))
        _wait_even(children, ports, PARTITIONS // replicas)
        sink.expect(count, 1024, pids=[child.pid for child in children], latency_ms=LATENCY_MS)
        producer = Producer({**lab.kafka.properties(), "linger.ms": 50, "acks": "1"})
        for number, value in enumerate(events(count, 1024)):
            while True:
                try:
                    producer.produce(topic, value, partition=number % PARTITIONS)
                    break
                except BufferError:
                    producer.poll(0.05)
        producer.flush()
        result = sink.result(unless_ended=children)
    cpu = sum(after - before for before, after in result["cpu"])
    return {
        "events_per_s": count / result["s"],
        "cpu_s_per_million": cpu / count * 1e6,
        "expected_per_s": per_replica * replicas,
    }


def _wait_even(children: list[Child], ports: list[int], share: int) -> None:
    """Until each replica holds its share. Raises TimeoutError, and RuntimeError where one has ended."""
    deadline = time.monotonic() + _ASSIGNED_S
    while time.monotonic() < deadline:
        for child in children:
            child.check()
        try:
            held = [
                len(httpx.get(f"http://127.0.0.1:{port}/api/status", timeout=2).json().get("partitions", []))
                for port in ports
            ]
        except httpx.HTTPError:
            held = []
        if held and all(number == share for number in held):
            return
        time.sleep(0.3)
    raise TimeoutError("the replicas did not come to share the partitions evenly")
