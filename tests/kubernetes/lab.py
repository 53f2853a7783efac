"""What the cluster tests do inside the lab: kubectl, helm, the local AEP, a Prometheus, and events with ids that can be counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from bridge.simulator.config import DEFAULT_INLET, DEFAULT_ORG
from tests.support.clients import Clients, unique

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "aep-bridge"
HOST = "10.244.0.1"
"""The node's address, as pods see it."""
PODS_KAFKA = f"{HOST}:19094"
SIM = f"http://{HOST}:9299"
RELEASE, NAMESPACE = "bridge", "bridge"
WORKLOAD = "bridge-aep-bridge"
TOPIC, PARTITIONS, GROUP = unique("web-events"), 4, unique("group")
T = TypeVar("T")

kafka = Clients({"bootstrap.servers": "127.0.0.1:19092"})


def run(*command: str | Path, stdin: str | None = None, timeout: float = 180) -> str:
    """A program's output; fails with what it said."""
    done = subprocess.run(
        [*map(str, command)], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )

    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"
    return done.stdout


def kubectl(*args: str, stdin: str | None = None) -> str:
    """kubectl in the release's namespace."""
    return run("kubectl", "-n", NAMESPACE, *args, stdin=stdin)


def helm(*args: str | Path) -> str:
    """helm in the release's namespace."""
    return run("helm", "-n", NAMESPACE, *args)


def objects(*args: str) -> list[dict[str, Any]]:
    """The items of `kubectl get`."""
    return list(json.loads(kubectl("get", *args, "-o", "json"))["items"])


def pods() -> list[dict[str, Any]]:
    """The bridge's pods that are not on their way out."""
    found = objects("pods", "-l", "app.kubernetes.io/component=bridge")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def ready(pod: dict[str, Any]) -> bool:
    """Whether the pod is ready."""
    return any(
        entry["type"] == "Ready" and entry["status"] == "True"
        for entry in pod["status"].get("conditions", [])
    )


def restarts() -> int:
    """Restarts of all containers together."""
    return sum(
        entry["restartCount"] for pod in pods() for entry in pod["status"].get("containerStatuses", [])
    )


