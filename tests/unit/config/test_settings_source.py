"""The environment's variables over the file's values."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config.loader import load
from tests.unit.config.conftest import MINIMAL, Loader

AUTH = "\n  auth: {token_url: 'https://ims.example/token', client_id: a, %s}"


def test_a_variable_wins_over_the_file(loads: Loader) -> None:
    """Every scalar can be set, also in sections and items that the file does not have."""
    settings = loads(
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
    inlet = settings.inlet_for(settings.topics[0])
    assert inlet.auth is not None

    assert settings.kafka.group_id == "from-env"
    assert settings.kafka.resolved_properties() == {"sasl.password": "hush"}
    assert settings.batch.linger_ms == 5
    assert settings.delivery.backoff_max_s == 2.5
    assert settings.dead_letter.create_topics is False
    assert [(entry.topic, entry.schema_version) for entry in settings.topics] == [
        ("other", "1"),
        ("second", "2"),
    ]
    assert inlet.auth.client_id == "123"
    assert inlet.auth.secret() == "hush"
    assert inlet.header_values() == {"x-sandbox-name": "dev"}
    assert inlet.max_messages_per_s == 100.0


def test_json_is_merged_over_a_mapping_and_replaces_a_list(loads: Loader) -> None:
    """A variable for a single key wins over the JSON for what is around it."""
    settings = loads(
        MINIMAL.replace("9092", "9092\n  properties: {client.id: a, debug: x}"),
        KAFKA__PROPERTIES='{"debug": "y", "linger.ms": 3}',
        KAFKA__PROPERTIES__LINGER_MS="4",
        TOPICS='[{"topic": "b"}, {"topic": "c"}]',
        TOPICS__1__TOPIC="d",
    )

    assert settings.kafka.properties == {"client.id": "a", "debug": "y", "linger.ms": "4"}
    assert [entry.topic for entry in settings.topics] == ["b", "d"]


def test_json_replaces_each_key_that_it_names_as_a_whole(loads: Loader) -> None:
    """A deeper merge would leave half of the file's credentials beside half of the environment's."""
    settings = loads(
        MINIMAL.replace("aaaa", "aaaa" + AUTH % "client_secret: x, scope: of-the-file"),
        AEP='{"auth": {"token_url": "https://ims.example/token", "client_id": "b", "client_secret": "y"}}',
    )
    auth = settings.inlet_for(settings.topics[0]).auth
    assert auth is not None

    assert auth.client_id == "b"
    assert auth.scope != "of-the-file"
    assert settings.topics[0].topic == "web-events"


@pytest.mark.parametrize("in_file", ["client_secret_file: /nowhere", "client_secret: x"])
def test_a_variable_replaces_the_files_way_to_give_a_secret(
    in_file: str, loads: Loader, tmp_path: Path
) -> None:
    """A key and the same key with `_file` exclude each other; the variable decides which is in force."""
    (tmp_path / "secret").write_text("from-file")
    text = MINIMAL.replace("aaaa", "aaaa" + AUTH % in_file)
    with_text = loads(text, AEP__AUTH__CLIENT_SECRET="given").aep
    with_file = loads(text, AEP__AUTH__CLIENT_SECRET_FILE=str(tmp_path / "secret")).aep
    assert with_text is not None
    assert with_text.auth is not None
    assert with_file is not None
    assert with_file.auth is not None

    assert with_text.auth.secret() == "given"
    assert with_file.auth.secret() == "from-file"


def test_the_environment_alone_is_enough(loads: Loader) -> None:
    """A container without a mounted file needs an empty one, and variables for the rest."""
    settings = loads(
        "",
        KAFKA__BOOTSTRAP_SERVERS="a:1",
        AEP__INLET_URL="https://dcs.adobedc.net/collection/aaaa",
        TOPICS__0__TOPIC="web",
    )

    assert settings.topics[0].topic == "web"


def test_null_removes_a_mapping_of_the_file(loads: Loader) -> None:
    """A topic's inlet without authentication can be configured by a variable, too."""
    settings = loads(
        MINIMAL.replace("aaaa", "aaaa" + AUTH % "client_secret: b"),
        TOPICS__0__AEP__AUTH="null",
    )

    assert settings.inlet_for(settings.topics[0]).auth is None


@pytest.mark.parametrize("in_file", ["5", "[]", "text"])
def test_a_variable_does_not_hide_a_mistake_of_the_file(in_file: str, loads: Loader) -> None:
    """The file would fail as soon as the variable is gone. The variable itself is right, and not reported."""
    lines = loads.problems(MINIMAL + f"batch: {in_file}\n", BATCH__LINGER_MS="5")

    assert len(lines) == 1, lines
    assert lines[0].startswith("7:1: batch: must be a mapping")


def test_other_variables_are_not_read(loads: Loader) -> None:
    """Those of the command line's options, and those of other programs."""
    loads.path.write_text(MINIMAL)
    environ = {
        "AEP_BRIDGE_CONFIG": "x",
        "AEP_BRIDGE_ADMIN_TOKEN_FILE": "y",
        "KAFKA__GROUP_ID": "z",
        "AEP": "1",
    }

    assert load(loads.path, environ, limit=lambda: None).kafka.group_id == "aep-bridge"
