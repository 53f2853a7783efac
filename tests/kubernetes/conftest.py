"""The cluster tier runs inside the lab only: `make kubernetes`, or `kit.sh lab.sh exec` with AEP_BRIDGE_LAB=1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import lab

collect_ignore = [
    name
    for name, variable in (("test_cluster.py", "AEP_BRIDGE_LAB"), ("test_image.py", "AEP_BRIDGE_IMAGE"))
    if not os.environ.get(variable)
]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A namespace with the Secret, a topic, a local AEP; gives the folder for values. Everything is taken away at the end."""
    folder = tmp_path_factory.mktemp("values")
    namespace = f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {lab.NAMESPACE}\n  labels: {{pod-security.kubernetes.io/enforce: restricted}}\n"
    lab.run(
        "kubectl", "delete", "namespace", lab.NAMESPACE, "--ignore-not-found", "--timeout=90s"
    )  # of a run that was interrupted
    lab.run("kubectl", "apply", "-f", "-", stdin=namespace)
    lab.kubectl("create", "secret", "generic", "aep", "--from-literal=client-secret=secret")
    lab.kafka.create_topic(lab.TOPIC, lab.PARTITIONS)
    try:
        with lab.simulator():
            yield folder
    finally:
        lab.run("kubectl", "delete", "namespace", lab.NAMESPACE, "--wait=true", "--timeout=90s")
