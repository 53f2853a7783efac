"""Metrics of the pods, read directly and by a real Prometheus."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kubernetes.lab import NAMESPACE, fetch, responds, until

PROMETHEUS_ADDRESS = "127.0.0.1:19390"


def metric(pod: dict[str, Any], name: str) -> float:
    """Return the sum of a metric's series in one pod."""
    lines = fetch(f"http://{pod['status']['podIP']}:8080/metrics").splitlines()
    series = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in series)


@contextmanager
def prometheus(folder: Path, rules: list[dict[str, Any]], pods: list[dict[str, Any]]) -> Iterator[None]:
    """Run a real Prometheus that scrapes the pods each second, with these rules.

    The series are labelled as a PodMonitor would label them.
    """
    targets = [
        {
            "targets": [f"{pod['status']['podIP']}:8080"],
            "labels": {"namespace": NAMESPACE, "pod": pod["metadata"]["name"]},
        }
        for pod in pods
    ]
    rule_file, config_file = folder / "rules.json", folder / "prometheus.json"
    rule_file.write_text(json.dumps({"groups": [{"name": "aep-bridge", "rules": rules}]}))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rule_file)],
        "scrape_configs": [{"job_name": "bridge", "static_configs": targets}],
    }
    config_file.write_text(json.dumps(config))
    command = [
        "prometheus",
        f"--config.file={config_file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={PROMETHEUS_ADDRESS}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"))
    try:
        until(lambda: responds(f"http://{PROMETHEUS_ADDRESS}/-/ready"), 30, f"Prometheus ({folder / 'log'})")
        yield
    finally:
        process.terminate()
        process.wait(10)


def query_prometheus(query: str) -> list[dict[str, Any]]:
    """Return the series that a query has now."""
    parameters = urllib.parse.urlencode({"query": query})
    response = json.loads(fetch(f"http://{PROMETHEUS_ADDRESS}/api/v1/query?{parameters}"))
    return list(response["data"]["result"])
