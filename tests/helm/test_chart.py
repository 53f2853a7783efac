"""The chart without a cluster: lint, schemas, refusals, documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge import __version__
from bridge.config.memory_ceiling import ceiling
from bridge.config.settings import Settings
from tests.helm.tools import CHART, ROOT, VALUE_SETS, call, invalid, manifests, render, template

HARDENING = {
    *(
        f"{context}.{name}"
        for context in ("podSecurityContext", "securityContext")
        for name in ("runAsNonRoot", "seccompProfile.type")
    ),
    *(
        f"securityContext.{name}"
        for name in ("allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities.drop")
    ),
}
"""Handed on to Kubernetes as it is, and weaker in no value set."""
VERSIONS = ("1.27.0", "1.30.0", "1.33.0", "1.36.0")


def leaves(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted name; an empty mapping is one."""
    for name, entry in value.items():
        if isinstance(entry, dict) and entry:
            yield from leaves(entry, f"{before}{name}.")
        else:
            yield f"{before}{name}", entry


def changed(values: dict[str, Any], place: str) -> Any:
    """What a value set has at a place, or the first thing below it."""
    return values.get(
        place, next((value for name, value in values.items() if name.startswith(f"{place}.")), None)
    )


def test_every_value_is_another_one_in_some_set() -> None:
    """What the tests below say of the value sets, they say of every option of the chart; the configuration's own keys are the bridge's to test."""
    defaults = {
        place: value
        for place, value in leaves(yaml.safe_load((CHART / "values.yaml").read_text()))
        if not place.startswith("config")
    }
    given = [{**dict(leaves(yaml.safe_load(values.read_text())))} for values in VALUE_SETS]
    untouched = {
        place
        for place, value in defaults.items()
        if all(changed(values, place) in (None, value) for values in given)
    }

    assert untouched == HARDENING


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda path: path.stem)
def test_lint(values: Path) -> None:
    """`helm lint --strict` has nothing to say."""
    done = call("helm", "lint", "--strict", CHART, "-f", values)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_lint_of_the_defaults() -> None:
    """The bare chart lints too, although it can't be installed without a configuration."""
    assert call("helm", "lint", "--strict", CHART).returncode == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(version: str) -> None:
    """Every object of every value set passes the real schemas of Kubernetes and of the CRDs; unknown fields are refused."""
    text = "\n---\n".join(render("--kube-version", version, values=values) for values in VALUE_SETS)

    assert invalid(version, text) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["config.topics[0].topik=web"], r"at '/config/topics/0': additional properties 'topik' not allowed"),
        (["config.topics[0].format=xml"], r"at '/config/topics/0/format': value must be one of"),
        (
            ["config.batch.max_messages=many"],
            r"at '/config/batch/max_messages': got string, want (integer|.*integer)",
        ),
        (
            ["config.kafka.bootstrap_server=x"],
            r"at '/config/kafka': additional properties 'bootstrap_server' not allowed",
        ),
        (["config.aep.inlet_url=42"], r"at '/config/aep/inlet_url': (got number, want string|anyOf failed)"),
        (["config.topics=null"], r"at '/config/topics': got null, want array"),
        (["replica=3"], r"at '': additional properties 'replica' not allowed"),
        (["replicas=three"], r"at '/replicas': got string, want integer"),
        (["replicas=-1"], r"at '/replicas': minimum: got -1, want 0"),
        (
            ["image.pullPolicy=Sometimes"],
            r"at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        (["image.digest=latest"], r"at '/image/digest': 'latest' does not match pattern"),
        (["keda.minReplicas=0"], r"at '/keda/minReplicas': minimum: got 0, want 1"),
        (["keda.enable=true"], r"at '/keda': additional properties 'enable' not allowed"),
        (["partitions.web-events=0"], r"at '/partitions/web-events': minimum: got 0, want 1"),
        (["kafka.secretKeys.user=x"], r"at '/kafka/secretKeys': additional properties 'user' not allowed"),
        (
            ["monitoring.podMonitor.interval=often"],
            r"at '/monitoring/podMonitor/interval': 'often' does not match pattern",
        ),
        (["probes.liveness.path=/"], r"at '/probes/liveness': additional properties 'path' not allowed"),
        (["extraEnv[0].name=A,extraEnv[0].value=1"], r"at '/extraEnv/0/value': got number, want string"),
        (
            ["aep.secretKeys.topics.web-events=a b"],
            r"at '/aep/secretKeys/topics/web-events': 'a b' does not match pattern",
        ),
        (["keda.fallback.behavior=some"], r"at '/keda/fallback/behavior': value must be one of"),
        (
            ["networkPolicy.kafkaPorts[0]=70000"],
            r"at '/networkPolicy/kafkaPorts/0': maximum: got 70,000, want 65,535",
        ),
    ],
)
def test_wrong_values_are_refused(changes: list[str], message: str) -> None:
    """The schema says which value is wrong, and why, before anything is installed."""
    done = template(*(part for change in changes for part in ("--set", change)))

    assert done.returncode != 0
    assert re.search(message, done.stderr), done.stderr


