"""`aep-bridge status`: the status of one replica or all, once or watched."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.simulator import Config, Rule, Simulator
from bridge.statuspage import summary
from tests.operators.conftest import ROOT, Configure, aep_bridge
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)


def test_all_replicas_are_in_one_table(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Two replicas with two partitions each: one table of four; held is exit code 1 with the reason, a replica that is away 3."""
    topic = kafka.clients.create_topic(unique("status"), 4)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        with Bridge(config, tmp_path, name="one") as one, Bridge(config, tmp_path, name="two") as two:
            until(lambda: all(len(each.status().get("partitions", [])) == 2 for each in (one, two)), 60, one.tail())
            kafka.clients.produce(topic, [envelope("s1", sim.config.org)])
            until(lambda: "s1" in sim.accepted, 20)
            seen = json.loads(aep_bridge("status", one.admin, two.admin).stdout)
            assert {0, 1, 2, 3} == {entry["partition"] for replica in seen for entry in replica["partitions"]}
            assert all(entry["per_s"] is not None for replica in seen for entry in replica["partitions"] if entry["watermark"] is not None)
            shown = aep_bridge("status", one.admin, two.admin, "-o", "table").stdout
            assert all(f"{topic}/{number}" in shown for number in range(4))
            watching = subprocess.Popen(
                [sys.executable, "-m", "bridge", "status", one.admin, "--watch", "-o", "json"], stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
            assert [json.loads(watching.stdout.readline())[0]["admin"] for _ in range(2)] == [one.admin] * 2
            watching.send_signal(signal.SIGINT)
            assert 0 == watching.wait(20)
            sim.fault(Rule(action="status", status=404))
            for number in range(4):
                kafka.clients.produce(topic, [envelope("s2", sim.config.org)], partition=number)
            until(lambda: one.status()["summary"]["level"] == "stopped", 40, one.tail())
            held = aep_bridge("status", one.admin, "-o", "table", code=1).stdout
            assert "held" in held
            assert "404" in held
            gone = aep_bridge("status", one.admin, "127.0.0.1:9", code=3)
            assert "is this the admin address of a running bridge" in gone.stderr


def test_the_sentence() -> None:
    """The worst comes first, and what is unknown is not called delivered."""
    well = {"joined": True, "partitions": [{"lag": 0, "uncommitted": 0}], "inlets": []}

    assert "Everything is delivered" == summary(well)["title"]
    assert "not known" in summary({**well, "partitions": [{"lag": None, "uncommitted": 0}]})["title"]
    assert "Delivering" == summary({**well, "partitions": [{"lag": 5, "uncommitted": 0}]})["title"]
    waits = [
        {"inlet": "i", "reason": "status 429", "next_try_s": 12, "detail": ""},
        {"inlet": "i", "reason": "dead-letter topic unavailable", "next_try_s": 1, "detail": "x"},
    ]
    told = summary({**well, "waits": waits, "tokens": {"i": {"error": "invalid_client", "expires_in_s": None}}})
    assert "stopped" == told["level"]
    assert ["stopped", "stopped", "waiting"] == [reason["level"] for reason in told["reasons"]]
    assert "Waiting for Kafka" in summary({"joined": False, "partitions": []})["title"]
