"""The chart without a cluster: lint, schemas, refusals, and what is generated of it."""

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
from bridge.config.loader import load
from bridge.config.memory_ceiling import ceiling
from bridge.config.settings import Settings
from tests.helm.tools import (
    CHART,
    ROOT,
    VALUE_SETS,
    manifests,
    one_of_kind,
    render,
    rendered_configuration,
    run_program,
    run_template,
    schema_errors,
)

POD_HARDENING = ("runAsNonRoot", "seccompProfile.type")
CONTAINER_HARDENING = ("allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities.drop")
HARDENING = {
    *(f"podSecurityContext.{name}" for name in POD_HARDENING),
    *(f"securityContext.{name}" for name in (*POD_HARDENING, *CONTAINER_HARDENING)),
}
"""Passed on to Kubernetes as it is, and weakened in no value set."""
KUBERNETES_VERSIONS = ("1.27.0", "1.30.0", "1.33.0", "1.36.0")
EACH_VALUE_SET = pytest.mark.parametrize("values", VALUE_SETS, ids=lambda path: path.stem)


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted name. An empty mapping counts as a value."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def value_at(values: dict[str, Any], name: str) -> Any:
    """Return what a value set has at a dotted name, or else the first value below it."""
    below = (value for inner, value in values.items() if inner.startswith(f"{name}."))
    return values.get(name, next(below, None))


def test_every_value_differs_from_its_default_in_some_value_set() -> None:
    """So the other tests, which use the value sets, cover every option of the chart.

    The keys of the bridge's own configuration are tested with the bridge.
    """
    defaults = dict(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
    options = {name: value for name, value in defaults.items() if not name.startswith("config")}
    value_sets = [dict(leaves(yaml.safe_load(path.read_text()))) for path in VALUE_SETS]
    untouched = {
        name
        for name, default in options.items()
        if all(value_at(values, name) in (None, default) for values in value_sets)
    }

    assert untouched == HARDENING


@EACH_VALUE_SET
def test_lint_finds_nothing(values: Path) -> None:
    """`helm lint --strict` passes without a warning."""
    done = run_program("helm", "lint", "--strict", CHART, "-f", values)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_lint_finds_nothing_in_the_defaults() -> None:
    """The bare chart passes too, although it can't be installed without a configuration."""
    assert run_program("helm", "lint", "--strict", CHART).returncode == 0


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_manifest_is_valid(version: str) -> None:
    """Every object of every value set passes the real schemas, which refuse unknown fields."""
    text = "\n---\n".join(render("--kube-version", version, values=values) for values in VALUE_SETS)

    assert schema_errors(version, text) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("config.topics[0].topik=web", r"at '/config/topics/0': additional properties 'topik' not allowed"),
        ("config.topics[0].format=xml", r"at '/config/topics/0/format': value must be one of"),
        (
            "config.batch.max_messages=many",
            r"at '/config/batch/max_messages': got string, want (integer|.*integer)",
        ),
        (
            "config.kafka.bootstrap_server=x",
            r"at '/config/kafka': additional properties 'bootstrap_server' not allowed",
        ),
        ("config.aep.inlet_url=42", r"at '/config/aep/inlet_url': (got number, want string|anyOf failed)"),
        ("config.topics=null", r"at '/config/topics': got null, want array"),
        ("replica=3", r"at '': additional properties 'replica' not allowed"),
        ("replicas=three", r"at '/replicas': got string, want integer"),
        ("replicas=-1", r"at '/replicas': minimum: got -1, want 0"),
        (
            "image.pullPolicy=Sometimes",
            r"at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        ("image.digest=latest", r"at '/image/digest': 'latest' does not match pattern"),
        ("keda.minReplicas=0", r"at '/keda/minReplicas': minimum: got 0, want 1"),
        ("keda.enable=true", r"at '/keda': additional properties 'enable' not allowed"),
        ("partitions.web-events=0", r"at '/partitions/web-events': minimum: got 0, want 1"),
        ("kafka.secretKeys.user=x", r"at '/kafka/secretKeys': additional properties 'user' not allowed"),
        (
            "monitoring.podMonitor.interval=often",
            r"at '/monitoring/podMonitor/interval': 'often' does not match pattern",
        ),
        ("probes.liveness.path=/", r"at '/probes/liveness': additional properties 'path' not allowed"),
        ("extraEnv[0].name=A,extraEnv[0].value=1", r"at '/extraEnv/0/value': got number, want string"),
        (
            "aep.secretKeys.topics.web-events=a b",
            r"at '/aep/secretKeys/topics/web-events': 'a b' does not match pattern",
        ),
        ("keda.fallback.behavior=some", r"at '/keda/fallback/behavior': value must be one of"),
        (
            "networkPolicy.kafkaPorts[0]=70000",
            r"at '/networkPolicy/kafkaPorts/0': maximum: got 70,000, want 65,535",
        ),
    ],
)
def test_wrong_values_are_refused(change: str, message: str) -> None:
    """The schema says which value is wrong, and why, before anything is installed."""
    done = run_template("--set", change)

    assert done.returncode != 0
    assert re.search(message, done.stderr), done.stderr


