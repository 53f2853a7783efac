"""The learned rate against the simulator's token bucket: settling, a quota that is raised, three replicas that share one, a configured rate in a rebalance."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import yaml

from bench.machine import Lab
from bench.process import Child, together
from bench.scenarios import QUOTA, RAISED, Scenario
from bridge.simulator.config import DEFAULT_INLET
from tests.support.ports import free_port

PARTITIONS = 12
SIZE = 200
"""Bytes of an event: batches are full at 1,000 messages, and the quota is in messages."""
COLUMNS = ("accepted", "requests", "refused", "rate", "in_flight")
"""Messages accepted, requests, those refused with 429, the rate limit in messages a second (None where there is none), the in-flight limit."""


def quota(lab: Lab, topic: str, scenario: Scenario) -> dict[str, Any]:
    """A sample each second: of each replica `COLUMNS`, the first three as totals so far; None for one that is not there."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [
        "bridge",
        "simulate",
        "--port",
        str(port),
        "--rate",
        str(QUOTA),
        "--latency-ms",
        str(scenario.latency_ms),
    ]
    samples: list[dict[str, Any]] = []
    with (
        Child(arguments, lab.folder / f"simulator-{port}.log") as simulator,
        httpx.Client(timeout=5) as http,
        together() as children,
    ):
        start, ports = _replicas(lab, topic, f"{url}/collection/{DEFAULT_INLET}", scenario)
        _until(lambda: http.put(f"{url}/__admin/config", json={"fast": True}).status_code == 200, simulator)
        children += [start(number) for number in range(scenario.replicas)]
        began, current = time.monotonic(), QUOTA
        for second in range(scenario.seconds):
            time.sleep(max(0.0, began + second - time.monotonic()))
            for child in (simulator, *children):
                child.check()
            if second == scenario.raise_at:
                current = RAISED
                http.put(f"{url}/__admin/config", json={"messages_per_s": current})
            if second == scenario.leaves_at:
                children[-1].end()
            if second == scenario.returns_at:
                children.append(start(scenario.replicas))
            at = time.monotonic() - began
            samples.append(
                {"s": round(at, 2), "quota": current, "replicas": [_sample(http, each) for each in ports]}
            )
    return {
        "latency_ms": scenario.latency_ms,
        "limit": scenario.limit,
        "raised_at": scenario.raise_at,
        "configured": scenario.configured,
        "samples": samples,
    }


def _replicas(
    lab: Lab, topic: str, inlet: str, scenario: Scenario
) -> tuple[Callable[[int], Child], list[int]]:
    aep = {"max_messages_per_s": scenario.configured} if scenario.configured else {}
    first = yaml.safe_load(lab.config(topic, inlet, "quota", aep=aep).read_text())
    ports = [free_port() for _ in range(scenario.replicas + (scenario.returns_at is not None))]
    paths = [lab.folder / f"quota-{port}.yaml" for port in ports]
    for port, path in zip(ports, paths, strict=True):
        path.write_text(yaml.safe_dump({**first, "admin": {"host": "127.0.0.1", "port": port}}))
    return lambda number: Child(
        ["bridge", "run", "--config", str(paths[number])], lab.folder / f"quota-{ports[number]}.log"
    ), ports


def _until(done: Callable[[], bool], child: Child) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if done():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the simulator does not answer:\n{child.tail()}")


def _sample(http: httpx.Client, port: int) -> list[float | None] | None:
    """`COLUMNS` of one replica, out of its metrics."""
    try:
        lines = http.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    except httpx.HTTPError:
        return None
    accepted = requests = refused = 0.0
    rate = in_flight = None
    for line in lines:
        name, _, text = line.rpartition(" ")
        if name.startswith("aep_bridge_records_accepted_total"):
            accepted += float(text)
        elif name.startswith("aep_bridge_requests_total"):
            requests += float(text)
            refused += float(text) if 'status="429"' in name else 0.0
        elif name.startswith("aep_bridge_rate_limit"):
            rate = None if text == "+Inf" else round(float(text))
        elif name.startswith("aep_bridge_in_flight_limit"):
            in_flight = float(text)
    return [accepted, requests, refused, rate, in_flight]
