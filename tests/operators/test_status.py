"""`aep-bridge status`: the status of one replica or all, once or watched."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.codec.routes import Route
from bridge.model import Format
from bridge.ops.status_page import add_route_names, route_totals, summary
from bridge.simulator import Config, Rule, Simulator
from tests.operators.conftest import ROOT, Configure, aep_bridge
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)


def test_all_replicas_are_in_one_table(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Two replicas with two partitions each make one table of four.

    A held inlet is exit code 1, with the reason; a replica that is away is 3.
    """
    topic = kafka.clients.create_topic(unique("status"), 4)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        with Bridge(config, tmp_path, name="one") as one, Bridge(config, tmp_path, name="two") as two:
            until(
                lambda: all(len(each.status().get("partitions", [])) == 2 for each in (one, two)),
                60,
                one.tail(),
            )
            kafka.clients.produce(topic, [envelope("s1", sim.config.org)])
            until(lambda: "s1" in sim.accepted, 20)
            seen = json.loads(aep_bridge("status", one.admin_url, two.admin_url).stdout)
            assert {entry["partition"] for replica in seen for entry in replica["partitions"]} == {0, 1, 2, 3}

            def rates() -> bool:
                """A rate needs a watermark at two looks, so the first look after the
                first record may have none.
                """
                again = json.loads(aep_bridge("status", one.admin_url, two.admin_url).stdout)
                marked = [
                    entry
                    for replica in again
                    for entry in replica["partitions"]
                    if entry["watermark"] is not None
                ]
                return bool(marked) and all(entry["per_s"] is not None for entry in marked)

            until(rates, 20)
            shown = aep_bridge("status", one.admin_url, two.admin_url, "-o", "table").stdout
            assert all(f"{topic}/{number}" in shown for number in range(4))
            assert f"{topic} → inlet {seen[0]['routes'][0]['inlet']}" in shown
            assert [replica["routes"][0]["partitions"] for replica in seen] == [2, 2]
            assert all(
                0
                < replica["memory"]["now_bytes"]
                <= replica["memory"]["peak_bytes"]
                < replica["memory"]["ceiling_bytes"]
                for replica in seen
            )
            watching = subprocess.Popen(
                [sys.executable, "-m", "bridge", "status", one.admin_url, "--watch", "-o", "json"],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            assert [json.loads(watching.stdout.readline())[0]["admin"] for _ in range(2)] == [
                one.admin_url
            ] * 2
            watching.send_signal(signal.SIGINT)
            assert watching.wait(20) == 0
            sim.fault(Rule(action="status", status=404))
            for number in range(4):
                kafka.clients.produce(topic, [envelope("s2", sim.config.org)], partition=number)
            until(lambda: one.status()["summary"]["level"] == "stopped", 40, one.tail())
            held = aep_bridge("status", one.admin_url, "-o", "table", code=1).stdout
            assert "held" in held
            assert "404" in held
            gone = aep_bridge("status", one.admin_url, "127.0.0.1:9", code=3)
            assert "is this the admin address of a running bridge" in gone.stderr


def test_routes_in_sum() -> None:
    """A route's lag is the sum of its partitions' lags, and unknown while one of them is.

    A topic takes the first route that matches, and a route without a partition is shown too.
    """
    routes = [
        Route("a", Format.RAW, "in", "d"),
        Route("^a.*", Format.RAW, "in", None),
        Route("b", Format.RAW, "in", None),
    ]
    partitions = [
        {
            "topic": topic,
            "partition": number,
            "lag": lag,
            "oldest_unsettled_s": lag or 0,
            "waits": waits,
            "paused": False,
        }
        for topic, number, lag, waits in (("a", 0, 3, "429"), ("a", 1, 4, None), ("ab", 0, None, None))
    ]
    entries = add_route_names(routes, partitions)
    summed = route_totals(routes, entries)

    assert [entry["route"] for entry in entries] == ["a", "a", "^a.*"]
    assert [
        (each["route"], each["partitions"], each["lag"], each["oldest_unsettled_s"], each["waiting"])
        for each in summed
    ] == [("a", 2, 7, 4, 1), ("^a.*", 1, None, 0, 0), ("b", 0, 0, 0.0, 0)]
    assert [each["dead_letter_topic"] for each in summed] == ["a.dlq", "<topic>.dlq", "b.dlq"]


def test_the_sentence() -> None:
    """The worst comes first, and what is unknown is not called delivered."""
    well = {"joined": True, "partitions": [{"lag": 0, "uncommitted": 0}], "inlets": []}

    assert summary(well)["title"] == "Everything is delivered"
    assert "not known" in summary({**well, "partitions": [{"lag": None, "uncommitted": 0}]})["title"]
    assert summary({**well, "partitions": [{"lag": 5, "uncommitted": 0}]})["title"] == "Delivering"
    waits = [
        {"inlet": "i", "reason": "status 429", "next_try_s": 12, "detail": ""},
        {"inlet": "i", "reason": "dead-letter topic unavailable", "next_try_s": 1, "detail": "x"},
    ]
    stopped = summary(
        {**well, "waits": waits, "tokens": {"i": {"error": "invalid_client", "expires_in_s": None}}}
    )
    assert stopped["level"] == "stopped"
    assert [reason["level"] for reason in stopped["reasons"]] == ["stopped", "stopped", "waiting"]
    assert "Waiting for Kafka" in summary({"joined": False, "partitions": []})["title"]
