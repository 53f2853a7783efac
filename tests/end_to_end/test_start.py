"""How it starts, and how it refuses to: exit codes and messages of the real process."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from bridge.simulator import Config, Simulator
from tests.end_to_end.conftest import Configure
from tests.end_to_end.test_delivery import fill, letters, settled
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(120)


def test_a_wrong_configuration_names_file_line_and_key(tmp_path: Path) -> None:
    """One message, exit code 2, before anything is connected."""
    path = tmp_path / "bridge.yaml"
    path.write_text(
        "kafka:\n  bootstrap_servers: kafka:9092\naep:\n  inlet_url: https://x.example/collection/ab12\ntopics:\n  - topic: web\n    datasetid: x\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "run", "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 2
    assert f"{path}:7:" in done.stderr
    assert "dataset_id" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_client_property_is_named(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """librdkafka's refusal is passed on, exit code 2."""
    with (
        Simulator(Config()) as sim,
        Bridge(configure(sim, "t", kafka={"properties": {"fetch.wait.max.ms": "soon"}}), tmp_path) as bridge,
    ):
        assert bridge.process is not None

        assert bridge.process.wait(30) == 2
        assert "fetch.wait.max.ms" in bridge.tail()
        assert "Traceback" not in bridge.tail()


def test_an_admin_port_that_is_taken_is_named(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Exit code 2, not a bridge that nobody can watch."""
    with Simulator(Config()) as sim, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Bridge(configure(sim, "t", admin={"port": port}), tmp_path) as bridge:
            assert bridge.process is not None

            assert bridge.process.wait(30) == 2
            assert str(port) in bridge.tail()


def test_a_compacted_dead_letter_topic_is_an_error_at_start(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """Compaction would delete letters: exit code 2, and the message says what to do."""
    topic = kafka.clients.create_topic(unique("compact"), 1)
    kafka.clients.create_topic(f"{topic}.dlq", 1, cleanup_policy="compact")
    with Simulator(Config()) as sim, Bridge(configure(sim, topic), tmp_path) as bridge:
        assert bridge.process is not None

        assert bridge.process.wait(60) == 2
        assert "cleanup.policy" in bridge.tail()


def test_brokers_that_are_down_at_start_are_waited_for(configure: Configure, tmp_path: Path) -> None:
    """Alive, not ready."""
    with (
        Simulator(Config()) as sim,
        Bridge(configure(sim, "t", kafka={"bootstrap_servers": "127.0.0.1:9"}), tmp_path) as bridge,
    ):
        until(lambda: bridge._get("/livez") == 200, 30, bridge.tail())

        assert bridge._get("/readyz") == 503
        until(
            lambda: any(entry["event"] in ("kafka.error", "kafka.unreachable") for entry in bridge.events()),
            30,
        )

        assert bridge.stop() == 0


def test_a_dead_letter_topic_that_takes_nothing_is_back_pressure(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """While the letter can't be written nothing is committed past its record; when it can, delivery goes on, and nothing was dropped."""
    topic = kafka.clients.create_topic(unique("pressure"), 1)

    def limit(size: int) -> None:
        entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, f"{topic}.dlq", incremental_configs=[entry])
        admin = AdminClient(kafka.properties())
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(10)

    with Simulator(Config()) as sim:
        config = configure(sim, topic, delivery={"backoff_max_s": 1})
        with Bridge(config, tmp_path) as bridge:
            until(
                lambda: any(entry["event"] == "dead_letter.topic" for entry in bridge.events()),
                60,
                bridge.tail(),
            )
            limit(100)
            fill(
                kafka,
                topic,
                [
                    ("ok", envelope("ok", sim.config.org)),
                    ("bad", b"junk" * 100),
                    ("more", envelope("more", sim.config.org)),
                ],
                1,
            )
            until(lambda: bridge.metric("aep_bridge_dead_letter_failures_total") >= 2, 60, bridge.tail())

            assert kafka.clients.committed(config["kafka"]["group_id"], topic).get(0, 0) <= 1
            until(
                lambda: any(
                    "dead-letter topic unavailable" in (each["waits"] or "")
                    for each in bridge.status()["partitions"]
                ),
                20,
                bridge.tail(),
            )
            limit(1_000_000)
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 1), 60, bridge.tail())
        assert list(letters(kafka, topic)) == ["bad"]
        assert sim.accepted.keys() == {"ok", "more"}


def test_the_consumer_protocol_of_kip_848_is_a_property(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """`group.protocol: consumer`, two replicas, one stopped under load: nothing lost, nothing twice."""
    topic = kafka.clients.create_topic(unique("kip848"), 4)
    with Simulator(Config(latency_ms=10)) as sim:
        config = configure(
            sim,
            topic,
            kafka={"properties": {"group.protocol": "consumer"}},
            batch={"linger_ms": 20, "max_messages": 100},
        )
        values = [(f"k{number:05}", envelope(f"k{number:05}", sim.config.org)) for number in range(8_000)]
        with Bridge(config, tmp_path, name="one") as one, Bridge(config, tmp_path, name="two") as two:
            one.wait_ready()
            two.wait_ready()
            fill(kafka, topic, values, 4)

            assert one.stop() == 0
            until(lambda: settled(kafka, config["kafka"]["group_id"], topic, 4), 90, two.tail())
        assert sim.accepted.keys() == {event for event, _ in values}
        assert sim.duplicates == {}