def test_the_message_about_a_missing_configuration_shows_one() -> None:
    """A user who gives no configuration sees what one looks like."""
    done = run_template(values=None)

    assert done.returncode != 0
    assert "bootstrap_servers: kafka:9092" in done.stderr


def test_generated_files_are_current() -> None:
    """The schema of the values has today's settings, and the dashboard is what its source says."""
    command = [sys.executable, ROOT / "helm" / "generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_readme_is_current() -> None:
    """README.md is what helm-docs makes of values.yaml."""
    done = run_program("helm-docs", "--chart-search-root", CHART, "--dry-run", "--sort-values-order", "file")

    assert done.returncode == 0, done.stderr
    assert (CHART / "README.md").read_text().strip() == done.stdout.strip()


def test_the_unit_tests_of_the_templates_pass() -> None:
    """They are in helm/aep-bridge/tests."""
    done = run_program("untt", CHART)

    assert done.returncode == 0, done.stdout


def test_the_version_of_the_chart_is_the_bridges() -> None:
    """The chart runs the image of the version that it was written with."""
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


def test_a_change_of_the_configuration_rolls_the_pods() -> None:
    """The checksum in the pods' annotations follows the configuration, and nothing else."""

    def checksum(*args: str) -> str:
        pod = one_of_kind(manifests(*args), "Deployment")["spec"]["template"]
        return str(pod["metadata"]["annotations"]["checksum/config"])

    unchanged = checksum()
    assert checksum("--set", "config.batch.linger_ms=250") != unchanged
    assert checksum("--set", "keda.enabled=true,partitions.web-events=3") == unchanged


def test_the_bridge_loads_the_rendered_configuration(tmp_path: Path) -> None:
    """What is in the ConfigMap of each value set is a valid configuration."""
    for values in VALUE_SETS:
        text = rendered_configuration(manifests(values=values))
        for mounted in re.findall(r"/etc/aep-bridge(/\S+)", text):
            file = Path(f"{tmp_path}{mounted}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("something")
        path = tmp_path / f"{values.stem}.yaml"
        path.write_text(text.replace("/etc/aep-bridge", str(tmp_path)))

        assert load(path, {}, limit=lambda: None).kafka.bootstrap_servers


@EACH_VALUE_SET
def test_the_memory_limit_is_somewhat_above_the_ceiling(values: Path) -> None:
    """The limit is at least 10% above the printed ceiling, and at most 30% and 64 MiB above it."""
    if "resources" in yaml.safe_load(values.read_text()):
        return
    objects = manifests(values=values)
    settings = Settings.model_validate(yaml.safe_load(rendered_configuration(objects)))
    pod = one_of_kind(objects, "Deployment", "StatefulSet")["spec"]["template"]["spec"]
    memory = pod["containers"][0]["resources"]["limits"]["memory"]
    limit = int(memory.removesuffix("Mi")) * 2**20
    ceiling_bytes = ceiling(settings)[0]

    assert ceiling_bytes * 1.1 < limit < ceiling_bytes * 1.3 + 2**26
