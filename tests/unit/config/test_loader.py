"""Loading: the file, the environment over it, and every mistake with its place and its remedy."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from bridge.config.loader import ConfigurationError, load
from bridge.config.settings import Settings

MINIMAL = """\
kafka:
  bootstrap_servers: kafka:9092
aep:
  inlet_url: https://dcs.adobedc.net/collection/aaaa
topics:
  - topic: web-events
"""
ROOT = Path(__file__).parents[3]


class Loader:
    """Loads texts, in a file that messages name `c.yaml`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "c.yaml"

    def __call__(self, text: str = MINIMAL, /, limit: int | None = None, **environ: str) -> Settings:
        """`KAFKA__GROUP_ID="x"` is the variable AEP_BRIDGE_KAFKA__GROUP_ID."""
        self.path.write_text(dedent(text))
        return load(
            self.path, {f"AEP_BRIDGE_{name}": value for name, value in environ.items()}, limit=lambda: limit
        )

    def wrong(self, text: str = MINIMAL, /, limit: int | None = None, **environ: str) -> list[str]:
        """The problems, the file's as `line:column: …`."""
        with pytest.raises(ConfigurationError) as caught:
            self(text, limit, **environ)

        assert str(caught.value) == "\n".join(caught.value.problems)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        return [problem.removeprefix(f"{self.path}:") for problem in caught.value.problems]


@pytest.fixture
def loads(tmp_path: Path) -> Loader:
    return Loader(tmp_path)


# -- examples ---------------------------------------------------------------------------


def test_the_smallest_example_loads() -> None:
    """It needs no environment and no secret."""
    found = load(ROOT / "config/minimal.yaml", {}, limit=lambda: None)

    assert ["web-events"] == [entry.topic for entry in found.topics]
    assert [] == found.warnings


def test_the_commented_example_loads(tmp_path: Path) -> None:
    """With its secrets put elsewhere; one topic for each format, and no warning."""
    (tmp_path / "secret").write_text("x")
    secret = str(tmp_path / "secret")
    environ = {
        "AEP_BRIDGE_AEP__AUTH__CLIENT_SECRET_FILE": secret,
        "AEP_BRIDGE_KAFKA__PROPERTIES__SASL_PASSWORD_FILE": secret,
    }
    found = load(ROOT / "config/aep-bridge.yaml", environ, limit=lambda: None)
    last = found.inlet_for(found.topics[2])

    assert ["envelope", "entity", "raw"] == [entry.format for entry in found.topics]
    assert (None, {"x-sandbox-name": "prod", "x-adobe-flow-id": "3c1d2e4f-5a6b-4c7d-8e9f-0a1b2c3d4e5f"}) == (
        last.auth,
        last.header_values(),
    )
    assert "0a1b2c3d4e5f60718293a4b5c6d7e8f9" == found.inlet_for(found.topics[0]).auth.client_id  # type: ignore[union-attr]
    assert [] == found.warnings


# -- the file ---------------------------------------------------------------------------


def test_a_missing_file_is_told(loads: Loader) -> None:
    """With what the system says, and what to do."""
    with pytest.raises(
        ConfigurationError, match=r"c.yaml: can't be read: No such file or directory; give the path"
    ):
        load(loads.path, {})


def test_a_folder_and_a_binary_file_are_told(tmp_path: Path) -> None:
    """As what they are."""
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load(tmp_path, {})
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load(tmp_path / "x", {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1:1: is empty"),
        ("# nothing\n", "1:1: is empty"),
        ("- a\n", "1:1: must be a mapping"),
        ("hello\n", "1:1: must be a mapping"),
        ("kafka:\n  a: 1\n b: 2\n", "3:2: is not valid YAML"),
        ("kafka: {a: 1\n", "2:1: is not valid YAML"),
        ("kafka:\n\tgroup_id: x\n", "2:1: is not valid YAML"),
        ("a: 1\n---\nb: 2\n", "2:1: is not valid YAML"),
        ("a: \x07\n", "1:1: holds control characters"),
    ],
)
def test_what_is_no_configuration_is_told_with_its_place(text: str, told: str, loads: Loader) -> None:
    """Empty files, other shapes, and broken YAML."""
    found = loads.wrong(text)

    assert 1 == len(found)
    assert found[0].startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            MINIMAL.replace("9092\n", "9092\n  group_id: a\n  group_id: b\n"),
            "4:3: kafka.group_id: is written twice, first in line 3; leave one of them out",
        ),
        (MINIMAL + "logging: {level: !wild info}\n", "7:18: logging.level: has a tag that is not known here"),
        (MINIMAL + "batch: {? [a, b] : c}\n", "7:11: batch: a key must be plain text"),
        (MINIMAL + "logging: &x\n  level: *x\n", "7:10: logging.level: is an alias that contains itself"),
        (MINIMAL + "logging:\n  <<: 5\n", "8:3: logging: << must name a mapping to merge"),
    ],
)
def test_what_yaml_would_take_quietly_is_told(text: str, told: str, loads: Loader) -> None:
    """Keys written twice, unknown tags, keys that are lists, aliases in circles, odd merges."""
    found = loads.wrong(text)

    assert found[0].startswith(told), found


