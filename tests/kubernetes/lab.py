"""The cluster of the lab: kubectl, helm, the pods of the release and its values."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bridge.simulator.config import DEFAULT_INLET, DEFAULT_ORG
from tests.support.clients import Clients, unique

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "aep-bridge"
HOST = "10.244.0.1"
"""The node's address, as pods see it."""
KAFKA_FOR_PODS = f"{HOST}:19094"
AEP_PORT = 9299
AEP_URL = f"http://{HOST}:{AEP_PORT}"
"""The local AEP, which `tests.kubernetes.local_aep` starts."""
RELEASE, NAMESPACE = "bridge", "bridge"
WORKLOAD = "bridge-aep-bridge"
POD_LABEL = "app.kubernetes.io/component=bridge"
TOPIC, PARTITIONS, GROUP = unique("web-events"), 4, unique("group")
T = TypeVar("T")

kafka = Clients({"bootstrap.servers": "127.0.0.1:19092"})


def run(*command: str | Path, stdin: str | None = None, timeout: float = 180) -> str:
    """Return a program's output. Fails with what the program printed."""
    words = [*map(str, command)]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)

    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def kubectl(*args: str, stdin: str | None = None) -> str:
    """Run kubectl in the release's namespace."""
    return run("kubectl", "-n", NAMESPACE, *args, stdin=stdin)


def helm(*args: str | Path) -> str:
    """Run helm in the release's namespace."""
    return run("helm", "-n", NAMESPACE, *args)


def upgrade(values: Path, *, wait_s: int | None = None) -> None:
    """Upgrade the release to these values. With `wait_s`, wait for its objects for so many seconds."""
    wait = () if wait_s is None else ("--wait", "--timeout", f"{wait_s}s")
    helm("upgrade", RELEASE, CHART, "-f", values, *wait)


def objects(*args: str) -> list[dict[str, Any]]:
    """Return the items of `kubectl get`."""
    return list(json.loads(kubectl("get", *args, "-o", "json"))["items"])


def pods() -> list[dict[str, Any]]:
    """Return the bridge's pods that are not being deleted."""
    return [pod for pod in objects("pods", "-l", POD_LABEL) if "deletionTimestamp" not in pod["metadata"]]


def is_ready(entry: dict[str, Any]) -> bool:
    """Say whether a pod, or another object with conditions, is ready."""
    conditions = entry["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def restarts() -> int:
    """Return how often all containers together were restarted."""
    statuses = [status for pod in pods() for status in pod["status"].get("containerStatuses", [])]
    return sum(status["restartCount"] for status in statuses)


def wait_for_rollout(workload: str = f"deployment/{WORKLOAD}") -> None:
    """Wait until the workload is what it should be."""
    kubectl("rollout", "status", workload, "--timeout=120s")


def until(get: Callable[[], T], timeout_s: float, what: str) -> T:
    """Return the first true result. Fails after the time-out, with the last log lines of the pods."""
    deadline = time.monotonic() + timeout_s
    while not (result := get()):
        if time.monotonic() > deadline:
            command = ["kubectl", "-n", NAMESPACE, "logs", "-l", POD_LABEL, "--tail=15", "--prefix"]
            logs = subprocess.run(command, capture_output=True, text=True, check=False)
            raise AssertionError(f"not within {timeout_s} s: {what}\n{logs.stdout}{logs.stderr}")
        time.sleep(0.3)
    return result


def fetch(url: str, method: str = "GET", body: object = None) -> str:
    """Return the text of a response. An HTTP error raises."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data)
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(response.read().decode())


def responds(url: str) -> bool:
    """Say whether a URL can be fetched."""
    try:
        fetch(url)
    except OSError:  # an HTTP error is one too
        return False
    return True


def write_values(path: Path, **more: object) -> Path:
    """Write the values of a bridge in this lab, and return the path. `more` replaces whole sections."""
    auth = {"token_url": f"{AEP_URL}/ims/token/v3", "client_id": "bridge", "scope": "openid"}
    values: dict[str, Any] = {
        "config": {
            "kafka": {"bootstrap_servers": KAFKA_FOR_PODS, "group_id": GROUP},
            "aep": {
                "inlet_url": f"{AEP_URL}/collection/{DEFAULT_INLET}",
                "ims_org_id": DEFAULT_ORG,
                "auth": auth,
            },
            "topics": [{"topic": TOPIC}],
            "batch": {"linger_ms": 100},
            "delivery": {"drain_timeout_s": 15, "request_timeout_s": 10},
        },
        "aep": {"existingSecret": "aep"},
        "partitions": {TOPIC: PARTITIONS},
        "image": {
            "repository": os.environ.get("BRIDGE_IMAGE", "localhost/aep-bridge"),
            "tag": os.environ.get("BRIDGE_TAG", "0.1.0"),
            "pullPolicy": "Never",
        },
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "monitoring": {
            "podMonitor": {"enabled": True},
            "prometheusRule": {"enabled": True},
            "dashboard": {"enabled": True},
        },
    }
    path.write_text(json.dumps(values | more))
    return path
