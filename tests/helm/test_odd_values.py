"""Values that nobody intends and somebody sets: nulls, numbers as names, long names, labels set twice."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.tools import (
    CHART,
    MINIMAL_VALUES,
    NEWEST_KUBERNETES,
    manifests,
    one_of_kind,
    parse_manifests,
    run_program,
    run_template,
    schema_errors,
)

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
EVERYTHING: dict[str, Any] = {
    "partitions": {"web-events": 12},
    "monitoring": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "kafka": {"existingSecret": "kafka", "secretKeys": {"ca": "true", "password": "123"}},
}
SCALED = {"keda": {"enabled": True}}
STATIC = {"staticMembership": {"enabled": True}}
WORKLOADS = pytest.mark.parametrize("more", [{}, SCALED, STATIC], ids=["deployment", "keda", "stateful"])


def merge(below: Any, above: Any) -> Any:
    """Merge values over values, as Helm does."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {name: merge(below.get(name), value) for name, value in above.items()}


def nulls_for_optional(defaults: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return null for everything that the schema does not require."""
    nulls: dict[str, Any] = {}
    for name, value in defaults.items():
        kind = schema.get("properties", {}).get(name, {})
        if isinstance(value, dict) and value and "properties" in kind:
            nulls[name] = nulls_for_optional(value, kind)
        elif name not in schema.get("required", ()):
            nulls[name] = None
    return nulls


def nulls_for_required(defaults: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return null for everything that the schema requires."""
    nulls: dict[str, Any] = {}
    for name, value in defaults.items():
        kind = schema.get("properties", {}).get(name, {})
        inner = nulls_for_required(value, kind) if isinstance(value, dict) else {}
        if inner:
            nulls[name] = inner
        elif name in schema.get("required", ()):
            nulls[name] = None
    return nulls


def count_leaves(values: Any) -> int:
    return sum(map(count_leaves, values.values())) if isinstance(values, dict) else 1


def render_over_minimal(folder: Path, *values: dict[str, Any], release: str = "r") -> str:
    """Return what Helm renders of these values over the minimal ones. Fails with its message."""
    merged = yaml.safe_load(MINIMAL_VALUES.read_text())
    for above in values:
        merged = merge(merged, above)
    path = folder / "values.yaml"
    path.write_text(json.dumps(merged))
    done = run_program("helm", "template", release, CHART, "-f", path)

    assert done.returncode == 0, done.stderr
    return done.stdout


@WORKLOADS
def test_every_optional_value_may_be_null(more: dict[str, Any], tmp_path: Path) -> None:
    """All values that the schema does not require are null at once, and the manifests are valid."""
    nulls = nulls_for_optional(DEFAULTS, SCHEMA)
    nulls["podDisruptionBudget"] = {"minAvailable": 1, "maxUnavailable": None}
    del nulls["config"]
    text = render_over_minimal(tmp_path, merge(nulls, EVERYTHING), more)

    assert count_leaves(nulls) > 40
    assert schema_errors(NEWEST_KUBERNETES, text) == []


def test_the_schema_names_every_required_value_that_is_null(tmp_path: Path) -> None:
    """No template has to fail over a missing value."""
    nulls = nulls_for_required(DEFAULTS, SCHEMA)
    path = tmp_path / "values.yaml"
    path.write_text(json.dumps(nulls))
    done = run_template("-f", path)
    lists = re.findall(r"missing propert(?:y|ies) (.*)", done.stderr)
    named = [name for names in lists for name in re.findall(r"'(\w+)'", names)]

    assert done.returncode != 0
    assert len(named) == count_leaves(nulls)
    assert len(named) > 40


@WORKLOADS
def test_a_release_may_be_called_by_a_number(more: dict[str, Any], tmp_path: Path) -> None:
    """Names, labels and the keys of Secrets stay text, whatever they look like."""
    names = {"serviceAccount": {"name": "123"}, "priorityClassName": "1e3", "imagePullSecrets": ["0x1"]}
    overrides = {"fullnameOverride": "1234", "nameOverride": "12"}
    text = render_over_minimal(tmp_path, EVERYTHING, names, overrides, more, release="1234")

    assert schema_errors(NEWEST_KUBERNETES, text) == []


@pytest.mark.parametrize("more", [SCALED, STATIC], ids=["keda", "stateful"])
def test_names_leave_room_for_what_is_appended_to_them(more: dict[str, Any], tmp_path: Path) -> None:
    """A StatefulSet appends 11 characters to its name in a label, so 52 are left.

    Alerts find pods by the whole name and a dash.
    """
    text = render_over_minimal(tmp_path, EVERYTHING, more, release="a" * 38 + "-bridge-of-data")
    objects = parse_manifests(text)
    name = one_of_kind(objects, "Deployment", "StatefulSet")["metadata"]["name"]
    alerts = json.dumps(one_of_kind(objects, "PrometheusRule")).replace("\\", "")

    assert len(name) <= 52
    assert name[-1].isalnum()
    assert f'pod=~"{name}-' in alerts
    assert schema_errors(NEWEST_KUBERNETES, text) == []


def test_the_name_of_a_service_account_is_not_cut() -> None:
    """The account is created under the name that the pods ask for."""
    name = "a" * 60
    objects = manifests("--set", f"serviceAccount.name={name}")
    pod = one_of_kind(objects, "Deployment")["spec"]["template"]["spec"]
    accounts = [entry["metadata"]["name"] for entry in objects if entry["kind"] == "ServiceAccount"]

    assert accounts == [name]
    assert pod["serviceAccountName"] == name


def test_the_nearer_of_two_labels_or_annotations_wins(tmp_path: Path) -> None:
    """The object's own wins over the common one, and the chart's checksum over both. None comes twice."""
    near = {"release": "near", "app.kubernetes.io/version": "near"}
    labels = {"commonLabels": {"release": "far", "app.kubernetes.io/managed-by": "far"}, "podLabels": near}
    annotations = {
        "commonAnnotations": {"checksum/config": "far", "example.com/a": "far"},
        "podAnnotations": {"checksum/config": "near", "example.com/a": "near"},
    }
    own_labels = {"enabled": True, "labels": near}
    monitoring = {"monitoring": {"podMonitor": own_labels, "dashboard": own_labels}}
    text = render_over_minimal(tmp_path, labels, annotations, monitoring)
    objects = parse_manifests(text)
    monitor = one_of_kind(objects, "PodMonitor")["metadata"]
    pod = one_of_kind(objects, "Deployment")["spec"]["template"]["metadata"]

    assert schema_errors(NEWEST_KUBERNETES, text) == []
    assert {name: monitor["labels"][name] for name in near} == near
    assert {name: pod["labels"][name] for name in near} == near
    assert pod["annotations"]["example.com/a"] == "near"
    assert re.fullmatch("[0-9a-f]{64}", pod["annotations"]["checksum/config"])
