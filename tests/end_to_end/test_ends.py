"""How the process ends when it can't go on: a fatal client, a drain that hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bridge.demo.mock_cluster import MockCluster
from tests.support.bridge import Bridge
from tests.support.clients import until

pytestmark = pytest.mark.timeout(120)

HEARTBEAT, FENCED_INSTANCE_ID = 12, 82

HANGING = """
import sys, threading
from bridge.app import service
from bridge.cli import main
from bridge.kafka.consumer import KafkaConsumer

service.WATCHDOG_S = 0.5
KafkaConsumer.{method} = lambda *_: threading.Event().wait()
sys.argv = ["aep-bridge", "run", "--config", sys.argv[1]]
main()
"""
"""`aep-bridge run` with a client of which a call never returns, and a watchdog that is quicker than the real one."""


STUCK = """
import ctypes, sys, threading
from bridge.app import service
from bridge.ops import shutdown as watchdog
from bridge.cli import main
from bridge.engine.loop import Pump

service.HUNG_S, service.WATCHDOG_S, watchdog.LOOK_S = 1.0, 0.1, 0.5
turn = Pump.turn

def stuck(pump, source):
    turn(pump, source)
    if pump.ledger.lanes:
        {call}

Pump.turn = stuck
sys.argv = ["aep-bridge", "run", "--config", sys.argv[1]]
main()
"""
"""`aep-bridge run` whose loop stands still once it has a partition."""


def configuration(bootstrap: str, **properties: object) -> dict[str, object]:
    """One topic, an AEP that is never asked."""
    return {
        "kafka": {"bootstrap_servers": bootstrap, "group_id": "g", "properties": properties},
        "aep": {"inlet_url": "http://127.0.0.1:9/collection/ab12", "ims_org_id": "A@AdobeOrg"},
        "topics": [{"topic": "t"}],
        "delivery": {"request_timeout_s": 0.5, "drain_timeout_s": 0.5},
    }


def test_a_fatal_client_error_ends_the_process_with_1(tmp_path: Path) -> None:
    """A static member whose id another process took over: nothing can be read any more, and an orchestrator has to see it."""
    with MockCluster(topics={"t": 1, "t.dlq": 1}) as kafka:
        config = configuration(kafka.bootstrap, **{"group.instance.id": "a", "heartbeat.interval.ms": 100})
        with Bridge(config, tmp_path) as bridge:
            bridge.wait_assigned(1)
            kafka.fail_next(HEARTBEAT, [FENCED_INSTANCE_ID])
            assert bridge.process is not None

            assert bridge.process.wait(30) == 1, bridge.tail()
            told = [each for each in bridge.events() if each["event"] == "kafka.fatal"]
            assert len(told) == 1, bridge.tail()
            assert "fenced" in told[0]["error"]


@pytest.mark.parametrize(
    ("method", "code", "told"),
    [
        ("uncommitted", 70, ["the drain hangs; all stacks follow", "in drain"]),
        ("close", 0, ["drain.brokers_silent", "what is not committed is read again"]),
    ],
    ids=["in our hands", "in the brokers'"],
)
def test_a_drain_that_hangs_is_ended(method: str, code: int, told: list[str], tmp_path: Path) -> None:
    """Within one deadline, with all stacks. Where only the leaving of the group is left, brokers are away, which is told and no fault of the process."""
    path, log = tmp_path / "bridge.yaml", tmp_path / "bridge.log"
    with MockCluster(topics={"t": 1, "t.dlq": 1}) as kafka:
        path.write_text(
            yaml.safe_dump(configuration(kafka.bootstrap) | {"admin": {"host": "127.0.0.1", "port": 0}})
        )
        with (
            log.open("wb") as out,
            subprocess.Popen(
                [sys.executable, "-c", HANGING.replace("{method}", method), str(path)],
                stdout=out,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                until(lambda: "partition.assigned" in log.read_text(), 60, "a partition")
                process.send_signal(signal.SIGTERM)

                assert process.wait(30) == code, log.read_text()
            finally:
                process.kill()
    for text in told:
        assert text in log.read_text()


@pytest.mark.parametrize(
    "call",
    ["threading.Event().wait()", "ctypes.PyDLL(None).sleep(100)"],
    ids=["waiting", "with the interpreter held"],
)
def test_a_loop_that_stands_still_for_good_ends_the_process(call: str, tmp_path: Path) -> None:
    """A call into a client that never returns: nobody may wait for it for ever, whether or not anybody asks `/livez`."""
    path, log = tmp_path / "bridge.yaml", tmp_path / "bridge.log"
    with MockCluster(topics={"t": 1, "t.dlq": 1}) as kafka:
        path.write_text(
            yaml.safe_dump(configuration(kafka.bootstrap) | {"admin": {"host": "127.0.0.1", "port": 0}})
        )
        command = [sys.executable, "-c", STUCK.replace("{call}", call), str(path)]
        with (
            log.open("wb") as out,
            subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process,
        ):
            try:
                assert process.wait(60) == 1, log.read_text()
            finally:
                process.kill()
    assert "partition.assigned" in log.read_text()
    assert "in stuck" in log.read_text()
