"""The chart, the programs that judge it, and how a test calls them."""

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
MINIMAL = CHART / "ci" / "00-minimal-values.yaml"
VALUE_SETS = sorted((CHART / "ci").glob("*-values.yaml"))
KIT = Path(
    os.environ.get("KIT")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aep-bridge-kubernetes"
)
SEARCH = f"{KIT / 'bin'}{os.pathsep}{os.environ['PATH']}"


def program(name: str) -> str:
    """Where a program is. Without it the test is skipped, except in CI (`HELM_TESTS=required`), where it fails."""
    found = shutil.which(name, path=SEARCH)
    if found is None:
        missing = f"no {name}: make kubernetes-tools"
        if os.environ.get("HELM_TESTS") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def call(name: str, *args: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program; the caller looks at its return code."""
    return subprocess.run(
        [program(name), *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": SEARCH},
    )


def render(*args: str | Path, values: Path | None = MINIMAL) -> str:
    """What `helm template` prints; fails with its message."""
    done = template(*args, values=values)

    assert done.returncode == 0, done.stderr
    return done.stdout


def template(*args: str | Path, values: Path | None = MINIMAL) -> subprocess.CompletedProcess[str]:
    """`helm template`, whatever comes of it."""
    return call("helm", "template", "r", CHART, *(("-f", values) if values else ()), *args)


def manifests(*args: str | Path, values: Path | None = MINIMAL) -> list[dict[str, Any]]:
    """The objects of `helm template`."""
    return [entry for entry in yaml.safe_load_all(render(*args, values=values)) if entry]


def invalid(version: str, text: str) -> list[str]:
    """What the real schemas of Kubernetes and of the CRDs refuse of some manifests; unknown fields and keys given twice are refused too."""
    schemas = KIT / "schemas"
    if not schemas.is_dir():
        program("no-schemas: make kubernetes-tools")
    crds = f"{schemas}/crd/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
    options = (
        "-strict",
        "-output",
        "json",
        "-kubernetes-version",
        version,
        "-schema-location",
        schemas / "k8s",
        "-schema-location",
        crds,
    )
    done = call("kubeconform", *options, "-verbose", "-", stdin=text)
    found = json.loads(done.stdout)["resources"]

    assert len(found) == sum(entry is not None for entry in yaml.safe_load_all(text))
    return [
        f"{entry['kind']} {entry['name']}: {entry['msg']}"
        for entry in found
        if entry["status"] != "statusValid"
    ]


def alerts(*args: str) -> list[dict[str, Any]]:
    """The rules of the chart, as a release has them."""
    rules = [
        entry
        for entry in manifests(*args, values=CHART / "ci" / "08-pod-monitor-values.yaml")
        if entry["kind"] == "PrometheusRule"
    ]
    return list(rules[0]["spec"]["groups"][0]["rules"])
