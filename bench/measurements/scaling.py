"""Replicas of one group over 12 partitions: how much of n times the work n replicas do.

The sink answers so late that replicas wait and the machine does not: what is measured is whether replicas
get in each other's way.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench.environment.events import events
from bench.environment.lab import Lab
from bench.environment.process import ChildProcess, replicas
from bench.environment.producer import produce_all
from bench.environment.sink_process import SinkProcess

PARTITIONS = 12
RESPONSE_MS = 300
_IN_FLIGHT, _BATCH_BYTES = 2, 100_000
_ASSIGNED_WITHIN_S = 90


def scaling(lab: Lab, sink: SinkProcess, *, replica_count: int, seconds: int) -> dict[str, Any]:
    """Return what the replicas do together, once all have joined and share the partitions evenly.

    Only then the topic is filled at once, with work for so many seconds.
    """
    per_replica = _IN_FLIGHT * (_BATCH_BYTES // 1025) / (RESPONSE_MS / 1000)
    count = int(per_replica * seconds) * replica_count // PARTITIONS * PARTITIONS
    topic = lab.create_topic(PARTITIONS)
    configs, ports = _configs(lab, topic, sink.url, replica_count)
    with replicas() as children:
        children += [lab.start_bridge(config) for config in configs]
        _wait_for_assignment(children, ports, PARTITIONS // replica_count)
        pids = [child.pid for child in children]
        sink.start_run(count, 1024, pids=pids, latency_ms=RESPONSE_MS)
        produce_all(lab.kafka.properties(), topic, events(count, 1024), partitions=PARTITIONS)
        result = sink.result(unless_ended=children)
    cpu_s = sum(after - before for before, after in result["cpu"])
    return {
        "events_per_s": count / result["seconds"],
        "cpu_s_per_million": cpu_s / count * 1e6,
        "expected_per_s": per_replica * replica_count,
    }


def _configs(lab: Lab, topic: str, url: str, replica_count: int) -> tuple[list[Path], list[int]]:
    """Write one configuration file for each replica: the same group, and an admin port of its own."""
    shared = lab.write_config(
        topic,
        url,
        "scaling",
        batch={"max_bytes": _BATCH_BYTES, "linger_ms": 200},
        delivery={"max_in_flight": _IN_FLIGHT},
    )
    config = yaml.safe_load(shared.read_text())
    paths, ports = [], []
    for number in range(replica_count):
        path = lab.write_config(topic, url, f"scaling-{number}")
        admin = yaml.safe_load(path.read_text())["admin"]
        path.write_text(yaml.safe_dump({**config, "admin": admin}))
        paths.append(path)
        ports.append(admin["port"])
    return paths, ports


def _wait_for_assignment(children: list[ChildProcess], ports: list[int], share: int) -> None:
    """Wait until each replica holds its share.

    Raise TimeoutError, or RuntimeError when a replica has ended.
    """
    deadline = time.monotonic() + _ASSIGNED_WITHIN_S
    while time.monotonic() < deadline:
        for child in children:
            child.raise_if_ended()
        try:
            if all(_assigned(port) == share for port in ports):
                return
        except httpx.HTTPError:  # its admin port is not open yet
            pass
        time.sleep(0.3)
    raise TimeoutError(f"after {_ASSIGNED_WITHIN_S} s the replicas do not share the partitions evenly")


def _assigned(port: int) -> int:
    """Return how many partitions a replica holds, by its status."""
    status = httpx.get(f"http://127.0.0.1:{port}/api/status", timeout=2).json()
    return len(status.get("partitions", []))
