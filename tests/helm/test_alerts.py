"""Every alert fires when it should, stays quiet when not, names metrics that exist, and has a runbook."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from bridge.ops.telemetry import Telemetry
from tests.helm.alert_cases import AT, CASES, ENDS, NEIGHBOURS, POD, Series
from tests.helm.tools import ROOT, alerts, call

Rule = dict[str, Any]
Group = dict[str, object]


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    """The rules of the release that the cases are about."""
    return alerts()


def write(folder: Path, rules: list[Rule]) -> Path:
    """A rule file of Prometheus."""
    path = folder / "alerts.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "aep-bridge", "rules": rules}]}))
    return path


def test_every_alert_has_a_case(rules: list[Rule]) -> None:
    """No alert is untested, and no test is of an alert that is gone."""
    assert [rule["alert"] for rule in rules] == list(CASES)


def test_prometheus_takes_the_rules(rules: list[Rule], tmp_path: Path) -> None:
    """`promtool check rules` finds nothing."""
    done = call("promtool", "check", "rules", write(tmp_path, rules))

    assert done.returncode == 0, done.stdout + done.stderr


def group(
    name: str, what: str, series: Series, firing: Mapping[str, int], pods: Collection[str] = (AT,)
) -> Group:
    """What happens to each of these pods, and how many alerts of that name fire when. A whole hour at once is asked for as "ever"."""
    state = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
    looks = [
        ("60m", f"sum(count_over_time({state}[60m]))", firing[when])
        if when == "ever"
        else (when, f"count({state})", firing[when])
        for when in firing
    ]
    return {
        "name": f"{name}: {what}",
        "interval": "1m",
        "input_series": [
            {"series": key.replace("AT", pod).replace("'", '"'), "values": values}
            for key, values in series.items()
            for pod in pods
            if "AT" in key or pod == AT
        ],
        "promql_expr_test": [
            {
                "expr": f"{expression} or vector(0)",
                "eval_time": when,
                "exp_samples": [{"labels": "{}", "value": value}],
            }
            for when, expression, value in looks
        ],
    }


def judge(name: str, rules: list[Rule], folder: Path, groups: list[Group]) -> None:
    """Has `promtool` see whether all of it is so of this alert."""
    rule_file, test = write(folder, [rule for rule in rules if rule["alert"] == name]), folder / "test.yaml"
    test.write_text(
        yaml.safe_dump({"rule_files": [str(rule_file)], "evaluation_interval": "1m", "tests": groups})
    )
    done = call("promtool", "test", "rules", test)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_alert(name: str, rules: list[Rule], tmp_path: Path) -> None:
    """It fires, once, for each of the first series, and at no minute of the hour for the second, nor for what happens to another release."""
    fires, quiet = CASES[name]
    groups = [group(name, what, series, {"45m": 1}) for what, series in fires.items()]
    groups += [group(name, what, series, {"ever": 0}) for what, series in quiet.items()]
    if name != "AepBridgeAbsent":
        groups += [
            group(name, f"{what}, elsewhere", series, {"ever": 0}, NEIGHBOURS)
            for what, series in fires.items()
        ]
    judge(name, rules, tmp_path, groups)


@pytest.mark.parametrize("name", ENDS)
def test_what_tells_of_an_event_ends(name: str, rules: list[Rule], tmp_path: Path) -> None:
    """Nobody has to acknowledge it."""
    series, fires, over = ENDS[name]
    judge(name, rules, tmp_path, [group(name, "ends", series, {fires: 1, over: 0})])


LONG = ("a-name-as-long-as-the-chart-lets-it-be-" + "x" * 20)[:52]


@pytest.mark.parametrize(
    ("args", "ours", "others"),
    [
        (
            ("--set", "staticMembership.enabled=true"),
            ("r-aep-bridge-0", "r-aep-bridge-12"),
            ("r-aep-bridge-eu-0", POD, "r-aep-bridge-eu-6d5f9c7b8d-x2k7p"),
        ),
        (
            ("--set", f"fullnameOverride={LONG}"),
            (f"{LONG}-6d5f9x2k7p",),
            (f"{LONG}-0", f"{LONG}-eu-6d5f9c7b8d-x2k7p"),
        ),
        (
            ("--set", f"fullnameOverride={LONG[:46]}"),
            (f"{LONG[:46]}-6d5f9c7b8d-x2k7p",),
            (f"{LONG[:46]}-eu-6d5f9c7b" + "x2k7p",),
        ),
        (
            ("--set", "fullnameOverride=eu.bridge"),
            ("eu.bridge-6d5f9c7b8d-x2k7p",),
            ("eu-bridge-6d5f9c7b8d-x2k7p",),
        ),
    ],
    ids=["StatefulSet", "cut", "just not cut", "dots"],
)
def test_a_release_knows_its_pods(
    args: tuple[str, ...], ours: tuple[str, ...], others: tuple[str, ...], tmp_path: Path
) -> None:
    """By the names that Kubernetes gives the pods of its workload, however long its own name is."""
    rules, name = alerts(*args), "AepBridgeInletHeld"
    (what, held), *_ = CASES[name][0].items()
    alive, elsewhere = (["namespace='default',pod='" + pod + "'" for pod in pods] for pods in (ours, others))
    judge(
        name,
        rules,
        tmp_path,
        [group(name, what, held, {"45m": 1}, [pod]) for pod in alive]
        + [group(name, what, held, {"ever": 0}, elsewhere)],
    )


def test_every_alert_has_a_runbook() -> None:
    """A page for each alert, with what it means, how to look and what to do; and no page of an alert that is gone."""
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("Aep*.md")}
    for name in CASES:
        text = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()

        assert text.startswith(f"# {name}\n")
        assert all(part in text for part in ("## Meaning", "## Look", "## Do"))
    assert pages == set(CASES)


def metric_names() -> set[str]:
    """Every metric that a new bridge's registry knows: what `/metrics` has, or will have with its first event."""
    telemetry = Telemetry()
    telemetry.watch(dict, dict, dict)
    text = generate_latest(telemetry.registry).decode()
    names = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    histograms = set(re.findall(r"^# TYPE (\S+) histogram", text, re.MULTILINE))
    return names | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}


def test_every_metric_exists() -> None:
    """What rules and dashboard name, the bridge has. (tests/kubernetes asks a running one too.)"""
    from tests.helm.test_dashboard import dashboard_queries

    named = set()
    for expression in [*(rule["expr"] for rule in alerts()), *dashboard_queries()]:
        named |= set(re.findall(r"\b(aep_bridge_\w+|process_\w+)\b", expression))

    assert named
    assert named - metric_names() == set()
