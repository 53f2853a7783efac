"""Outages, restarts and signals on a real broker: nothing is lost, and every event is counted by its id."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.simulator import Config, Rule, Simulator
from tests.end_to_end.conftest import Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import all_committed, dead_letter_keys, produce_keyed
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(240)


def keyed_events(prefix: str, count: int, org: str) -> list[tuple[str, bytes]]:
    """Return ids and values of so many good events."""
    names = [f"{prefix}{number:05}" for number in range(count)]
    return [(name, envelope(name, org)) for name in names]


def test_a_kill_under_load_loses_nothing(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """After SIGKILL with requests in flight and a restart, no more comes twice than the contract says."""
    topic = kafka.clients.create_topic(unique("kill"), 4)
    max_uncommitted, max_in_flight, batch_messages, latency_s, commit_interval_s = 1000, 8, 50, 0.06, 0.5
    with Simulator(Config(latency_ms=1000 * latency_s)) as sim:
        events = keyed_events("k", 20_000, sim.config.org)
        produce_keyed(kafka, topic, events, 4)
        config = configure(
            sim,
            topic,
            batch={"linger_ms": 50, "max_messages": batch_messages},
            delivery={"max_uncommitted_records": max_uncommitted, "max_in_flight": max_in_flight},
            kafka={
                "properties": {"session.timeout.ms": 4000}
            },  # so long a killed member holds its partitions
        )
        for _ in range(3):
            before = len(sim.accepted)
            with Bridge(config, tmp_path) as bridge:
                until(lambda before=before: len(sim.accepted) > before + 5000, 60, bridge.tail())
                bridge.kill()
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic, 4), 120, bridge.tail())

            assert bridge.stop() == 0
        assert sim.accepted.keys() == {event for event, _ in events}
        assert dead_letter_keys(kafka, topic) == {}
        # What may be settled in one commit interval, with every slot always in use.
        settled_per_commit = max_in_flight * batch_messages / latency_s * commit_interval_s
        duplicates = sum(count - 1 for count in sim.accepted.values())
        assert duplicates <= 3 * (4 * max_uncommitted + settled_per_commit)


def test_a_rolling_restart_loses_nothing_and_repeats_nothing(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Three replicas are stopped by SIGTERM and started again under load. Each event arrives exactly once."""
    topic = kafka.clients.create_topic(unique("roll"), 6)
    with Simulator(Config(latency_ms=20)) as sim:
        config = configure(sim, topic, batch={"linger_ms": 20, "max_messages": 100})
        replicas = [Bridge(config, tmp_path, name=f"replica-{number}").start() for number in range(3)]
        try:
            for replica in replicas:
                replica.wait_ready()
            events = keyed_events("r", 30_000, sim.config.org)
            for number, replica in enumerate(replicas):
                produce_keyed(kafka, topic, events[number * 10_000 : (number + 1) * 10_000], 6)

                assert replica.stop() == 0
                again = Bridge(config, tmp_path, name=f"replica-{number}-again")
                replicas[number] = again.start().wait_ready()
            group = config["kafka"]["group_id"]
            until(lambda: all_committed(kafka, group, topic, 6), 120, replicas[0].tail())
            for replica in replicas:
                assert replica.stop() == 0
        finally:
            for replica in replicas:
                replica.kill()
        assert sim.accepted.keys() == {event for event, _ in events}
        assert sim.duplicates == {}


@pytest.mark.parametrize("status", [500, 404, 407, 403, 503, 400])
def test_an_aep_that_refuses_everything_for_a_while_dead_letters_nothing(
    status: int, kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """The fault is the inlet's: nothing is dead-lettered or lost, and delivery goes on when it recovers."""
    topic = kafka.clients.create_topic(unique("outage"), 3)
    with Simulator(Config()) as sim:
        events = keyed_events("o", 3_000, sim.config.org)
        produce_keyed(kafka, topic, events, 3)
        rule = sim.fault(Rule(action="status", status=status))
        config = configure(sim, topic, delivery={"backoff_max_s": 2})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: sim.faults.fired(rule) >= 6, 60, bridge.tail())

            assert bridge.status_code("/livez") == 200
            assert bridge.status_code("/readyz") == 200
            until(lambda: any(inlet["held"] for inlet in bridge.status()["inlets"]), 10, "no inlet is held")
            sim.faults.clear()
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic, 3), 90, bridge.tail())

            assert bridge.stop() == 0
        assert sim.accepted.keys() == {event for event, _ in events}
        assert dead_letter_keys(kafka, topic) == {}


