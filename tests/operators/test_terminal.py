"""Every command that reads shows text on a terminal and JSON in a pipe, with the same facts in both.

The brokers are behind SASL and TLS.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator import Config, Rule, Simulator
from tests.operators.conftest import Configure, aep_bridge, on_a_terminal, write
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import PASSWORD, Kafka
from tests.support.terminal import CTRL_C
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(170)


def shown(*arguments: object, code: int = 0) -> str:
    """Return what a command shows on a terminal."""
    with on_a_terminal(*arguments) as terminal:
        assert terminal.wait(90) == code, terminal.text
        return terminal.text


def test_every_reading_command_over_sasl_and_tls(
    secure_kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """check, run, status, partitions and dlq work against SASL_SSL with SCRAM, for people and for scripts.

    The password appears nowhere.
    """
    topic = secure_kafka.clients.create_topic(unique("over-tls"), 2)
    properties: dict[str, Any] = secure_kafka.properties("SASL_SSL")
    servers = properties.pop("bootstrap.servers")
    (tmp_path / "sasl").write_text(properties.pop("sasl.password") + "\n")
    properties["sasl.password_file"] = str(tmp_path / "sasl")
    printed: list[str] = []

    def both(*arguments: object, code: int = 0) -> tuple[str, Any]:
        """Return what a command shows on a terminal, and what it gives a script."""
        text = shown(*arguments, code=code)
        piped = aep_bridge(*arguments, code=code)
        printed.extend([text, piped.stdout, piped.stderr])
        assert piped.stdout == "" or "│" not in piped.stdout
        return text, json.loads(piped.stdout)

    with Simulator(Config()) as sim:
        config = configure(sim, topic, kafka={"bootstrap_servers": servers, "properties": properties})
        sim.fault(Rule(action="messages", status=400, body="not today"))
        secure_kafka.clients.produce(topic, [envelope(f"s{number}", sim.config.org) for number in range(20)])
        with Bridge(config, tmp_path) as bridge:
            until(
                lambda: secure_kafka.clients.committed(config["kafka"]["group_id"], topic).get(0) == 20,
                60,
                bridge.tail(),
            )
            text, statuses = both("status", bridge.admin_url)
            assert f"{topic}/0" in text
            assert statuses[0]["partitions"][0]["topic"] == topic
            with on_a_terminal("status", bridge.admin_url, "--watch") as watching:
                watching.expect(f"{topic}/1")
                watching.type_text(CTRL_C)
                assert watching.wait() == 0
            assert bridge.stop() == 0
        sim.faults.clear()
        file = write(config, tmp_path / "bridge.yaml")

        text, findings = both("check", "-c", file)
        assert "answer over SASL_SSL" in text
        assert {each["level"] for each in findings} == {"ok"}
        text, counts = both("partitions", "-c", file)
        assert counts["topics"] == {topic: 2}
        assert topic in text
        text, groups = both("dlq", "list", "-c", file)
        assert groups[0]["count"] == 20
        assert "not today" in text
        text, letter = both("dlq", "show", f"{topic}/0/0", "-c", file)
        assert letter["payload"]["body"]["xdmEntity"]["_id"] == "s0"
        assert '"_id": "s0"' in text
        text, stats = both("dlq", "stats", "-c", file)
        assert stats["total"] == 20
        assert "20 dead letters" in text
        text, plan = both("dlq", "replay", "-c", file)
        assert plan["replay"] == 20
        assert "20 to replay" in text
        assert "Nothing was sent" in text

        text = shown("dlq", "replay", "-c", file, "--yes", "--rate", "20")
        assert "20/20" in text  # the progress bar
        assert "20 delivered, 0 dead-lettered again, 0 parked, 0 left" in text
        assert len(sim.accepted) == 20
        assert "20 replayed already" in shown("dlq", "replay", "-c", file)
    printed.append(text)

    assert PASSWORD not in "".join(printed)


def test_ctrl_c_on_a_terminal_leaves_a_replay_where_it_stands(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """After one Ctrl-C, what is under way is settled, and the summary says where it stands and what to do.

    The same command goes on.
    """
    topic = kafka.clients.create_topic(unique("ctrl-c"), 1)
    with Simulator(Config()) as sim:
        config = configure(sim, topic)
        sim.fault(Rule(action="messages", status=400, body="not today"))
        kafka.clients.produce(topic, [envelope(f"c{number}", sim.config.org) for number in range(100)])
        with Bridge(config, tmp_path) as bridge:
            until(
                lambda: kafka.clients.committed(config["kafka"]["group_id"], topic).get(0) == 100,
                60,
                bridge.tail(),
            )
            assert bridge.stop() == 0
        sim.faults.clear()
        file = write(config, tmp_path / "bridge.yaml")
        with on_a_terminal("dlq", "replay", "-c", file, "--yes", "--rate", "10") as terminal:
            terminal.expect("100 to replay")
            until(lambda: len(sim.accepted) >= 5, 40, "nothing was replayed")
            terminal.type_text(CTRL_C)
            assert terminal.wait() == 1
            assert "Interrupted at" in terminal.text
            assert "run the same command to go on" in terminal.text
        assert 5 <= len(sim.accepted) < 100
        assert "0 left" in shown("dlq", "replay", "-c", file, "--yes")
        assert len(sim.accepted) == 100
        assert sim.duplicates == {}


def test_configuration_and_wrong_use(tmp_path: Path) -> None:
    """The configuration's commands print text in a pipe too, and JSON with `-o json`.

    A form that does not exist is exit code 2, and names those that do.
    """
    with Simulator(Config()) as sim:
        aep = {"inlet_url": sim.inlet_url}
    file = write(
        {"kafka": {"bootstrap_servers": "k:1"}, "aep": aep, "topics": [{"topic": "t"}]},
        tmp_path / "bridge.yaml",
    )
    assert "bootstrap_servers: k:1" in shown("config", "show", "-c", file)
    assert (
        json.loads(aep_bridge("config", "show", "-c", file, "-o", "json").stdout)["kafka"][
            "bootstrap_servers"
        ]
        == "k:1"
    )
    assert "milliseconds" in shown("config", "explain", "batch.linger_ms").lower()
    assert (
        json.loads(aep_bridge("config", "explain", "batch.linger_ms", "-o", "json").stdout)["key"]
        == "batch.linger_ms"
    )
    for command in (
        ("status",),
        ("check", "-c", file),
        ("partitions", "-c", file),
        ("dlq", "list", "-c", file),
        ("config", "show", "-c", file),
        ("demo",),
    ):
        wrong = aep_bridge(*command, "-o", "xml", code=2).stderr
        assert "'xml' is not one of" in wrong
        assert "'json'" in wrong
