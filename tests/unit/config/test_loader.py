"""The settings of a file and an environment, or everything that is wrong with them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config.loader import ConfigurationError, load
from tests.unit.config.conftest import MINIMAL, Loader

ROOT = Path(__file__).parents[3]


def test_the_smallest_example_loads() -> None:
    """It must work as it is shown: without an environment, without a secret, without a warning."""
    settings = load(ROOT / "config/minimal.yaml", {}, limit=lambda: None)

    assert [entry.topic for entry in settings.topics] == ["web-events"]
    assert settings.warnings == []


def test_the_commented_example_loads(tmp_path: Path) -> None:
    """With its secrets in another place it must work as it is shown, with a topic of each format."""
    (tmp_path / "secret").write_text("x")
    secret = str(tmp_path / "secret")
    environ = {
        "AEP_BRIDGE_AEP__AUTH__CLIENT_SECRET_FILE": secret,
        "AEP_BRIDGE_KAFKA__PROPERTIES__SASL_PASSWORD_FILE": secret,
    }
    settings = load(ROOT / "config/aep-bridge.yaml", environ, limit=lambda: None)
    first, _, last = (settings.inlet_for(entry) for entry in settings.topics)

    assert [entry.format for entry in settings.topics] == ["envelope", "entity", "raw"]
    assert last.auth is None
    assert last.header_values() == {
        "x-sandbox-name": "prod",
        "x-adobe-flow-id": "3c1d2e4f-5a6b-4c7d-8e9f-0a1b2c3d4e5f",
    }
    assert first.auth is not None
    assert first.auth.client_id == "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
    assert settings.warnings == []


def test_a_missing_file_is_reported(loads: Loader) -> None:
    """The message has what the system says, and what to do."""
    with pytest.raises(
        ConfigurationError, match=r"c.yaml: can't be read: No such file or directory; give the path"
    ):
        load(loads.path, {})


def test_a_folder_and_a_binary_file_are_reported_as_what_they_are(tmp_path: Path) -> None:
    """A wrong path in a volume mount is a common slip."""
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load(tmp_path, {})
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load(tmp_path / "x", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: is empty"),
        ("# nothing\n", "1:1: is empty"),
        ("- a\n", "1:1: must be a mapping"),
        ("hello\n", "1:1: must be a mapping"),
    ],
)
def test_a_file_without_a_mapping_is_reported(text: str, expected: str, loads: Loader) -> None:
    """One message says what is missing; a message for each missing key would hide it."""
    lines = loads.problems(text)

    assert len(lines) == 1
    assert lines[0].startswith(expected)


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file(loads: Loader) -> None:
    """A user mends the file in one go. Each line says where, what is wrong, and what to do."""
    lines = loads.problems(
        """\
        kafka:
          bootstrap_servers: kafka:9092
          groupid: x
        aep:
          inlet_url: https://dcs.adobedc.net/collection/aaaa
        topics:
          - topic: web-events
            inlet_url: https://dcs.adobedc.net/collection/bbbb
          - format: enttity
        delivery:
          linger_ms: 5
          max_in_flight: many
        bacth: {}
        admin: {port: 99999}
        """,
        BATCH__MAX_BYTES="x",
        ADMIN__PROT="1",
    )

    remedy = "write it under aep: in this topic (topics[0].aep.inlet_url)"
    assert lines == [
        "3:3: kafka.groupid: unknown key; did you mean group_id?",
        f"8:5: topics[0].inlet_url: is a key of the inlet; {remedy}",
        "9:5: topics[1].topic: is required; add topic",
        "9:5: topics[1].format: must be 'envelope', 'entity' or 'raw'; it is 'enttity'; did you mean entity?",
        "11:3: delivery.linger_ms: unknown key here; it belongs under batch:",
        "12:3: delivery.max_in_flight: must be a whole number; it is 'many'",
        "13:1: bacth: unknown key; did you mean batch?",
        "14:9: admin.port: must be at most 65,535; it is 99999",
        "AEP_BRIDGE_BATCH__MAX_BYTES: batch.max_bytes: must be a whole number; it is 'x'",
        "AEP_BRIDGE_ADMIN__PROT: is no setting; did you mean AEP_BRIDGE_ADMIN__PORT?",
    ]


def test_a_key_written_twice_is_reported_with_everything_else(loads: Loader) -> None:
    """The file is not well formed, and is still read on."""
    lines = loads.problems(
        "kafka: {bootstrap_servers: k:1}\n"
        "aep: {inlet_url: nowhere}\n"
        "topics: [{topic: a}]\n"
        "batch: {linger_ms: -1, linger_ms: 2}\n"
        "batch: {}\n"
    )

    assert len(lines) == 3
    assert lines[0].startswith("5:1: batch: is written twice")
    assert lines[1].startswith("4:24: batch.linger_ms: is written twice")
    assert lines[2].startswith("2:7: aep.inlet_url: must be")


def test_settings_that_the_container_has_no_memory_for_are_refused(loads: Loader) -> None:
    """The kernel would end the process under load; at start the message says which settings to lower."""
    lines = loads.problems(MINIMAL, 128 << 20)

    assert len(lines) == 1
    assert "and the container has 128 MiB; lower delivery.window_bytes" in lines[0]
    assert loads(MINIMAL, 1 << 30)