def test_an_aep_that_is_down_at_the_start_is_waited_for(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """The bridge is alive and ready although connections are refused, and delivers when AEP is there."""
    topic = kafka.clients.create_topic(unique("down"), 2)
    sim = Simulator(Config())
    with sim:
        pass  # it has a port now, on which nothing listens
    events = keyed_events("d", 1_000, sim.config.org)
    produce_keyed(kafka, topic, events, 2)
    config = configure(sim, topic, delivery={"backoff_max_s": 1})
    with Bridge(config, tmp_path) as bridge:
        bridge.wait_ready()
        until(lambda: bridge.metric("aep_bridge_requests_total", status="connection") >= 3, 30, bridge.tail())
        with sim:
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic, 2), 60, bridge.tail())

            assert bridge.stop() == 0
    assert sim.accepted.keys() == {event for event, _ in events}


def test_sigterm_drains_what_was_read(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """After a SIGTERM everything that was read is delivered and committed, so a restart repeats nothing."""
    topic = kafka.clients.create_topic(unique("drain"), 2)
    with Simulator(Config(latency_ms=100)) as sim:
        events = keyed_events("s", 10_000, sim.config.org)
        produce_keyed(kafka, topic, events, 2)
        config = configure(sim, topic, batch={"linger_ms": 50, "max_messages": 200})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: len(sim.accepted) > 500, 60, bridge.tail())

            assert bridge.stop() == 0
            assert bridge.log_entries("drain.finished")[0]["abandoned_records"] == 0
        with Bridge(config, tmp_path, name="again") as bridge:
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic, 2), 60, bridge.tail())
        assert sim.accepted.keys() == {event for event, _ in events}
        assert sim.duplicates == {}


def test_a_second_sigterm_ends_the_process_at_once(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """The drain waits for an AEP that hangs, and the second SIGTERM does not."""
    topic = kafka.clients.create_topic(unique("second"), 1)
    with Simulator(Config()) as sim:
        sim.fault(Rule(action="hang"))
        produce_keyed(kafka, topic, [("x", envelope("x", sim.config.org))], 1)
        with Bridge(configure(sim, topic), tmp_path) as bridge:
            until(lambda: sim.stats["in_flight"] >= 1, 60, bridge.tail())
            bridge.signal(signal.SIGTERM)
            until(lambda: bridge.has_logged("drain.started"), 10)
            bridge.signal(signal.SIGTERM)
            assert bridge.process is not None

            assert bridge.process.wait(5) == 128 + signal.SIGTERM


def test_skip_moves_a_poison_record_and_notes_who_and_why(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """An operator moves a record that AEP always answers with 503; without the right token nothing moves."""
    topic = kafka.clients.create_topic(unique("skip"), 1)
    (tmp_path / "token").write_text("open sesame\n")
    (tmp_path / "wrong").write_text("wrong")
    with Simulator(Config()) as sim:
        sim.fault(Rule(action="messages", status=503, marker="poison"))
        events = [
            (key, envelope(name, sim.config.org)) for key, name in (("a", "a"), ("p", "poison"), ("z", "z"))
        ]
        produce_keyed(kafka, topic, events, 1)
        config = configure(sim, topic, admin={"token_file": str(tmp_path / "token")})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: len(sim.accepted) == 2, 60, bridge.tail())

            def skip(token: str) -> subprocess.CompletedProcess[str]:
                command = [sys.executable, "-m", "bridge", "skip", f"{topic}/0/1"]
                command += ["--why", "ticket 4711", "--who", "ada"]
                command += ["--token-file", str(tmp_path / token), "--admin", bridge.admin_url]
                return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

            assert skip("wrong").returncode == 2
            done = skip("token")

            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() == f"moved to {topic}.dlq"
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic, 1), 30, bridge.tail())
        letter = kafka.clients.read_all(f"{topic}.dlq")[0]
        headers = dict(letter.headers())

        assert letter.key() == b"p"
        assert headers["aep.reason"] == b"skipped"
        assert headers["aep.skipped.by"] == b"ada"
        assert headers["aep.skipped.why"] == b"ticket 4711"
