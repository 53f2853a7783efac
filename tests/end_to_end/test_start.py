"""How the process starts, and how it refuses to: exit codes and messages."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from bridge.simulator import Config, Simulator
from tests.end_to_end.conftest import Configure
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import all_committed, dead_letter_keys, produce_keyed
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)

MISSPELT = """\
kafka:
  bootstrap_servers: kafka:9092
aep:
  inlet_url: https://x.example/collection/ab12
topics:
  - topic: web
    datasetid: x
"""


def test_a_wrong_configuration_names_file_line_and_key(tmp_path: Path) -> None:
    """There is one message and exit code 2, before anything is connected."""
    path = tmp_path / "bridge.yaml"
    path.write_text(MISSPELT)
    command = [sys.executable, "-m", "bridge", "run", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 2
    assert f"{path}:7:" in done.stderr
    assert "dataset_id" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_client_property_is_named(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """The message of librdkafka is passed on, with exit code 2."""
    with Simulator(Config()) as sim:
        config = configure(sim, "t", kafka={"properties": {"fetch.wait.max.ms": "soon"}})
        with Bridge(config, tmp_path) as bridge:
            assert bridge.process is not None

            assert bridge.process.wait(30) == 2
            assert "fetch.wait.max.ms" in bridge.tail()
            assert "Traceback" not in bridge.tail()


def test_an_admin_port_that_is_taken_is_named(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """The exit code is 2: a bridge that nobody can watch must not run."""
    with Simulator(Config()) as sim, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Bridge(configure(sim, "t", admin={"port": port}), tmp_path) as bridge:
            assert bridge.process is not None

            assert bridge.process.wait(30) == 2
            assert str(port) in bridge.tail()


def test_a_compacted_dead_letter_topic_is_an_error_at_the_start(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Compaction would delete dead letters: the exit code is 2, and the message says what to do."""
    topic = kafka.clients.create_topic(unique("compact"), 1)
    kafka.clients.create_topic(f"{topic}.dlq", 1, cleanup_policy="compact")
    with Simulator(Config()) as sim, Bridge(configure(sim, topic), tmp_path) as bridge:
        assert bridge.process is not None

        assert bridge.process.wait(60) == 2
        assert "cleanup.policy" in bridge.tail()


def test_brokers_that_are_down_at_the_start_are_waited_for(configure: Configure, tmp_path: Path) -> None:
    """The process is alive and not ready."""
    with Simulator(Config()) as sim:
        config = configure(sim, "t", kafka={"bootstrap_servers": "127.0.0.1:9"})
        with Bridge(config, tmp_path) as bridge:
            until(lambda: bridge.status_code("/livez") == 200, 30, bridge.tail())

            assert bridge.status_code("/readyz") == 503
            until(lambda: bridge.has_logged("kafka.error") or bridge.has_logged("kafka.unreachable"), 30)

            assert bridge.stop() == 0


def test_a_dead_letter_topic_that_takes_nothing_is_back_pressure(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """While a dead letter can't be written, nothing is committed past its record. Nothing is dropped."""
    topic = kafka.clients.create_topic(unique("pressure"), 1)

    def limit_message_bytes(size: int) -> None:
        entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, f"{topic}.dlq", incremental_configs=[entry])
        admin = AdminClient(kafka.properties())
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(10)

    with Simulator(Config()) as sim:
        config = configure(sim, topic, delivery={"backoff_max_s": 1})
        group = config["kafka"]["group_id"]
        with Bridge(config, tmp_path) as bridge:
            until(lambda: bridge.has_logged("dead_letter.topic_ready"), 60, bridge.tail())
            limit_message_bytes(100)
            first, second = envelope("ok", sim.config.org), envelope("more", sim.config.org)
            events = [("ok", first), ("bad", b"junk" * 100), ("more", second)]
            produce_keyed(kafka, topic, events, 1)
            until(lambda: bridge.metric("aep_bridge_dead_letter_failures_total") >= 2, 60, bridge.tail())

            assert kafka.clients.committed(group, topic).get(0, 0) <= 1

            def reason_shown() -> bool:
                waits = [partition["waits"] or "" for partition in bridge.status()["partitions"]]
                return any("dead-letter topic unavailable" in text for text in waits)

            until(reason_shown, 20, bridge.tail())
            limit_message_bytes(1_000_000)
            until(lambda: all_committed(kafka, group, topic), 60, bridge.tail())
        assert list(dead_letter_keys(kafka, topic)) == ["bad"]
        assert sim.accepted.keys() == {"ok", "more"}


def test_the_consumer_protocol_of_kip_848_is_a_property(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """With `group.protocol: consumer`, a replica that is stopped under load loses and repeats nothing."""
    topic = kafka.clients.create_topic(unique("kip848"), 4)
    with Simulator(Config(latency_ms=10)) as sim:
        config = configure(
            sim,
            topic,
            kafka={"properties": {"group.protocol": "consumer"}},
            batch={"linger_ms": 20, "max_messages": 100},
        )
        names = [f"k{number:05}" for number in range(8_000)]
        with Bridge(config, tmp_path, name="one") as one, Bridge(config, tmp_path, name="two") as two:
            one.wait_ready()
            two.wait_ready()
            produce_keyed(kafka, topic, [(name, envelope(name, sim.config.org)) for name in names], 4)

            assert one.stop() == 0
            until(lambda: all_committed(kafka, config["kafka"]["group_id"], topic, 4), 90, two.tail())
        assert sim.accepted.keys() == set(names)
        assert sim.duplicates == {}