def test_anchors_and_merges_work(loads: Loader) -> None:
    """As in any YAML file, each use with values of its own."""
    found = loads(
        MINIMAL.replace(
            "  - topic: web-events\n", "  - &first {topic: a, dataset_id: d}\n  - {<<: *first, topic: b}\n"
        ),
        TOPICS__1__DATASET_ID="other",
    )

    assert [("a", "d"), ("b", "other")] == [(entry.topic, entry.dataset_id) for entry in found.topics]


def test_text_is_taken_as_it_is_written(loads: Loader) -> None:
    """YAML reads 1.10 as 1.1, 0123 as 83, no as false and 12:30 as 750; where text is meant, that is not."""
    found = loads(
        """\
        kafka:
          bootstrap_servers: kafka:9092
          group_id: 0123
          properties: {sasl.username: 0123, client.id: 1.10, enable.ssl.certificate.verification: no, client.rack: 2024-01-01}
        aep:
          inlet_url: https://dcs.adobedc.net/collection/aaaa
          headers: {x-version: 1.10, x-flag: no}
        topics:
          - {topic: 2024-01-01, format: entity, dataset_id: 12:30, schema_id: 1_000, schema_version: 1.10, aep: {ims_org_id: 5}}
        """
    )
    entry = found.topics[0]

    assert "0123" == found.kafka.group_id
    assert {
        "sasl.username": "0123", "client.id": "1.10", "enable.ssl.certificate.verification": "false", "client.rack": "2024-01-01",
    } == found.kafka.properties  # fmt: skip
    assert ("2024-01-01", "12:30", "1_000", "1.10") == (
        entry.topic,
        entry.dataset_id,
        entry.schema_id,
        entry.schema_version,
    )
    assert {"x-version": "1.10", "x-flag": "no"} == found.inlet_for(entry).header_values()
    assert "1" == loads(MINIMAL + "    schema_version: 1\n").topics[0].schema_version


# -- mistakes -----------------------------------------------------------------------------


def test_every_mistake_is_told_at_once_in_the_order_of_the_file(loads: Loader) -> None:
    """With line, column, key, what is wrong and what to do; then those of the environment."""
    found = loads.wrong(
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

    assert [
        "3:3: kafka.groupid: unknown key; did you mean group_id?",
        "8:5: topics[0].inlet_url: is a key of the inlet; write it under aep: in this topic (topics[0].aep.inlet_url)",
        "9:5: topics[1].topic: is required; add topic",
        "9:5: topics[1].format: must be 'envelope', 'entity' or 'raw'; it is 'enttity'; did you mean entity?",
        "11:3: delivery.linger_ms: unknown key here; it belongs under batch:",
        "12:3: delivery.max_in_flight: must be a whole number; it is 'many'",
        "13:1: bacth: unknown key; did you mean batch?",
        "14:9: admin.port: must be at most 65,535; it is 99999",
        "AEP_BRIDGE_BATCH__MAX_BYTES: batch.max_bytes: must be a whole number; it is 'x'",
        "AEP_BRIDGE_ADMIN__PROT: is no setting; did you mean AEP_BRIDGE_ADMIN__PORT?",
    ] == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MINIMAL + "batch: 5\n", "7:1: batch: must be a mapping: lines of `key: value`; it is 5"),
        (MINIMAL + "batch: []\n", "7:1: batch: must be a mapping: lines of `key: value`; it is a list"),
        (
            MINIMAL + "batch:\n  max_bytes:\n",
            "8:3: batch.max_bytes: has no value; give one, or leave the key out",
        ),
        (
            MINIMAL + "logging: {level: verbose}\n",
            "7:11: logging.level: must be 'debug', 'info', 'warning', 'error' or 'critical'; it is 'verbose'",
        ),
        (
            MINIMAL + "sasl.password: x\n",
            "7:1: sasl.password: unknown key here; it belongs under kafka.properties:",
        ),
        (MINIMAL + "_env_file: x\n", "7:1: _env_file: unknown key; settings don't begin with an underscore"),
        (
            MINIMAL.replace("  - topic: web-events", "  topic: web-events"),
            "5:1: topics: must be a list: lines that begin with a dash; it is a mapping",
        ),
        (
            MINIMAL.replace("\n  - topic: web-events", " []"),
            "5:1: topics: must not be empty; give at least one",
        ),
        (
            MINIMAL.replace("kafka:\n  bootstrap_servers: kafka:9092\n", ""),
            "1:1: kafka: is required; add kafka",
        ),
        (
            MINIMAL + "  - topic: web-events\n",
            "7:5: topics[1].topic: web-events is mapped twice, first as topics[0]; leave one of them out",
        ),
        (MINIMAL.replace("aaaa", ""), "4:3: aep.inlet_url: must be the streaming endpoint"),
        (
            MINIMAL.replace("9092", "9092\n  properties: {acks: 1}"),
            "3:16: kafka.properties.acks: not to be set here: ",
        ),
        (
            MINIMAL + "delivery: {window_bytes: 1000000}\n",
            "7:12: delivery.window_bytes: 1000000 does not hold two batches",
        ),
    ],
)
def test_a_mistake_is_told_where_it_is(text: str, told: str, loads: Loader) -> None:
    """One mistake, one line."""
    found = loads.wrong(text)

    assert 1 == len(found), found
    assert found[0].startswith(told), found


