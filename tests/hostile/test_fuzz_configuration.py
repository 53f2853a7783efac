"""Fuzz of the configuration: any file and any variable is settings or an error, and shows no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge.config.loader import ConfigurationError, load
from bridge.config.settings import Settings
from tests.hostile.strategies import CANARY, FUZZ, JSON_VALUES, damaged

CONFIG: dict[str, Any] = {
    "kafka": {
        "bootstrap_servers": "k:9092",
        "properties": {"sasl.password": CANARY, "sasl.username": "u", "sasl.mechanism": "PLAIN"},
    },
    "aep": {
        "inlet_url": "https://dcs.adobedc.net/collection/abc",
        "ims_org_id": "A@AdobeOrg",
        "headers": {"x-api-key": CANARY},
        "proxy_url": f"http://u:{CANARY}@proxy:3128",
        "auth": {
            "token_url": "https://ims.example/token",
            "client_id": "c",
            "client_secret": CANARY,
            "scope": "s",
        },
    },
    "topics": [
        {"topic": "t", "format": "entity", "dataset_id": "d", "schema_id": "https://s", "schema_version": "1"}
    ],
    "delivery": {"request_timeout_s": 5},
}
TEXT = yaml.safe_dump(CONFIG, sort_keys=False)


def shown(folder: Path, text: bytes, environ: dict[str, str]) -> str:
    """What a user gets to see of such a file: the masked configuration, or the error."""
    path = folder / "config.yaml"
    path.write_bytes(text)
    try:
        settings = load(path, environ, limit=lambda: None)
    except ConfigurationError as error:
        assert error.__cause__ is None
        assert error.__context__ is None
        return str(error)
    assert isinstance(settings, Settings)
    return json.dumps(settings.masked()) + repr(settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all examples."""
    return tmp_path_factory.mktemp("configuration")


@FUZZ
@given(damaged(TEXT.encode()))
@example(TEXT.replace("x-api-key", "x-api-kNaNey").encode())
def test_a_damaged_file_is_an_error_or_settings_and_shows_no_secret(folder: Path, text: bytes) -> None:
    """`load` raises nothing but `ConfigurationError`, and hides a secret whatever was mistyped around it."""
    assert CANARY not in shown(folder, text, {})


PLACES = [
    ("kafka",),
    ("aep",),
    ("aep", "auth"),
    ("delivery",),
    ("topics",),
    ("batch",),
    ("admin",),
    ("kafka", "properties"),
    ("aep", "headers"),
]


@FUZZ
@given(st.sampled_from(PLACES), st.text(max_size=10), JSON_VALUES)
def test_any_value_in_any_place_is_an_error_or_settings(
    folder: Path, place: tuple[str, ...], key: str, value: Any
) -> None:
    """A value of any type may stand under any key, or in the place of a section."""
    config = json.loads(json.dumps(CONFIG))
    *parents, name = place
    section = config
    for parent in parents:
        section = section[parent]
    if key and isinstance(section.get(name), dict):
        section[name][key] = value
    else:
        section[name] = value
    try:
        text = yaml.safe_dump(config).encode()
    except yaml.YAMLError:
        return

    assert CANARY not in shown(folder, text, {})


VARIABLES = [
    "KAFKA__GROUP_ID",
    "TOPICS",
    "DELIVERY__REQUEST_TIMEOUT_S",
    "X",
    "AEP__",
    "__",
    "TOPICS__0__TOPIC",
    "AEP__AUTH__CLIENT_SECRET",
]


@FUZZ
@given(st.sampled_from(VARIABLES), st.text(st.characters(exclude_characters="\x00"), max_size=20))
def test_any_variable_is_an_error_or_settings(folder: Path, name: str, value: str) -> None:
    """A secret in a variable is hidden, also while another variable is wrong."""
    environ = {"AEP_BRIDGE_AEP__AUTH__CLIENT_SECRET": value + CANARY}
    environ[f"AEP_BRIDGE_{name}"] = value + CANARY if name.endswith("SECRET") else value

    assert CANARY not in shown(folder, TEXT.encode(), environ)


def test_a_secret_is_not_in_a_repr() -> None:
    """Settings hold secrets in this type, and a repr may reach a log."""
    assert CANARY not in repr(SecretStr(CANARY))
