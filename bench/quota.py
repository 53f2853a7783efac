"""The learned rate against the simulator's token bucket: settling, a quota that is raised, three replicas that share one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench.machine import Lab
from bench.process import Child
from bridge.simulator.config import DEFAULT_INLET
from tests.support.bridge import free_port

QUOTA, RAISED = 10_000, 15_000


def quota(lab: Lab, topic: str, *, latency_ms: float, replicas: int, seconds: int, raise_after: int | None) -> dict[str, Any]:
    """A sample each second: accepted and refused so far (of the simulator), and each replica's limits."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ["bridge", "simulate", "--port", str(port), "--rate", str(QUOTA), "--latency-ms", str(latency_ms)]
    children: list[Child] = []
    samples: list[dict[str, Any]] = []
    with Child(arguments, lab.folder / "simulator.log") as simulator, httpx.Client(timeout=5) as http:
        try:
            _until(lambda: http.put(f"{url}/__admin/config", json={"fast": True}).status_code == 200, simulator)
            first = yaml.safe_load(lab.config(topic, f"{url}/collection/{DEFAULT_INLET}", "quota").read_text())
            ports = []
            for number in range(replicas):
                ports.append(free_port())
                path = Path(lab.folder / f"quota-{port}-{number}.yaml")
                path.write_text(yaml.safe_dump({**first, "admin": {"host": "127.0.0.1", "port": ports[-1]}}))
                children.append(Child(["bridge", "run", "--config", str(path)], lab.folder / "bridge.log"))
            began = time.monotonic()
            for second in range(seconds):
                time.sleep(max(0.0, began + second - time.monotonic()))
                if second == raise_after:
                    http.put(f"{url}/__admin/config", json={"messages_per_s": RAISED})
                samples.append(
                    {"s": time.monotonic() - began, "quota": RAISED if raise_after is not None and second >= raise_after else QUOTA} | _sample(http, ports)
                )
        finally:
            for child in children:
                child.stop()
    return {"latency_ms": latency_ms, "replicas": replicas, "samples": samples}


def _until(done: Any, child: Child) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if done():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the simulator does not answer:\n{child.tail()}")


def _sample(http: httpx.Client, ports: list[int]) -> dict[str, Any]:
    """Of each replica: accepted messages, requests, those refused with 429, and the limits."""
    found: dict[str, list[float]] = {"accepted": [], "requests": [], "refused": [], "rate": [], "in_flight": []}
    for port in ports:
        values = dict.fromkeys(found, 0.0)
        try:
            for line in http.get(f"http://127.0.0.1:{port}/metrics").text.splitlines():
                name, _, value = line.rpartition(" ")
                if name.startswith("aep_bridge_records_accepted_total"):
                    values["accepted"] += float(value)
                elif name.startswith("aep_bridge_requests_total"):
                    values["requests"] += float(value)
                    values["refused"] += float(value) if 'status="429"' in name else 0
                elif name.startswith("aep_bridge_rate_limit"):
                    values["rate"] = 0.0 if value == "+Inf" else float(value)
                elif name.startswith("aep_bridge_in_flight_limit"):
                    values["in_flight"] = float(value)
        except httpx.HTTPError:
            pass
        for key, value in values.items():
            found[key].append(value)
    return dict(found)


def summary(run: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """Share of the quota used, share of requests refused and each replica's share, between two seconds."""
    a, b = run["samples"][start], run["samples"][min(end, len(run["samples"]) - 1)]
    accepted = [y - x for x, y in zip(a["accepted"], b["accepted"], strict=True)]
    requests = sum(b["requests"]) - sum(a["requests"])
    return {
        "used": sum(accepted) / (b["s"] - a["s"]) / b["quota"],
        "refused": (sum(b["refused"]) - sum(a["refused"])) / max(1, requests),
        "shares": [len(accepted) * each / max(1, sum(accepted)) for each in accepted],
    }