def until(get: Callable[[], T], timeout_s: float, what: str) -> T:
    """The first true result; fails after the time-out, with the pods' last words."""
    deadline = time.monotonic() + timeout_s
    while not (result := get()):
        if time.monotonic() > deadline:
            said = subprocess.run(
                [
                    "kubectl",
                    "-n",
                    NAMESPACE,
                    "logs",
                    "-l",
                    "app.kubernetes.io/component=bridge",
                    "--tail=15",
                    "--prefix",
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            raise AssertionError(f"not within {timeout_s} s: {what}\n{said.stdout}{said.stderr}")
        time.sleep(0.3)
    return result


def fetch(url: str, method: str = "GET", body: object = None) -> str:
    """The answer's text; an HTTP error raises."""
    request = urllib.request.Request(
        url, method=method, data=None if body is None else json.dumps(body).encode()
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


# -- the local AEP -------------------------------------------------------------------


@contextmanager
def simulator() -> Iterator[None]:
    """A local AEP on the node's address, which asks for tokens."""
    command = [sys.executable, "-m", "bridge", "simulate", "--host", HOST, "--port", "9299", "--require-auth"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        until(lambda: _answers(f"{SIM}/__admin/health"), 30, "the local AEP")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        fetch(url)
    except (urllib.error.URLError, OSError):
        return False
    return True


def accepted() -> dict[str, int]:
    """Every event that AEP accepted, and how often."""
    return {
        entry["id"]: entry["n"] for entry in map(json.loads, fetch(f"{SIM}/__admin/accepted").splitlines())
    }


def fault(**rule: object) -> None:
    """Adds a fault."""
    fetch(f"{SIM}/__admin/faults", "POST", rule)


def heal() -> None:
    """Takes all faults away."""
    fetch(f"{SIM}/__admin/faults", "DELETE")


# -- events -----------------------------------------------------------------------------


def event(name: str, padding: int = 0) -> bytes:
    """A good one."""
    ref = {
        "id": "https://ns.adobe.com/sample/schemas/web",
        "contentType": "application/vnd.adobe.xed-full+json;version=1",
    }
    header = {"schemaRef": ref, "imsOrgId": DEFAULT_ORG, "datasetId": "5f0000000000000000000001"}
    return json.dumps(
        {
            "header": header,
            "body": {"xdmMeta": {"schemaRef": ref}, "xdmEntity": {"_id": name, "padding": "x" * padding}},
        }
    ).encode()


def produce(names: Iterable[str]) -> list[str]:
    """One event for each name, spread over the partitions. Returns the names."""
    listed = list(names)
    for partition in range(PARTITIONS):
        kafka.produce(TOPIC, (event(name) for name in listed[partition::PARTITIONS]), partition=partition)
    return listed


class Stream:
    """Produces in the background until it is stopped; `names` is what went out."""

    def __init__(self, prefix: str, per_second: int) -> None:
        self.names: list[str] = []
        self._prefix, self._per_second = prefix, per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            at = len(self.names)
            self.names += produce(f"{self._prefix}-{at + number}" for number in range(self._per_second // 2))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)


def delivered(names: Iterable[str], timeout_s: float = 60) -> dict[str, int]:
    """Waits until AEP has every one of them; returns how often it has each."""
    wanted = set(names)

    def all_there() -> dict[str, int] | None:
        seen = accepted()
        return {name: seen[name] for name in wanted} if wanted <= seen.keys() else None

    return until(
        all_there,
        timeout_s,
        f"{len(wanted)} events in AEP, of which {len(wanted - accepted().keys())} were missing at first",
    )


def settled(timeout_s: float = 60) -> None:
    """Waits until nothing of the topic is uncommitted."""
    until(lambda: kafka.lag(GROUP, TOPIC, PARTITIONS) == 0, timeout_s, "lag 0")


# -- metrics -------------------------------------------------------------------------------


def metric(pod: dict[str, Any], name: str) -> float:
    """The sum of a metric's series in one pod."""
    text = fetch(f"http://{pod['status']['podIP']}:8080/metrics")
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith((f"{name} ", f"{name}{{"))
    )


@contextmanager
def prometheus(folder: Path, rules: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Iterator[str]:
    """A real Prometheus that scrapes the pods each second, labelled as a PodMonitor would, with the chart's rules. Gives its address."""
    jobs = [
        {
            "targets": [f"{pod['status']['podIP']}:8080"],
            "labels": {"namespace": NAMESPACE, "pod": pod["metadata"]["name"]},
        }
        for pod in targets
    ]
    (folder / "rules.json").write_text(json.dumps({"groups": [{"name": "aep-bridge", "rules": rules}]}))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.json")],
        "scrape_configs": [{"job_name": "bridge", "static_configs": jobs}],
    }
    (folder / "prometheus.json").write_text(json.dumps(config))
    address = "127.0.0.1:19390"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"))
    try:
        until(lambda: _answers(f"http://{address}/-/ready"), 30, f"Prometheus ({folder / 'log'})")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(10)


# -- the release -----------------------------------------------------------------------------


def values(path: Path, **more: object) -> Path:
    """Writes the values of a bridge in this lab."""
    base: dict[str, Any] = {
        "config": {
            "kafka": {"bootstrap_servers": PODS_KAFKA, "group_id": GROUP},
            "aep": {
                "inlet_url": f"{SIM}/collection/{DEFAULT_INLET}",
                "ims_org_id": DEFAULT_ORG,
                "auth": {"token_url": f"{SIM}/ims/token/v3", "client_id": "bridge", "scope": "openid"},
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
    path.write_text(json.dumps(base | more))
    return path


def rolled_out() -> None:
    """Waits until the Deployment is what it should be."""
    kubectl("rollout", "status", f"deployment/{WORKLOAD}", "--timeout=120s")
