"""The chart on a real API server and a real node: installed, delivering, upgraded, scaled, rolled back, taken away. The tests build on each other, in order."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest
import yaml

from tests.helm.test_dashboard import dashboard_queries
from tests.kubernetes import lab
from tests.kubernetes.lab import (
    CHART,
    RELEASE,
    WORKLOAD,
    Stream,
    delivered,
    helm,
    kubectl,
    pods,
    produce,
    rolled_out,
    settled,
    until,
)

VALUE_SETS = sorted((CHART / "ci").glob("*-values.yaml"))

NEED_TROUBLE = ("aep_bridge_token_refresh_failures_total", "aep_bridge_possible_loss_total")
"""Metrics without a series until something goes wrong that this run does not make go wrong."""


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda path: path.stem)
def test_the_api_server_takes_every_value_set(release: Path, values: Path) -> None:
    """Server-side validation with the CRDs and the admission webhook of KEDA, in a namespace that enforces the profile "restricted"."""
    text = lab.run("helm", "template", "r", CHART, "-f", values, "--namespace", lab.NAMESPACE)
    here = [
        entry
        for entry in yaml.safe_load_all(text)
        if entry and entry["metadata"].get("namespace", lab.NAMESPACE) == lab.NAMESPACE
    ]
    accounts = [
        entry for entry in here if entry["kind"] == "ServiceAccount"
    ]  # a pod is refused without the one that it names, a dry run or not
    if accounts:
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(accounts))
    said = subprocess.run(
        ["kubectl", "-n", lab.NAMESPACE, "apply", "--dry-run=server", "-f", "-"],
        input=yaml.safe_dump_all(here),
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 0, said.stderr
    foreign = values.stem.startswith(
        "11-"
    )  # its sidecars are somebody else's images, without a security context
    assert foreign or "violate PodSecurity" not in said.stderr, said.stderr


def test_install_delivers(release: Path) -> None:
    """The pod comes up, consumes from the broker, and AEP gets every event once; the offsets are committed."""
    helm("install", RELEASE, CHART, "-f", lab.values(release / "1.json"), "--wait", "--timeout", "120s")
    rolled_out()  # where one pod may be unavailable, Helm waits for none of a single one
    names = produce(f"install-{number}" for number in range(400))
    seen = delivered(names)
    settled()

    assert set(seen.values()) == {1}
    assert lab.restarts() == 0


def test_the_container_is_as_restricted_as_it_says(release: Path) -> None:
    """A number for a user, no way to write outside of /tmp, no token, no capability, and the bridge is process 1."""
    script = (
        "import os, pathlib\n"
        "status = dict(l.split(':\\t', 1) for l in open('/proc/self/status').read().splitlines() if ':\\t' in l)\n"
        "def writable(p):\n"
        "    try: pathlib.Path(p, 'x').write_text('x'); return True\n"
        "    except OSError: return False\n"
        "print(os.getuid(), status['CapEff'].strip('0') or 'none', status['NoNewPrivs'], status['Seccomp'],\n"
        "      writable('/'), writable('/opt/aep-bridge'), writable('/tmp'),\n"
        "      os.path.exists('/var/run/secrets/kubernetes.io'), 'aep-bridge' in open('/proc/1/cmdline').read())\n"
    )
    said = kubectl("exec", f"deployment/{WORKLOAD}", "--", "python", "-c", script)

    assert said.split() == ["65532", "none", "1", "2", "False", "False", "True", "False", "True"]


def test_helm_test(release: Path) -> None:
    """`helm test` runs in the image with the release's configuration, passes, and shows what it saw."""
    said = helm("test", RELEASE, "--logs", "--timeout", "60s")

    assert "Phase:          Succeeded" in said
    assert f"POD LOGS: {WORKLOAD}-test" in said
    assert lab.TOPIC in said.partition("POD LOGS")[2]


