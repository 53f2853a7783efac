"""How the process ends when it can't go on: a fatal client error, a hanging drain, a standing loop."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from bridge.demo.mock_cluster import MockCluster
from tests.support.bridge import Bridge
from tests.support.clients import until

pytestmark = pytest.mark.timeout(120)

HEARTBEAT_REQUEST, FENCED_INSTANCE_ID = 12, 82
"""Kafka's numbers of the request and of the error."""

HANGING_DRAIN = """
import sys, threading
from bridge.cli import main
from bridge.kafka.consumer import KafkaConsumer
from bridge.ops import shutdown

shutdown.DRAIN_GRACE_S = 0.5
KafkaConsumer.{method} = lambda *_: threading.Event().wait()
sys.argv = ["aep-bridge", "run", "--config", sys.argv[1]]
main()
"""
"""`aep-bridge run` with a client of which one method never returns, and with a short watchdog."""


STANDING_LOOP = """
import ctypes, sys, threading
from bridge.cli import main
from bridge.engine.engine import Engine
from bridge.engine.loop import Loop
from bridge.ops import shutdown

shutdown.HUNG_S, shutdown.DRAIN_GRACE_S, shutdown.CHECK_INTERVAL_S = 1.0, 0.1, 0.5
turn, assigned = Loop.turn, Engine.assigned
has_partition = threading.Event()

def noting_assigned(engine, offsets):
    has_partition.set()
    return assigned(engine, offsets)

def standing_turn(loop, source):
    turn(loop, source)
    if has_partition.is_set():
        {call}

Loop.turn, Engine.assigned = standing_turn, noting_assigned
sys.argv = ["aep-bridge", "run", "--config", sys.argv[1]]
main()
"""
"""`aep-bridge run` whose loop stands still once it has a partition."""


def configuration(bootstrap: str, **properties: object) -> dict[str, object]:
    """Return a configuration with one topic, and an AEP that is never asked."""
    return {
        "kafka": {"bootstrap_servers": bootstrap, "group_id": "g", "properties": properties},
        "aep": {"inlet_url": "http://127.0.0.1:9/collection/ab12", "ims_org_id": "A@AdobeOrg"},
        "topics": [{"topic": "t"}],
        "delivery": {"request_timeout_s": 0.5, "drain_timeout_s": 0.5},
    }


@contextmanager
def running(script: str, bootstrap: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a script with a configuration file as its argument. Give the process and its log."""
    config_path, log_path = folder / "bridge.yaml", folder / "bridge.log"
    config = configuration(bootstrap) | {"admin": {"host": "127.0.0.1", "port": 0}}
    config_path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-c", script, str(config_path)]
    with (
        log_path.open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process, log_path
        finally:
            process.kill()


def test_a_fatal_client_error_ends_the_process_with_1(tmp_path: Path) -> None:
    """A static member whose id another process took can read nothing more; orchestrators must see that."""
    with MockCluster(topics={"t": 1, "t.dlq": 1}) as kafka:
        config = configuration(kafka.bootstrap, **{"group.instance.id": "a", "heartbeat.interval.ms": 100})
        with Bridge(config, tmp_path) as bridge:
            bridge.wait_assigned(1)
            kafka.fail_next(HEARTBEAT_REQUEST, [FENCED_INSTANCE_ID])
            assert bridge.process is not None

            assert bridge.process.wait(30) == 1, bridge.tail()
            errors = bridge.log_entries("kafka.fatal")
            assert len(errors) == 1, bridge.tail()
            assert "fenced" in errors[0]["error"]


@pytest.mark.parametrize(
    ("method", "code", "logged"),
    [
        ("uncommitted", 70, ["the drain hangs; all stacks follow", "in drain"]),
        ("close", 0, ["drain.brokers_silent", "what is not committed is read again"]),
    ],
    ids=["in our hands", "in the brokers'"],
)
def test_a_drain_that_hangs_is_ended_within_its_deadline(
    method: str, code: int, logged: list[str], tmp_path: Path
) -> None:
    """All stacks are logged. If only leaving the group hangs, brokers are away, and the exit code is 0."""
    script = HANGING_DRAIN.replace("{method}", method)
    with MockCluster(topics={"t": 1, "t.dlq": 1}) as kafka, running(script, kafka.bootstrap, tmp_path) as run:
        process, log = run
        until(lambda: "partition.assigned" in log.read_text(), 60, "a partition")
        process.send_signal(signal.SIGTERM)

        assert process.wait(30) == code, log.read_text()
    assert [text for text in logged if text not in log.read_text()] == []


@pytest.mark.parametrize(
    "call",
    ["threading.Event().wait()", "ctypes.PyDLL(None).sleep(100)"],
    ids=["waiting", "with the interpreter held"],
)
def test_a_loop_that_stands_still_for_good_ends_the_process(call: str, tmp_path: Path) -> None:
    """The process must not wait for ever for a client's call, whether or not anybody asks /livez."""
    script = STANDING_LOOP.replace("{call}", call)
    with MockCluster(topics={"t": 1, "t.dlq": 1}) as kafka, running(script, kafka.bootstrap, tmp_path) as run:
        process, log = run

        assert process.wait(60) == 1, log.read_text()
    assert "partition.assigned" in log.read_text()
    assert "in standing_turn" in log.read_text()
