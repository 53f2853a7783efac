"""The chart on a real API server and a real node: installed, upgraded, scaled, rolled back, uninstalled.

The tests build on each other, in this order.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.helm.test_dashboard import dashboard_queries
from tests.kubernetes import lab
from tests.kubernetes.lab import (
    CHART,
    NAMESPACE,
    PARTITIONS,
    RELEASE,
    TOPIC,
    WORKLOAD,
    helm,
    is_ready,
    kubectl,
    objects,
    pods,
    until,
    upgrade,
    wait_for_rollout,
    write_values,
)
from tests.kubernetes.local_aep import add_fault, clear_faults
from tests.kubernetes.metrics import metric, prometheus, query_prometheus
from tests.kubernetes.traffic import Stream, event, produce_numbered, wait_committed, wait_delivered

VALUE_SETS = sorted((CHART / "ci").glob("*-values.yaml"))
WITH_FOREIGN_CONTAINERS = "11-"
"""The sidecars of this value set are somebody else's images, which have no security context."""

WITHOUT_SERIES = ("aep_bridge_token_refresh_failures_total", "aep_bridge_possible_loss_total")
"""Metrics that have no series until something goes wrong that does not go wrong in this run."""

INSPECT_CONTAINER = r"""
import os, pathlib
lines = open('/proc/self/status').read().splitlines()
status = dict(line.split(':\t', 1) for line in lines if ':\t' in line)
def writable(path):
    try:
        pathlib.Path(path, 'x').write_text('x')
        return True
    except OSError:
        return False
print(os.getuid(), status['CapEff'].strip('0') or 'none', status['NoNewPrivs'], status['Seccomp'],
      writable('/'), writable('/opt/aep-bridge'), writable('/tmp'),
      os.path.exists('/var/run/secrets/kubernetes.io'), 'aep-bridge' in open('/proc/1/cmdline').read())
"""


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda path: path.stem)
def test_the_api_server_takes_every_value_set(release: Path, values: Path) -> None:
    """It validates with the CRDs and KEDA's admission webhook, in a namespace of the profile "restricted"."""
    text = lab.run("helm", "template", "r", CHART, "-f", values, "--namespace", NAMESPACE)
    entries = [entry for entry in yaml.safe_load_all(text) if entry]
    own = [entry for entry in entries if entry["metadata"].get("namespace", NAMESPACE) == NAMESPACE]
    accounts = [entry for entry in own if entry["kind"] == "ServiceAccount"]
    if accounts:  # a pod is refused without the account that it names, even in a dry run
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(accounts))
    command = ["kubectl", "-n", NAMESPACE, "apply", "--dry-run=server", "-f", "-"]
    manifests = yaml.safe_dump_all(own)
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    if not values.stem.startswith(WITH_FOREIGN_CONTAINERS):
        assert "violate PodSecurity" not in done.stderr, done.stderr


def test_an_installed_release_delivers(release: Path) -> None:
    """The pod comes up and consumes, AEP gets every event once, and the offsets are committed."""
    values = write_values(release / "1.json")
    helm("install", RELEASE, CHART, "-f", values, "--wait", "--timeout", "120s")
    wait_for_rollout()  # Helm does not wait for a single pod that may be unavailable
    counts = wait_delivered(produce_numbered("install", 400))
    wait_committed()

    assert set(counts.values()) == {1}
    assert lab.restarts() == 0


def test_the_container_is_restricted(release: Path) -> None:
    """It has a numeric user, no capability, no token, and writes to /tmp only. The bridge is process 1."""
    output = kubectl("exec", f"deployment/{WORKLOAD}", "--", "python", "-c", INSPECT_CONTAINER)

    assert output.split() == ["65532", "none", "1", "2", "False", "False", "True", "False", "True"]


def test_helm_test_passes(release: Path) -> None:
    """It runs in the image with the release's configuration, and shows what it found."""
    output = helm("test", RELEASE, "--logs", "--timeout", "60s")

    assert "Phase:          Succeeded" in output
    assert f"POD LOGS: {WORKLOAD}-test" in output
    assert TOPIC in output.partition("POD LOGS")[2]


