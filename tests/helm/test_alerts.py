"""Every alert fires when it should, stays quiet when not, names metrics that exist, and has a runbook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from bridge.telemetry import Telemetry
from tests.helm.tools import ROOT, alerts, call

AT = "namespace='default',pod='r-aep-bridge-1'"

CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    # alert: series that make it fire, series that must not; one value a minute, judged after 45
    "AepBridgeLagGrowsIdle": (
        {"aep_bridge_consumer_lag{topic='t',partition='0',AT}": "0+100x60", "aep_bridge_in_flight{inlet='i',AT}": "0x60"},
        {
            "aep_bridge_consumer_lag{topic='t',partition='0',AT}": "0+100x60",
            "aep_bridge_in_flight{inlet='i',AT}": "0x60",
            "aep_bridge_requests_total{inlet='i',status='503',AT}": "0+1x60",
        },
    ),
    "AepBridgeDeliveryStalled": (
        {"aep_bridge_watermark_age_seconds{topic='t',partition='0',AT}": "0+60x60"},
        {"aep_bridge_watermark_age_seconds{topic='t',partition='0',AT}": "0 60 120 180 240 0 60 120 180 240 0 60 120 0x60"},
    ),
    "AepBridgeInletHeld": (
        {"aep_bridge_inlet_held{inlet='i',reason='credentials',AT}": "1x60"},
        {"aep_bridge_inlet_held{inlet='i',reason='none',AT}": "0x60"},
    ),
    "AepBridgeDeadLetters": (
        {"aep_bridge_records_dead_lettered_total{topic='t',reason='refused',AT}": "_x40 1x20"},
        {"aep_bridge_records_dead_lettered_total{topic='t',reason='refused',AT}": "3x60"},
    ),
    "AepBridgeDeadLetterTopicUnwritable": (
        {"aep_bridge_dead_letter_failures_total{topic='t',AT}": "0x35 1+1x25"},
        {"aep_bridge_dead_letter_failures_total{topic='t',AT}": "0x20 1x40"},
    ),
    "AepBridgeThrottled": (
        {"aep_bridge_requests_total{inlet='i',status='429',AT}": "0+30x60", "aep_bridge_requests_total{inlet='i',status='207',AT}": "0+70x60"},
        {"aep_bridge_requests_total{inlet='i',status='429',AT}": "0+5x60", "aep_bridge_requests_total{inlet='i',status='207',AT}": "0+95x60"},
    ),
    "AepBridgeTokenRefreshFails": (
        {"aep_bridge_token_refresh_failures_total{inlet='i',AT}": "_x36 1+1x20"},
        {"aep_bridge_token_refresh_failures_total{inlet='i',AT}": "_x20 1x40"},
    ),
    "AepBridgeCommitsFail": (
        {"aep_bridge_commit_age_seconds{AT}": "0x30 0+60x30"},
        {"aep_bridge_commit_age_seconds{AT}": "0 0.4 0.1 0x60"},
    ),
    "AepBridgeRebalanceStorm": (
        {"aep_bridge_rebalances_total{kind='revoked',AT}": "0+2x60"},
        {"aep_bridge_rebalances_total{kind='revoked',AT}": "0x38 1 2 3x20", "aep_bridge_rebalances_total{kind='assigned',AT}": "0+5x60"},
    ),
    "AepBridgePodWithoutPartitions": (
        {"aep_bridge_assigned_partitions{AT}": "0x60"},
        {"aep_bridge_assigned_partitions{AT}": "0x40 4x20"},
    ),
    "AepBridgeRestarts": (
        {"process_start_time_seconds{AT}": "100x20 200x5 300x5 400x20"},
        {"process_start_time_seconds{AT}": "100x30 200x30"},
    ),
    "AepBridgePossibleLoss": (
        {"aep_bridge_possible_loss_total{topic='t',AT}": "0x20 1x40", "aep_bridge_rewinds_total{topic='t',AT}": "0x20 1x40"},
        {"aep_bridge_possible_loss_total{topic='t',AT}": "1x60", "aep_bridge_rewinds_total{topic='t',AT}": "0x10 1x50"},
    ),
    "AepBridgeAbsent": (
        {"aep_bridge_build_info{version='1',namespace='other',pod='x-1'}": "1x60"},
        {"aep_bridge_build_info{version='1',AT}": "1x60"},
    ),
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release's rules as a rule file of Prometheus."""
    path = tmp_path_factory.mktemp("rules") / "alerts.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "aep-bridge", "rules": alerts()}]}))
    return path


def test_every_alert_has_a_case() -> None:
    """No alert is untested, and no test is of an alert that is gone."""
    assert [rule["alert"] for rule in alerts()] == list(CASES)


def test_prometheus_takes_the_rules(rules: Path) -> None:
    """`promtool check rules` finds nothing."""
    done = call("promtool", "check", "rules", rules)

    assert done.returncode == 0, done.stdout + done.stderr


def judge(name: str, fires: dict[str, str], quiet: dict[str, str], rules: Path, folder: Path) -> None:
    """Asks `promtool` whether the alert fires, once, for the first series and not for the second."""

    def group(series: dict[str, str], firing: int) -> dict[str, object]:
        expression = f"count(ALERTS{{alertname='{name}',alertstate='firing'}}) or vector(0)"
        return {
            "interval": "1m",
            "input_series": [{"series": key.replace("AT", AT).replace("'", '"'), "values": value} for key, value in series.items()],
            "promql_expr_test": [{"expr": expression, "eval_time": "45m", "exp_samples": [{"labels": "{}", "value": firing}]}],
        }

    test = folder / "test.yaml"
    test.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [group(fires, 1), group(quiet, 0)]}))
    done = call("promtool", "test", "rules", test)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_alert(name: str, rules: Path, tmp_path: Path) -> None:
    """It fires for the first series, for this alert alone counted once, and is quiet for the second."""
    judge(name, *CASES[name], rules, tmp_path)


@pytest.mark.parametrize("what", ["possible_loss", "rewinds"])
@pytest.mark.parametrize("values", ["0x20 1x40", "_x20 1x40"], ids=["counted later", "counted before the first scrape"])
def test_either_way_of_a_loss_is_enough(what: str, values: str, rules: Path, tmp_path: Path) -> None:
    """At an assignment or while reading; mostly it is found at the start of a pod, before Prometheus has seen its counter at 0."""
    judge("AepBridgePossibleLoss", {f"aep_bridge_{what}_total{{topic='t',AT}}": values}, {}, rules, tmp_path)


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