def test_named_files_must_be_there(loads: Loader, tmp_path: Path) -> None:
    """Secrets, certificates and librdkafka's own files: read once at start, and told with the key that names them."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "der").write_bytes(b"\x30\x82\xff\xfe")
    properties = f'{{"ssl.keystore.location": "{tmp_path}/der", "ssl.key.location": "{tmp_path}/none"}}'
    found = loads.wrong(
        MINIMAL + f"admin: {{token_file: {tmp_path}/empty}}\n",
        KAFKA__PROPERTIES=properties,
        AEP__CA_FILE=f"{tmp_path}/none",
    )

    assert 3 == len(found)
    assert found[0].startswith("7:9: admin.token_file: ")
    assert {"AEP_BRIDGE_KAFKA__PROPERTIES", "AEP_BRIDGE_AEP__CA_FILE"} == {
        problem.partition(":")[0] for problem in found[1:]
    }


def test_settings_that_the_container_has_no_memory_for_are_refused(loads: Loader) -> None:
    """What they allow is told, with the settings to lower; with room for it they are fine."""
    found = loads.wrong(MINIMAL, 128 << 20)

    assert 1 == len(found)
    assert "and the container has 128 MiB; lower delivery.window_bytes" in found[0]
    assert loads(MINIMAL, 1 << 30)


# -- the environment ----------------------------------------------------------------------


def test_a_variable_wins_over_the_file(loads: Loader) -> None:
    """Every scalar, also in sections and items that the file does not have."""
    found = loads(
        MINIMAL,
        KAFKA__GROUP_ID="from-env",
        BATCH__LINGER_MS="5",
        DELIVERY__BACKOFF_MAX_S="2.5",
        DEAD_LETTER__CREATE_TOPICS="false",
        TOPICS__0__TOPIC="other",
        TOPICS__1__TOPIC="second",
        TOPICS__1__SCHEMA_VERSION="2",
        AEP__AUTH__TOKEN_URL="https://ims.example/token",
        AEP__AUTH__CLIENT_ID="123",
        AEP__AUTH__CLIENT_SECRET="hush",
        AEP__HEADERS__X_SANDBOX_NAME="dev",
        AEP__MAX_MESSAGES_PER_S="100",
        KAFKA__PROPERTIES__SASL_PASSWORD="hush",
    )
    inlet = found.inlet_for(found.topics[0])

    assert ("from-env", 5, 2.5, False) == (
        found.kafka.group_id,
        found.batch.linger_ms,
        found.delivery.backoff_max_s,
        found.dead_letter.create_topics,
    )
    assert [("other", "1"), ("second", "2")] == [
        (entry.topic, entry.schema_version) for entry in found.topics
    ]
    assert inlet.auth is not None
    assert ("123", "hush", {"x-sandbox-name": "dev"}, 100.0) == (
        inlet.auth.client_id,
        inlet.auth.secret(),
        inlet.header_values(),
        inlet.max_messages_per_s,
    )
    assert {"sasl.password": "hush"} == found.kafka.resolved_properties()


def test_json_is_merged_over_a_mapping_and_replaces_a_list(loads: Loader) -> None:
    """And single keys win over the JSON."""
    text = MINIMAL.replace("9092", "9092\n  properties: {client.id: a, debug: x}")
    found = loads(
        text,
        KAFKA__PROPERTIES='{"debug": "y", "linger.ms": 3}',
        KAFKA__PROPERTIES__LINGER_MS="4",
        TOPICS='[{"topic": "b"}, {"topic": "c"}]',
        TOPICS__1__TOPIC="d",
    )

    assert {"client.id": "a", "debug": "y", "linger.ms": "4"} == found.kafka.properties
    assert ["b", "d"] == [entry.topic for entry in found.topics]


def test_a_variable_replaces_the_files_way_to_give_a_secret(loads: Loader, tmp_path: Path) -> None:
    """client_secret of the environment takes the place of the file's client_secret_file, and the other way round."""
    (tmp_path / "secret").write_text("from-file")
    auth = "\n  auth: {token_url: 'https://ims.example/token', client_id: a, %s}"
    with_file = MINIMAL.replace("aaaa", "aaaa" + auth % "client_secret_file: /nowhere")
    with_text = MINIMAL.replace("aaaa", "aaaa" + auth % "client_secret: x")
    first, second = (
        loads(with_file, AEP__AUTH__CLIENT_SECRET="given"),
        loads(with_text, AEP__AUTH__CLIENT_SECRET_FILE=str(tmp_path / "secret")),
    )

    assert ["given", "from-file"] == [
        found.inlet_for(found.topics[0]).auth.secret() for found in (first, second)
    ]  # type: ignore[union-attr]


