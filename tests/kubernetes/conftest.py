"""The cluster tests run inside the lab only: `make kubernetes`, or `kit.sh lab.sh exec`, AEP_BRIDGE_LAB=1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import lab
from tests.kubernetes.local_aep import local_aep

REQUIRED_VARIABLES = {"test_cluster.py": "AEP_BRIDGE_LAB", "test_image.py": "AEP_BRIDGE_IMAGE"}
collect_ignore = [name for name, variable in REQUIRED_VARIABLES.items() if not os.environ.get(variable)]

NAMESPACE_MANIFEST = f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {lab.NAMESPACE}
  labels: {{pod-security.kubernetes.io/enforce: restricted}}
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder for values, beside a namespace with the Secret, a topic and a local AEP.

    The namespace is removed at the end, and at the start if an interrupted run left one.
    """
    folder = tmp_path_factory.mktemp("values")
    delete_namespace = ("kubectl", "delete", "namespace", lab.NAMESPACE)
    lab.run(*delete_namespace, "--ignore-not-found", "--timeout=90s")
    lab.run("kubectl", "apply", "-f", "-", stdin=NAMESPACE_MANIFEST)
    lab.kubectl("create", "secret", "generic", "aep", "--from-literal=client-secret=secret")
    lab.kafka.create_topic(lab.TOPIC, lab.PARTITIONS)
    try:
        with local_aep():
            yield folder
    finally:
        lab.run(*delete_namespace, "--wait=true", "--timeout=90s")