def test_metrics_rules_and_dashboard(release: Path, tmp_path: Path) -> None:
    """A real Prometheus scrapes the pods: every metric that rules and dashboard name exists, every query of the dashboard returns data.

    A dead letter raises its alert, and no other one.
    """
    rules = lab.objects("prometheusrules")[0]["spec"]["groups"][0]["rules"]
    queries = dashboard_queries()
    with lab.prometheus(tmp_path, rules, pods()) as address:

        def ask(query: str) -> list[dict[str, object]]:
            answer = json.loads(
                lab.fetch(f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
            )
            return list(answer["data"]["result"])

        until(lambda: ask("up == 1"), 20, "the first scrape")
        lab.fault(action="status", status=429, times=3, retry_after_s=1)
        lab.fault(action="status", status=404, times=2)
        names = produce(f"metrics-{number}" for number in range(200))
        lab.kafka.produce(lab.TOPIC, [b"not JSON", None, lab.event("metrics-large", 20_000)])
        delivered([*names, "metrics-large"], 90)
        settled()
        produce(f"metrics-more-{number}" for number in range(40))
        until(lambda: ask("ALERTS{alertname='AepBridgeDeadLetters',alertstate='firing'}"), 30, "the alert")
        time.sleep(3)
        ranges = [query.replace("[1m]", "[5m]") for query in queries]
        empty = {
            query for query in ranges if not ask(query) and not any(name in query for name in NEED_TROUBLE)
        }
        firing = {str(entry["metric"]["alertname"]) for entry in ask("ALERTS{alertstate='firing'}")}  # type: ignore[index]

    assert empty == set()
    assert firing == {"AepBridgeDeadLetters"}
    letters = lab.kafka.read_all(f"{lab.TOPIC}.dlq")
    assert [letter.value() for letter in letters] == [b"not JSON"]


def test_a_wrong_mapping_changes_nothing(release: Path) -> None:
    """`helm upgrade` refuses it with a message, and the release stays as it was."""
    before = helm("history", RELEASE, "-o", "json")
    command = [
        "helm",
        "-n",
        lab.NAMESPACE,
        "upgrade",
        RELEASE,
        str(CHART),
        "-f",
        str(release / "1.json"),
        "--set",
        "config.topics[0].topik=x",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "additional properties 'topik' not allowed" in done.stderr
    assert helm("history", RELEASE, "-o", "json") == before


def test_an_outage_of_aep_restarts_nothing(release: Path) -> None:
    """AEP answers 503 for 20 seconds: the pods stay alive and ready, and everything arrives afterwards."""
    lab.fault(action="status", status=503)
    names = produce(f"outage-{number}" for number in range(200))
    time.sleep(20)
    still_ready = [lab.ready(pod) for pod in pods()]
    lab.heal()
    delivered(names, 90)

    assert still_ready == [True]
    assert lab.restarts() == 0


def test_scaled_to_the_partition_count_the_pods_share(release: Path) -> None:
    """As many replicas as partitions: each gets one."""
    helm(
        "upgrade",
        RELEASE,
        CHART,
        "-f",
        lab.values(release / "2.json", replicas=lab.PARTITIONS),
        "--wait",
        "--timeout",
        "120s",
    )

    def shared() -> bool:
        return (
            sorted(lab.metric(pod, "aep_bridge_assigned_partitions") for pod in pods() if lab.ready(pod))
            == [1] * lab.PARTITIONS
        )

    until(shared, 60, "one partition each")
    delivered(produce(f"shared-{number}" for number in range(200)))


def test_a_rolling_restart_loses_nothing(release: Path) -> None:
    """Under traffic, `kubectl rollout restart` replaces every pod: all events arrive, few of them twice."""
    old = {pod["metadata"]["name"] for pod in pods()}
    with Stream("restart", 200) as stream:
        kubectl("rollout", "restart", f"deployment/{WORKLOAD}")
        rolled_out()
        time.sleep(3)
    seen = delivered(stream.names)
    settled()
    twice = sum(count - 1 for count in seen.values())
    print(f"{len(seen)} events, {twice} of them twice")

    assert old.isdisjoint(pod["metadata"]["name"] for pod in pods())
    assert twice <= len(seen) * 0.05


def test_a_killed_pod_loses_nothing(release: Path) -> None:
    """A pod that is killed without a drain: its partitions go to others, and every event arrives."""
    with Stream("killed", 200) as stream:
        time.sleep(2)
        kubectl("delete", "pod", pods()[0]["metadata"]["name"], "--grace-period=0", "--force")
        time.sleep(5)
    delivered(stream.names, 120)
    rolled_out()


def test_upgrade_and_rollback_under_traffic(release: Path) -> None:
    """A changed configuration rolls the pods, `helm rollback` brings the old one back; nothing is lost on the way."""
    changed = json.loads((release / "2.json").read_text())
    changed["replicas"] = 2
    changed["config"]["batch"]["linger_ms"] = 50
    (release / "3.json").write_text(json.dumps(changed))
    with Stream("upgrade", 100) as stream:
        helm("upgrade", RELEASE, CHART, "-f", release / "3.json", "--wait", "--timeout", "150s")
        upgraded = kubectl("get", "configmap", WORKLOAD, "-o", "jsonpath={.data.config\\.yaml}")
        helm("rollback", RELEASE, "--wait", "--timeout", "150s")
        restored = kubectl("get", "configmap", WORKLOAD, "-o", "jsonpath={.data.config\\.yaml}")
    delivered(stream.names, 90)

    assert "linger_ms: 50" in upgraded
    assert "linger_ms: 100" in restored


def test_keda_scales_between_one_and_the_partition_count(release: Path) -> None:
    """A slow AEP makes the lag grow: KEDA brings a pod for each partition and no more, and takes them away afterwards."""
    keda = {
        "enabled": True,
        "lagThreshold": 50,
        "pollingInterval": 2,
        "scaleDownStabilizationSeconds": 5,
        "excludePersistentLag": False,
    }
    helm("upgrade", RELEASE, CHART, "-f", lab.values(release / "4.json", keda=keda))
    until(
        lambda: any(
            entry["type"] == "Ready" and entry["status"] == "True"
            for entry in lab.objects("scaledobjects")[0]["status"].get("conditions", [])
        ),
        60,
        "the ScaledObject",
    )
    until(lambda: len(pods()) == 1, 90, "one pod without lag")
    lab.fault(action="status", status=503)
    names = produce(f"keda-{number}" for number in range(2000))
    until(lambda: len(pods()) == lab.PARTITIONS, 60, "a pod for each partition")
    time.sleep(5)
    most = len(pods())
    lab.heal()
    delivered(names, 90)
    until(lambda: len(pods()) == 1, 120, "one pod again")

    assert most == lab.PARTITIONS


def test_static_members_come_back_without_a_rebalance(release: Path) -> None:
    """A StatefulSet whose pods are static members: a pod that is replaced within the session time-out gets its partitions back, and the others keep theirs."""
    helm(
        "upgrade",
        RELEASE,
        CHART,
        "-f",
        lab.values(release / "5.json", replicas=2, staticMembership={"enabled": True}),
        "--wait",
        "--timeout",
        "120s",
    )
    kubectl("rollout", "status", f"statefulset/{WORKLOAD}", "--timeout=120s")
    until(
        lambda: (
            [lab.metric(pod, "aep_bridge_assigned_partitions") for pod in pods() if lab.ready(pod)] == [2, 2]
        ),
        60,
        "two partitions each",
    )
    other = next(pod for pod in pods() if pod["metadata"]["name"].endswith("-1"))
    before = lab.metric(other, "aep_bridge_rebalances_total")
    kubectl("delete", "pod", f"{WORKLOAD}-0", "--wait")
    kubectl("rollout", "status", f"statefulset/{WORKLOAD}", "--timeout=120s")
    delivered(produce(f"static-{number}" for number in range(100)))

    assert lab.metric(other, "aep_bridge_rebalances_total") == before


def test_uninstall_leaves_nothing(release: Path) -> None:
    """Nothing of the release is left but the pod of `helm test`, which Helm leaves; and the Secret that was not its own."""
    helm("uninstall", RELEASE, "--wait", "--timeout", "90s", "--cascade", "foreground")
    kinds = "all,configmaps,serviceaccounts,networkpolicies,poddisruptionbudgets,horizontalpodautoscalers"
    kinds += ",scaledobjects,triggerauthentications,podmonitors,servicemonitors,prometheusrules"
    ours = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component!=test"
    left = until(
        lambda: [entry["metadata"]["name"] for entry in lab.objects(kinds, "-l", ours)] or ["nothing"], 5, ""
    )

    assert left == ["nothing"]
    assert kubectl("get", "secret", "aep")
