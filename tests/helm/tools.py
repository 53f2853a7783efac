"""The chart, and the programs that check it, as tests call them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "aep-bridge"
MINIMAL_VALUES = CHART / "ci" / "00-minimal-values.yaml"
VALUE_SETS = sorted((CHART / "ci").glob("*-values.yaml"))
NEWEST_KUBERNETES = "1.36.0"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
KIT = Path(os.environ.get("KIT") or _CACHE / "aep-bridge-kubernetes")
"""Where `make kubernetes-tools` puts the programs and the schemas."""
SEARCH_PATH = f"{KIT / 'bin'}{os.pathsep}{os.environ['PATH']}"


def find_program(name: str) -> str:
    """Return the path of a program. Without it the test is skipped; with `HELM_TESTS=required` it fails."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        _skip_or_fail(f"no {name}: make kubernetes-tools")
    return str(path)


def _skip_or_fail(reason: str) -> None:
    if os.environ.get("HELM_TESTS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def run_program(name: str, *args: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program. The caller looks at its exit code."""
    return subprocess.run(
        [find_program(name), *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": SEARCH_PATH},
    )


def run_template(*args: str | Path, values: Path | None = MINIMAL_VALUES) -> subprocess.CompletedProcess[str]:
    """Run `helm template`. The caller looks at its exit code."""
    return run_program("helm", "template", "r", CHART, *(("-f", values) if values else ()), *args)


def render(*args: str | Path, values: Path | None = MINIMAL_VALUES) -> str:
    """Return what `helm template` prints. Fails with its message."""
    done = run_template(*args, values=values)

    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(*args: str | Path, values: Path | None = MINIMAL_VALUES) -> list[dict[str, Any]]:
    """Return the objects that `helm template` renders."""
    return parse_manifests(render(*args, values=values))


def parse_manifests(text: str) -> list[dict[str, Any]]:
    """Return the objects in a text of several YAML documents."""
    return [entry for entry in yaml.safe_load_all(text) if entry]


def one_of_kind(objects: list[dict[str, Any]], *kinds: str) -> dict[str, Any]:
    """Return the first object of one of these kinds."""
    return next(entry for entry in objects if entry["kind"] in kinds)


def rendered_configuration(objects: list[dict[str, Any]]) -> str:
    """Return the bridge's configuration file out of the chart's ConfigMap."""
    files = [entry.get("data", {}) for entry in objects if entry["kind"] == "ConfigMap"]
    return next(str(data["config.yaml"]) for data in files if "config.yaml" in data)


def schema_errors(version: str, text: str) -> list[str]:
    """Return what the real schemas of Kubernetes and of the CRDs refuse of some manifests.

    Unknown fields and keys that are given twice are refused too.
    """
    schemas = KIT / "schemas"
    if not schemas.is_dir():
        _skip_or_fail("no schemas: make kubernetes-tools")
    crds = f"{schemas}/crd/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
    locations = ("-schema-location", schemas / "k8s", "-schema-location", crds)
    options = ("-strict", "-verbose", "-output", "json", "-kubernetes-version", version, *locations)
    done = run_program("kubeconform", *options, "-", stdin=text)
    resources = json.loads(done.stdout)["resources"]

    assert len(resources) == sum(entry is not None for entry in yaml.safe_load_all(text))
    refused = [entry for entry in resources if entry["status"] != "statusValid"]
    return [f"{entry['kind']} {entry['name']}: {entry['msg']}" for entry in refused]


def alert_rules(*args: str) -> list[dict[str, Any]]:
    """Return the alert rules of the chart, as a release has them."""
    objects = manifests(*args, values=CHART / "ci" / "08-pod-monitor-values.yaml")
    return list(one_of_kind(objects, "PrometheusRule")["spec"]["groups"][0]["rules"])
