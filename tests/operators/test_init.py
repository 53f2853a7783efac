"""`aep-bridge init`: `check` accepts what it writes, and a connector is taken over with its offsets."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml

from bridge.cli.init import EXAMPLE_INLET
from bridge.simulator import Config, Simulator
from tests.operators.conftest import aep_bridge, on_a_terminal
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.xdm import DATASETS, envelope
from tests.unit.migration.connectors import connector

pytestmark = pytest.mark.timeout(120)


def test_flags_are_enough_and_check_accepts_it(kafka: Kafka, tmp_path: Path) -> None:
    """They make a commented file that `check` accepts. A file that exists is not overwritten."""
    topic, file = kafka.clients.create_topic(unique("init"), 1), tmp_path / "bridge.yaml"
    with Simulator(Config()) as sim:
        flags = (
            "--bootstrap-servers",
            kafka.bootstrap(),
            "--topic",
            topic,
            "--inlet-url",
            sim.inlet_url,
            "--ims-org-id",
            sim.config.org,
        )
        aep_bridge("init", file, *flags)
        assert "# " in file.read_text()
        aep_bridge("check", "-c", file)
        assert "--force" in aep_bridge("init", file, *flags, code=2).stderr
    assert "--bootstrap-servers is needed" in aep_bridge("init", tmp_path / "x.yaml", code=2, stdin="").stderr
    wrong = aep_bridge("init", tmp_path / "y.yaml", *flags[:-2], "--format", "entity", code=2).stderr
    assert "dataset_id" in wrong


def test_on_a_terminal_it_asks_for_what_is_missing(kafka: Kafka, tmp_path: Path) -> None:
    """Answers make a file that `check` accepts, and a wrong URL is asked for again.

    Ctrl-C writes nothing; if every flag is there, nothing is asked.
    """
    first, second, file = (
        *(kafka.clients.create_topic(unique("asked"), 1) for _ in range(2)),
        tmp_path / "bridge.yaml",
    )
    with Simulator(Config()) as sim:
        with on_a_terminal("init", file) as terminal:
            terminal.expect("Kafka's brokers [kafka:9092]: ")
            terminal.type_text(kafka.bootstrap() + "\n")
            terminal.expect("Topics, separated by commas [web-events]: ")
            terminal.type_text(f"{first}, {second},\n")
            terminal.expect("The streaming endpoint's URL")
            terminal.type_text("nonsense\n")
            terminal.expect("Error: ")
            terminal.expect("The streaming endpoint's URL")
            terminal.type_text(sim.inlet_url + "\n")
            terminal.expect("whole messages")
            terminal.type_text("n\n")
            for question, answer in (
                ("dataset's id", DATASETS[0]),
                ("schema's URL", "https://ns.adobe.com/t/schemas/1"),
                ("organisation", sim.config.org),
            ):
                terminal.expect(question)
                terminal.type_text(answer + "\n")
            terminal.expect("Client id")
            terminal.type_text("\n")
            terminal.expect("aep-bridge check --config")
            assert terminal.wait() == 0
        config = yaml.safe_load(file.read_text())
        entry = {
            "format": "entity",
            "dataset_id": DATASETS[0],
            "schema_id": "https://ns.adobe.com/t/schemas/1",
        }
        assert config["topics"] == [{"topic": first, **entry}, {"topic": second, **entry}]
        assert config["aep"] == {"inlet_url": sim.inlet_url, "ims_org_id": sim.config.org}
        aep_bridge("check", "-c", file)

        with on_a_terminal("init", tmp_path / "never.yaml") as terminal:
            terminal.expect("Kafka's brokers")
            assert terminal.interrupt() == 1
        assert not (tmp_path / "never.yaml").exists()

        (tmp_path / "client-secret").write_text("s")
        flags = (
            "--bootstrap-servers",
            "k:1",
            "--topic",
            "t",
            "--client-secret-file",
            tmp_path / "client-secret",
        )
        with on_a_terminal("init", tmp_path / "auth.yaml", *flags) as terminal:
            terminal.expect("The streaming endpoint's URL")
            terminal.type_text("\n")
            terminal.expect("[Y/n]")
            terminal.type_text("\n")
            terminal.expect("Client id")
            terminal.type_text("my-client\n")
            assert terminal.wait() == 0
        config = yaml.safe_load((tmp_path / "auth.yaml").read_text())
        assert (
            config["aep"]["auth"]["client_id"],
            config["topics"][0]["format"],
            config["aep"]["inlet_url"],
        ) == ("my-client", "envelope", EXAMPLE_INLET)

        with on_a_terminal("init", tmp_path / "flags.yaml", *flags, "--inlet-url", sim.inlet_url) as terminal:
            assert terminal.wait() == 0
            assert "[" not in terminal.text.replace("[0m", "")


def test_a_connector_is_moved_over_with_its_offsets(kafka: Kafka, tmp_path: Path) -> None:
    """The bridge begins where the connector stopped, and a dry run changes nothing.

    Every setting is accounted for, and the secret goes to a file of its own.
    """
    topic = kafka.clients.create_topic(unique("moved"), 1)
    with Simulator(Config(require_auth=True, client_secrets=("secret-canary",))) as sim:
        kafka.clients.produce(topic, [envelope(f"c{number}", sim.config.org) for number in range(10)])
        posted = connector(
            topic, sim.inlet_url, **{"aep.connection.auth.endpoint": sim.token_url, "transforms": "x"}
        )
        source, file = tmp_path / "connector.json", tmp_path / "bridge.yaml"
        source.write_text(json.dumps(posted))
        flags = (
            "init",
            file,
            "--from-connect",
            source,
            "--bootstrap-servers",
            kafka.bootstrap(),
            "--client-secret-file",
            tmp_path / "client-secret",
        )
        group = f"connect-sink-{topic}"
        from confluent_kafka import Consumer, TopicPartition

        done = Consumer({**kafka.properties(), "group.id": group, "enable.auto.commit": False})
        done.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=False)
        done.close()
        printed = aep_bridge(*flags, "--take-offsets").stdout
        assert "secret-canary" not in printed + file.read_text()
        assert (tmp_path / "client-secret").read_text().strip() == "secret-canary"
        assert stat.S_IMODE((tmp_path / "client-secret").stat().st_mode) == 0o600
        assert all(name in printed for name in posted["config"] if not name.startswith("topics"))
        assert "TO DO BY HAND  transforms" in printed
        assert f"{topic}/0: from 7 on, 3 to go" in printed
        assert "dry run" in printed
        assert kafka.clients.committed("aep-bridge", topic) == {}
        config = yaml.safe_load(file.read_text())
        config["kafka"]["group_id"] = unique("ours")
        file.write_text(yaml.safe_dump(config))
        aep_bridge(*flags, "--take-offsets", "--yes")
        assert kafka.clients.committed(config["kafka"]["group_id"], topic) == {0: 7}
        with Bridge(config, tmp_path, name="run") as bridge:
            until(lambda: len(sim.accepted) == 3, 40, bridge.tail())
            assert "stop the bridge first" in aep_bridge(*flags, "--take-offsets", "--yes", code=1).stderr
            assert bridge.stop() == 0
        assert sim.accepted.keys() == {"c7", "c8", "c9"}


def test_a_file_that_is_no_connector_is_an_error_that_names_what_it_lacks(tmp_path: Path) -> None:
    """Nothing is written, and the exit code is that of wrong use."""
    (tmp_path / "c.json").write_text("{}")
    flags = ("--from-connect", tmp_path / "c.json", "--bootstrap-servers", "k:1")
    refused = aep_bridge("init", tmp_path / "b.yaml", *flags, code=2)

    assert "aep.endpoint" in refused.stderr
    assert not (tmp_path / "b.yaml").exists()