def test_prometheus_has_data_for_every_query_and_fires_the_one_alert(release: Path, tmp_path: Path) -> None:
    """A real Prometheus scrapes the pods, with the chart's rules. A dead letter raises its own alert only."""
    rules = objects("prometheusrules")[0]["spec"]["groups"][0]["rules"]
    with prometheus(tmp_path, rules, pods()):
        until(lambda: query_prometheus("up == 1"), 20, "the first scrape")
        add_fault(action="status", status=429, times=3, retry_after_s=1)
        add_fault(action="status", status=404, times=2)
        names = produce_numbered("metrics", 200)
        lab.kafka.produce(TOPIC, [b"not JSON", None, event("metrics-large", 20_000)])
        wait_delivered([*names, "metrics-large"], 90)
        wait_committed()
        produce_numbered("metrics-more", 40)
        firing_query = "ALERTS{alertname='AepBridgeDeadLetters',alertstate='firing'}"
        until(lambda: query_prometheus(firing_query), 30, "the alert")
        time.sleep(3)
        queries = [query.replace("[1m]", "[5m]") for query in dashboard_queries()]
        expected = [query for query in queries if not any(name in query for name in WITHOUT_SERIES)]
        empty = [query for query in expected if not query_prometheus(query)]
        firing = {series["metric"]["alertname"] for series in query_prometheus("ALERTS{alertstate='firing'}")}

    assert empty == []
    assert firing == {"AepBridgeDeadLetters"}
    assert [letter.value() for letter in lab.kafka.read_all(f"{TOPIC}.dlq")] == [b"not JSON"]