def test_an_empty_configuration_is_explained() -> None:
    """Without a configuration the message shows one."""
    done = template(values=None)

    assert done.returncode != 0
    assert "bootstrap_servers: kafka:9092" in done.stderr


def test_generated_files_are_current() -> None:
    """The values' schema holds today's settings, and the dashboard is what its source says."""
    done = subprocess.run(
        [sys.executable, ROOT / "helm" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_readme_is_current() -> None:
    """README.md is what helm-docs makes of values.yaml."""
    done = call("helm-docs", "--chart-search-root", CHART, "--dry-run", "--sort-values-order", "file")

    assert done.returncode == 0, done.stderr
    assert (CHART / "README.md").read_text().strip() == done.stdout.strip()


def test_template_units() -> None:
    """The unit tests of the templates pass."""
    done = call("untt", CHART)

    assert done.returncode == 0, done.stdout


def test_version_is_the_bridges() -> None:
    """The chart runs the image of the version that it was written with."""
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


def test_a_change_of_the_configuration_rolls_the_pods() -> None:
    """The checksum follows the configuration, and nothing else."""

    def checksum(*args: str) -> str:
        workload = next(entry for entry in manifests(*args) if entry["kind"] == "Deployment")
        return str(workload["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert checksum() != checksum("--set", "config.batch.linger_ms=250")
    assert checksum() == checksum("--set", "keda.enabled=true,partitions.web-events=3")


def test_the_rendered_configuration_is_the_bridges(tmp_path: Path) -> None:
    """What lands in the ConfigMap is a configuration that the bridge takes."""
    from bridge.config.loader import load

    for values in VALUE_SETS:
        config = next(
            entry
            for entry in manifests(values=values)
            if entry["kind"] == "ConfigMap" and "config.yaml" in entry.get("data", {})
        )
        text = config["data"]["config.yaml"]
        for mounted in re.findall(r"/etc/aep-bridge(/\S+)", text):
            file = Path(f"{tmp_path}{mounted}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("something")
        path = tmp_path / f"{values.stem}.yaml"
        path.write_text(text.replace("/etc/aep-bridge", str(tmp_path)))

        assert load(path, {}, limit=lambda: None).kafka.bootstrap_servers


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda path: path.stem)
def test_memory_limit_matches_the_ceiling(values: Path) -> None:
    """The memory limit stands above what the bridge prints as its ceiling, and not far above."""
    given = yaml.safe_load(values.read_text())
    if "resources" in given:
        return
    config = next(
        entry
        for entry in manifests(values=values)
        if entry["kind"] == "ConfigMap" and "config.yaml" in entry.get("data", {})
    )
    settings = Settings.model_validate(yaml.safe_load(config["data"]["config.yaml"]))
    workload = next(
        entry for entry in manifests(values=values) if entry["kind"] in {"Deployment", "StatefulSet"}
    )
    limit = (
        int(
            workload["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"][
                "memory"
            ].removesuffix("Mi")
        )
        * 2**20
    )

    assert ceiling(settings)[0] * 1.1 < limit < ceiling(settings)[0] * 1.3 + 2**26
