"""The learned rate against the quota of a local AEP with a token bucket, sampled once per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench.environment.lab import Lab
from bench.environment.process import ChildProcess, replicas
from bench.measurements.quota_scenarios import QUOTA, RAISED_QUOTA, Scenario
from bridge.simulator.config import DEFAULT_INLET
from tests.support.ports import free_port

PARTITIONS = 12
EVENT_BYTES = 200
"""So small that batches are full at 1,000 messages: the quota is in messages."""
COLUMNS = ("accepted", "requests", "refused", "rate", "in_flight")
"""A replica's sample: messages accepted, requests, and requests answered 429, as totals so far; then the
rate limit in messages per second (None where there is none) and the limit of requests in flight."""


def quota(lab: Lab, topic: str, scenario: Scenario) -> dict[str, Any]:
    """Run a scenario and return its samples: for each second the quota, and `COLUMNS` of each replica.

    A replica that is not running, or does not answer, has None instead.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    rate, latency_ms = str(QUOTA), str(scenario.latency_ms)
    simulate = ["bridge", "simulate", "--port", str(port), "--rate", rate, "--latency-ms", latency_ms]
    with (
        ChildProcess(simulate, lab.folder / f"simulator-{port}.log") as simulator,
        httpx.Client(timeout=5) as http,
        replicas() as children,
    ):
        configs, ports = _configs(lab, topic, f"{url}/collection/{DEFAULT_INLET}", scenario)

        def start(number: int) -> ChildProcess:
            return lab.start_bridge(configs[number], f"quota-{ports[number]}.log")

        def request_stop(number: int) -> None:
            # Python has no handler for SIGTERM while it starts, and a busy machine takes seconds for that.
            _wait_until(lambda: _sample(http, ports[number]) is not None, children[number])
            children[number].request_stop()

        _wait_until(
            lambda: http.put(f"{url}/__admin/config", json={"fast": True}).status_code == 200, simulator
        )
        children += [start(number) for number in range(scenario.replicas)]
        samples: list[dict[str, Any]] = []
        started, current_quota = time.monotonic(), QUOTA
        for second in range(scenario.seconds):
            time.sleep(max(0.0, started + second - time.monotonic()))
            for child in (simulator, *children):
                child.raise_if_ended()
            if second == scenario.raise_at:
                current_quota = RAISED_QUOTA
                http.put(f"{url}/__admin/config", json={"messages_per_s": current_quota})
            if second == scenario.leaves_at:
                request_stop(scenario.replicas - 1)
            if second == scenario.returns_at:
                children.append(start(scenario.replicas))
            at = round(time.monotonic() - started, 2)
            sample = [_sample(http, each) for each in ports]
            samples.append({"s": at, "quota": current_quota, "replicas": sample})
        for number, child in enumerate(children):
            if not child.stop_requested:
                request_stop(number)
    return {
        "latency_ms": scenario.latency_ms,
        "limit": scenario.limit,
        "raised_at": scenario.raise_at,
        "configured": scenario.configured,
        "samples": samples,
    }


def _configs(lab: Lab, topic: str, inlet: str, scenario: Scenario) -> tuple[list[Path], list[int]]:
    """Write a configuration file for each replica that will run; return their paths and admin ports."""
    aep = {"max_messages_per_s": scenario.configured} if scenario.configured else {}
    shared = yaml.safe_load(lab.write_config(topic, inlet, "quota", aep=aep).read_text())
    ports = [free_port() for _ in range(scenario.replicas + (scenario.returns_at is not None))]
    paths = [lab.folder / f"quota-{port}.yaml" for port in ports]
    for port, path in zip(ports, paths, strict=True):
        path.write_text(yaml.safe_dump({**shared, "admin": {"host": "127.0.0.1", "port": port}}))
    return paths, ports


def _wait_until(condition: Callable[[], bool], child: ChildProcess) -> None:
    """Wait until a process answers as it should. Raise RuntimeError where it does not within 30 seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{child.command} does not answer:\n{child.log_tail()}")


def _sample(http: httpx.Client, port: int) -> list[float | None] | None:
    """Return `COLUMNS` of one replica, read from its metrics."""
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