def test_a_wrong_configuration_changes_nothing(release: Path) -> None:
    """`helm upgrade` refuses it with a message, and the release stays as it was."""
    before = helm("history", RELEASE, "-o", "json")
    command = ["helm", "-n", NAMESPACE, "upgrade", RELEASE, str(CHART), "-f", str(release / "1.json")]
    command += ["--set", "config.topics[0].topik=x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "additional properties 'topik' not allowed" in done.stderr
    assert helm("history", RELEASE, "-o", "json") == before


def test_an_outage_of_aep_restarts_nothing(release: Path) -> None:
    """AEP answers 503 for 20 seconds: the pods stay alive and ready, and everything arrives afterwards."""
    add_fault(action="status", status=503)
    names = produce_numbered("outage", 200)
    time.sleep(20)
    ready_in_outage = [is_ready(pod) for pod in pods()]
    clear_faults()
    wait_delivered(names, 90)

    assert ready_in_outage == [True]
    assert lab.restarts() == 0


def assigned_partitions() -> list[float]:
    """Return how many partitions each ready pod has, in the order of the pods."""
    return [metric(pod, "aep_bridge_assigned_partitions") for pod in pods() if is_ready(pod)]


def test_as_many_replicas_as_partitions_have_one_each(release: Path) -> None:
    """Every replica has work, and everything is delivered."""
    upgrade(write_values(release / "2.json", replicas=PARTITIONS), wait_s=120)
    until(lambda: sorted(assigned_partitions()) == [1] * PARTITIONS, 60, "one partition each")
    wait_delivered(produce_numbered("shared", 200))


def test_a_rolling_restart_loses_nothing(release: Path) -> None:
    """`kubectl rollout restart` replaces every pod under traffic: all events arrive, at most 5% twice."""
    old = {pod["metadata"]["name"] for pod in pods()}
    with Stream("restart", 200) as stream:
        kubectl("rollout", "restart", f"deployment/{WORKLOAD}")
        wait_for_rollout()
        time.sleep(3)
    counts = wait_delivered(stream.names)
    wait_committed()
    duplicates = sum(count - 1 for count in counts.values())
    print(f"{len(counts)} events, {duplicates} duplicates")

    assert old.isdisjoint(pod["metadata"]["name"] for pod in pods())
    assert duplicates <= len(counts) * 0.05


def test_a_killed_pod_loses_nothing(release: Path) -> None:
    """A pod that is killed does not drain. Its partitions go to others, and every event arrives."""
    with Stream("killed", 200) as stream:
        time.sleep(2)
        kubectl("delete", "pod", pods()[0]["metadata"]["name"], "--grace-period=0", "--force")
        time.sleep(5)
    wait_delivered(stream.names, 120)
    wait_for_rollout()


def test_upgrade_and_rollback_lose_nothing_under_traffic(release: Path) -> None:
    """A changed configuration rolls the pods, and `helm rollback` brings the old one back."""
    changed = json.loads((release / "2.json").read_text())
    changed["replicas"] = 2
    changed["config"]["batch"]["linger_ms"] = 50
    (release / "3.json").write_text(json.dumps(changed))
    show_configuration = ("get", "configmap", WORKLOAD, "-o", "jsonpath={.data.config\\.yaml}")
    with Stream("upgrade", 100) as stream:
        upgrade(release / "3.json", wait_s=150)
        after_upgrade = kubectl(*show_configuration)
        helm("rollback", RELEASE, "--wait", "--timeout", "150s")
        after_rollback = kubectl(*show_configuration)
    wait_delivered(stream.names, 90)

    assert "linger_ms: 50" in after_upgrade
    assert "linger_ms: 100" in after_rollback


def test_keda_scales_between_one_and_the_partition_count(release: Path) -> None:
    """An outage makes the lag grow: KEDA starts a pod for each partition and no more, and ends them later."""
    keda = {
        "enabled": True,
        "lagThreshold": 50,
        "pollingInterval": 2,
        "scaleDownStabilizationSeconds": 5,
        "excludePersistentLag": False,
    }
    upgrade(write_values(release / "4.json", keda=keda))
    until(lambda: is_ready(objects("scaledobjects")[0]), 60, "the ScaledObject")
    until(lambda: len(pods()) == 1, 90, "one pod without lag")
    add_fault(action="status", status=503)
    names = produce_numbered("keda", 2000)
    until(lambda: len(pods()) == PARTITIONS, 60, "a pod for each partition")
    time.sleep(5)
    most = len(pods())
    clear_faults()
    wait_delivered(names, 90)
    until(lambda: len(pods()) == 1, 120, "one pod again")

    assert most == PARTITIONS


def test_a_static_member_comes_back_without_a_rebalance(release: Path) -> None:
    """A pod that is back within the session time-out gets its partitions back. The others keep theirs.

    The pods are those of a StatefulSet.
    """
    stateful_set = f"statefulset/{WORKLOAD}"
    values = write_values(release / "5.json", replicas=2, staticMembership={"enabled": True})
    upgrade(values, wait_s=120)
    wait_for_rollout(stateful_set)
    until(lambda: assigned_partitions() == [2, 2], 60, "two partitions each")
    other = next(pod for pod in pods() if pod["metadata"]["name"].endswith("-1"))
    before = metric(other, "aep_bridge_rebalances_total")
    kubectl("delete", "pod", f"{WORKLOAD}-0", "--wait")
    wait_for_rollout(stateful_set)
    wait_delivered(produce_numbered("static", 100))

    assert metric(other, "aep_bridge_rebalances_total") == before


def test_uninstall_removes_everything_of_the_release(release: Path) -> None:
    """Only the pod of `helm test` stays, which Helm leaves, and the Secret, which is not the release's."""
    helm("uninstall", RELEASE, "--wait", "--timeout", "90s", "--cascade", "foreground")
    kinds = "all,configmaps,serviceaccounts,networkpolicies,poddisruptionbudgets,horizontalpodautoscalers"
    kinds += ",scaledobjects,triggerauthentications,podmonitors,servicemonitors,prometheusrules"
    own = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component!=test"
    left = [entry["metadata"]["name"] for entry in objects(kinds, "-l", own)]

    assert left == []
    assert kubectl("get", "secret", "aep")