def test_the_environment_alone_is_enough(loads: Loader) -> None:
    """An empty file, and everything in variables."""
    found = loads(
        "",
        KAFKA__BOOTSTRAP_SERVERS="a:1",
        AEP__INLET_URL="https://dcs.adobedc.net/collection/aaaa",
        TOPICS__0__TOPIC="web",
    )

    assert "web" == found.topics[0].topic


def test_null_takes_something_away(loads: Loader) -> None:
    """A mapping or a list in JSON may be null: here a topic's inlet without authentication."""
    found = loads(
        MINIMAL.replace(
            "aaaa", "aaaa\n  auth: {token_url: 'https://ims.example/token', client_id: a, client_secret: b}"
        ),
        TOPICS__0__AEP__AUTH="null",
    )

    assert None is found.inlet_for(found.topics[0]).auth


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "KAFKA__GROUPID",
            "x",
            "AEP_BRIDGE_KAFKA__GROUPID: is no setting; did you mean AEP_BRIDGE_KAFKA__GROUP_ID?",
        ),
        (
            "KAFKA_GROUP_ID",
            "x",
            "AEP_BRIDGE_KAFKA_GROUP_ID: is no setting; did you mean AEP_BRIDGE_KAFKA__GROUP_ID?",
        ),
        (
            "TOPICS__3__DATASETID",
            "x",
            "AEP_BRIDGE_TOPICS__3__DATASETID: is no setting; did you mean AEP_BRIDGE_TOPICS__3__DATASET_ID?",
        ),
        ("ZZZ", "x", "AEP_BRIDGE_ZZZ: is no setting; variables are written AEP_BRIDGE_SECTION__KEY"),
        (
            "kafka__group_id",
            "x",
            "AEP_BRIDGE_kafka__group_id: is not written in capitals; did you mean AEP_BRIDGE_KAFKA__GROUP_ID?",
        ),
        ("KAFKA__PROPERTIES__SASL_PASSWRD", "x", "AEP_BRIDGE_KAFKA__PROPERTIES__SASL_PASSWRD: is no setting"),
        ("KAFKA__PROPERTIES", "x=y", "AEP_BRIDGE_KAFKA__PROPERTIES: must be JSON, an object"),
        ("TOPICS", "web", "AEP_BRIDGE_TOPICS: must be JSON, a list"),
        (
            "TOPICS__5__TOPIC",
            "x",
            "AEP_BRIDGE_TOPICS__5__TOPIC: is item 5 of a list that has 1; items are counted from 0",
        ),
        (
            "SERVICE_HOST",
            "10.0.0.1",
            "AEP_BRIDGE_SERVICE_HOST: comes from Kubernetes, for a Service named aep-bridge; set enableServiceLinks: false",
        ),
        ("PORT_8080_TCP_ADDR", "10.0.0.1", "AEP_BRIDGE_PORT_8080_TCP_ADDR: comes from Kubernetes"),
        (
            "DEAD_LETTER__CREATE_TOPICS",
            "maybe",
            "AEP_BRIDGE_DEAD_LETTER__CREATE_TOPICS: dead_letter.create_topics: must be true or false; it is 'maybe'",
        ),
        (
            "KAFKA__PROPERTIES__ACKS",
            "1",
            "AEP_BRIDGE_KAFKA__PROPERTIES__ACKS: kafka.properties.acks: not to be set here",
        ),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(name: str, value: str, told: str, loads: Loader) -> None:
    """A misspelt variable would otherwise be ignored in silence."""
    found = loads.wrong(MINIMAL, **{name: value})

    assert 1 == len(found), found
    assert found[0].startswith(told), found


def test_other_variables_are_nobodys_business(loads: Loader) -> None:
    """Those of the command line, and those of other programs."""
    loads.path.write_text(MINIMAL)

    assert load(
        loads.path,
        {"AEP_BRIDGE_CONFIG": "x", "AEP_BRIDGE_ADMIN_TOKEN_FILE": "y", "KAFKA__GROUP_ID": "z", "AEP": "1"},
        limit=lambda: None,
    )
