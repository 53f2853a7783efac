"""Values that nobody means and somebody gives: null in place of a default, numbers for names, names at their longest, labels given twice."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.tools import CHART, MINIMAL, call, invalid, manifests, template

NEWEST = "1.36.0"
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


def laid(below: Any, above: Any) -> Any:
    """Values over values, as Helm lays them."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {name: laid(below.get(name), value) for name, value in above.items()}


def emptied(defaults: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """null in place of everything that the schema does not require."""
    nulls: dict[str, Any] = {}
    for name, value in defaults.items():
        kind = schema.get("properties", {}).get(name, {})
        if isinstance(value, dict) and value and "properties" in kind:
            nulls[name] = emptied(value, kind)
        elif name not in schema.get("required", ()):
            nulls[name] = None
    return nulls


def required(defaults: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """null in place of everything that the schema does require."""
    nulls: dict[str, Any] = {}
    for name, value in defaults.items():
        kind = schema.get("properties", {}).get(name, {})
        below = required(value, kind) if isinstance(value, dict) else {}
        if below:
            nulls[name] = below
        elif name in schema.get("required", ()):
            nulls[name] = None
    return nulls


def count(nulls: Any) -> int:
    """How many there are."""
    return sum(map(count, nulls.values())) if isinstance(nulls, dict) else 1


def rendered(tmp_path: Path, *values: dict[str, Any], release: str = "r") -> str:
    """What Helm makes of some values over the minimal ones; fails with its message."""
    merged = yaml.safe_load(MINIMAL.read_text())
    for above in values:
        merged = laid(merged, above)
    path = tmp_path / "values.yaml"
    path.write_text(json.dumps(merged))
    done = call("helm", "template", release, CHART, "-f", path)

    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("more", [{}, SCALED, STATIC], ids=["deployment", "keda", "stateful"])
def test_null_stands_for_nothing(more: dict[str, Any], tmp_path: Path) -> None:
    """Whatever has no default, or can do without it, may be null: all of it at once."""
    nulls = emptied(DEFAULTS, SCHEMA) | {"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": None}}
    del nulls["config"]
    text = rendered(tmp_path, laid(nulls, EVERYTHING), more)

    assert count(nulls) > 40
    assert invalid(NEWEST, text) == []


def test_null_in_place_of_a_needed_value_is_told(tmp_path: Path) -> None:
    """All the others: the schema names each, so that no template has to trip over it."""
    nulls = required(DEFAULTS, SCHEMA)
    path = tmp_path / "values.yaml"
    path.write_text(json.dumps(nulls))
    done = template("-f", path)
    told = [
        name
        for names in re.findall(r"missing propert(?:y|ies) (.*)", done.stderr)
        for name in re.findall(r"'(\w+)'", names)
    ]

    assert done.returncode != 0
    assert len(told) == count(nulls) > 40


@pytest.mark.parametrize("more", [{}, SCALED, STATIC], ids=["deployment", "keda", "stateful"])
def test_a_release_may_be_called_by_a_number(more: dict[str, Any], tmp_path: Path) -> None:
    """Names, labels and the keys of Secrets stay text, whatever they look like."""
    names = {"serviceAccount": {"name": "123"}, "priorityClassName": "1e3", "imagePullSecrets": ["0x1"]}
    text = rendered(
        tmp_path, EVERYTHING, names, {"fullnameOverride": "1234", "nameOverride": "12"}, more, release="1234"
    )

    assert invalid(NEWEST, text) == []


@pytest.mark.parametrize("more", [SCALED, STATIC], ids=["keda", "stateful"])
def test_names_leave_room_for_what_is_put_behind_them(more: dict[str, Any], tmp_path: Path) -> None:
    """52 characters: a StatefulSet puts 11 behind its name into a label, and alerts find pods by the whole name and a dash."""
    text = rendered(tmp_path, EVERYTHING, more, release="a" * 38 + "-bridge-of-data")
    found = [entry for entry in yaml.safe_load_all(text) if entry]
    workload = next(entry for entry in found if entry["kind"] in {"Deployment", "StatefulSet"})
    alerts = next(entry for entry in found if entry["kind"] == "PrometheusRule")

    assert len(workload["metadata"]["name"]) <= 52
    assert workload["metadata"]["name"][-1].isalnum()
    assert f'pod=~"{workload["metadata"]["name"]}-' in json.dumps(alerts).replace("\\", "")
    assert invalid(NEWEST, text) == []


def test_a_service_accounts_own_name_is_not_cut() -> None:
    """It is made under the name that the pods ask for."""
    name = "a" * 60
    found = manifests("--set", f"serviceAccount.name={name}")

    assert [entry["metadata"]["name"] for entry in found if entry["kind"] == "ServiceAccount"] == [name]
    assert {
        entry["spec"]["template"]["spec"]["serviceAccountName"]
        for entry in found
        if entry["kind"] == "Deployment"
    } == {name}


def test_labels_and_annotations_that_are_given_twice_are_there_once(tmp_path: Path) -> None:
    """The nearer one wins: the object's own before the common ones, and the chart's checksum before both."""
    twice = {"release": "near", "app.kubernetes.io/version": "near"}
    text = rendered(
        tmp_path,
        {"commonLabels": {"release": "far", "app.kubernetes.io/managed-by": "far"}, "podLabels": twice},
        {
            "commonAnnotations": {"checksum/config": "far", "example.com/a": "far"},
            "podAnnotations": {"checksum/config": "near", "example.com/a": "near"},
        },
        {
            "monitoring": {
                "podMonitor": {"enabled": True, "labels": twice},
                "dashboard": {"enabled": True, "labels": twice},
            }
        },
    )
    found = [entry for entry in yaml.safe_load_all(text) if entry]
    monitor = next(entry for entry in found if entry["kind"] == "PodMonitor")
    pod = next(entry for entry in found if entry["kind"] == "Deployment")["spec"]["template"]["metadata"]

    assert invalid(NEWEST, text) == []
    assert {monitor["metadata"]["labels"][name] for name in twice} == {"near"}
    assert {pod["labels"][name] for name in twice} == {"near"}
    assert pod["annotations"]["example.com/a"] == "near"
    assert re.fullmatch("[0-9a-f]{64}", pod["annotations"]["checksum/config"])
