"""Every alert fires when it should and not otherwise, names metrics that exist, and has a runbook."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from bridge.ops.telemetry import Telemetry
from tests.helm.alert_cases import AT, CASES, OTHER_RELEASES, POD, RESOLVED, Series
from tests.helm.test_dashboard import dashboard_queries
from tests.helm.tools import ROOT, alert_rules, run_program

Rule = dict[str, Any]
RuleTest = dict[str, object]
EVER = "ever"
"""Instead of a minute: the whole hour."""


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    """Return the rules of the release that the cases are about."""
    return alert_rules()


def write_rules(folder: Path, rules: list[Rule]) -> Path:
    """Write a rule file of Prometheus, and return its path."""
    path = folder / "alerts.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "aep-bridge", "rules": rules}]}))
    return path


def test_every_alert_has_a_case(rules: list[Rule]) -> None:
    """No alert is untested, and no test is of an alert that is gone."""
    assert [rule["alert"] for rule in rules] == list(CASES)


def test_prometheus_takes_the_rules(rules: list[Rule], tmp_path: Path) -> None:
    """`promtool check rules` finds nothing."""
    done = run_program("promtool", "check", "rules", write_rules(tmp_path, rules))

    assert done.returncode == 0, done.stdout + done.stderr


def rule_test(
    alert: str, case: str, series: Series, firing: Mapping[str, int], pods: Collection[str] = (AT,)
) -> RuleTest:
    """Return a test for promtool: what happens to each of these pods, and how many alerts fire when.

    `firing` is by minute, such as `45m`, or `EVER`.
    """
    return {
        "name": f"{alert}: {case}",
        "interval": "1m",
        "input_series": [
            {"series": name.replace("AT", pod).replace("'", '"'), "values": values}
            for name, values in series.items()
            for pod in pods
            if "AT" in name or pod == AT
        ],
        "promql_expr_test": [_expectation(alert, when, count) for when, count in firing.items()],
    }


def _expectation(alert: str, when: str, count: int) -> dict[str, object]:
    state = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    expression = f"sum(count_over_time({state}[60m]))" if when == EVER else f"count({state})"
    return {
        "expr": f"{expression} or vector(0)",
        "eval_time": "60m" if when == EVER else when,
        "exp_samples": [{"labels": "{}", "value": count}],
    }


def check(alert: str, rules: list[Rule], folder: Path, tests: list[RuleTest]) -> None:
    """Run tests of one alert with `promtool`."""
    rule_file = write_rules(folder, [rule for rule in rules if rule["alert"] == alert])
    test_file = folder / "test.yaml"
    content = {"rule_files": [str(rule_file)], "evaluation_interval": "1m", "tests": tests}
    test_file.write_text(yaml.safe_dump(content))
    done = run_program("promtool", "test", "rules", test_file)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", CASES)
def test_alert_fires_for_its_cases_only(alert: str, rules: list[Rule], tmp_path: Path) -> None:
    """It fires once for each of the first cases, and at no minute of the hour for the others.

    It does not fire for what happens to another release.
    """
    firing, quiet = CASES[alert]
    tests = [rule_test(alert, case, series, {"45m": 1}) for case, series in firing.items()]
    tests += [rule_test(alert, case, series, {EVER: 0}) for case, series in quiet.items()]
    if alert != "AepBridgeAbsent":
        for case, series in firing.items():
            tests.append(rule_test(alert, f"{case}, elsewhere", series, {EVER: 0}, OTHER_RELEASES))
    check(alert, rules, tmp_path, tests)


@pytest.mark.parametrize("alert", RESOLVED)
def test_an_alert_about_a_single_event_ends_by_itself(alert: str, rules: list[Rule], tmp_path: Path) -> None:
    """Nobody has to acknowledge it."""
    series, fires_at, over_at = RESOLVED[alert]
    check(alert, rules, tmp_path, [rule_test(alert, "ends", series, {fires_at: 1, over_at: 0})])


LONG_NAME = ("a-name-as-long-as-the-chart-lets-it-be-" + "x" * 20)[:52]
UNCUT_NAME = LONG_NAME[:46]
"""The longest name that Kubernetes does not cut where it adds its own to it."""


@pytest.mark.parametrize(
    ("option", "own_pods", "other_pods"),
    [
        (
            "staticMembership.enabled=true",
            ("r-aep-bridge-0", "r-aep-bridge-12"),
            ("r-aep-bridge-eu-0", POD, "r-aep-bridge-eu-6d5f9c7b8d-x2k7p"),
        ),
        (
            f"fullnameOverride={LONG_NAME}",
            (f"{LONG_NAME}-6d5f9x2k7p",),
            (f"{LONG_NAME}-0", f"{LONG_NAME}-eu-6d5f9c7b8d-x2k7p"),
        ),
        (
            f"fullnameOverride={UNCUT_NAME}",
            (f"{UNCUT_NAME}-6d5f9c7b8d-x2k7p",),
            (f"{UNCUT_NAME}-eu-6d5f9c7bx2k7p",),
        ),
        (
            "fullnameOverride=eu.bridge",
            ("eu.bridge-6d5f9c7b8d-x2k7p",),
            ("eu-bridge-6d5f9c7b8d-x2k7p",),
        ),
    ],
    ids=["StatefulSet", "cut", "just not cut", "dots"],
)
def test_the_alerts_of_a_release_are_about_its_own_pods(
    option: str, own_pods: tuple[str, ...], other_pods: tuple[str, ...], tmp_path: Path
) -> None:
    """They know the pods by the names that Kubernetes gives them, however long the release's own name is."""
    alert = "AepBridgeInletHeld"
    firing, _ = CASES[alert]
    case, series = next(iter(firing.items()))
    tests = [rule_test(alert, case, series, {"45m": 1}, [pod_labels(pod)]) for pod in own_pods]
    others = [pod_labels(pod) for pod in other_pods]
    tests.append(rule_test(alert, case, series, {EVER: 0}, others))
    check(alert, alert_rules("--set", option), tmp_path, tests)


def pod_labels(pod: str) -> str:
    return f"namespace='default',pod='{pod}'"


def test_every_alert_has_a_runbook() -> None:
    """Each page says what it means, how to look and what to do. No page is of an alert that is gone."""
    folder = ROOT / "docs" / "runbooks"
    for name in CASES:
        text = (folder / f"{name}.md").read_text()

        assert text.startswith(f"# {name}\n")
        assert [part for part in ("## Meaning", "## Look", "## Do") if part not in text] == []
    assert {path.stem for path in folder.glob("Aep*.md")} == set(CASES)


def metric_names() -> set[str]:
    """Return every metric that `/metrics` of a new bridge has, or will have with its first event."""
    telemetry = Telemetry()
    telemetry.watch(dict, dict, dict)
    text = generate_latest(telemetry.registry).decode()
    names = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    histograms = set(re.findall(r"^# TYPE (\S+) histogram", text, re.MULTILINE))
    return names | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}


def test_every_metric_of_rules_and_dashboard_exists() -> None:
    """tests/kubernetes asks a running bridge too."""
    expressions = [*(rule["expr"] for rule in alert_rules()), *dashboard_queries()]
    metrics = set(re.findall(r"\b(aep_bridge_\w+|process_\w+)\b", "\n".join(expressions)))

    assert metrics
    assert metrics - metric_names() == set()
