"""Nothing shows a secret: under its own key, of a wrong type, under another key, or in place of its file."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config.loader import ConfigurationError, load
from bridge.config.problems import KeyPath, dotted

SECRET = "hunter2-hunter2"
INLET = "https://dcs.adobedc.net/collection/abc"
AUTH = {"token_url": "https://ims/token", "client_id": "c"}
SHAPES: tuple[Any, ...] = (
    SECRET,
    f"{SECRET}\n{SECRET}",
    f"é{SECRET}",
    [SECRET],
    {"x": SECRET},
    f"http://user:{SECRET}@proxy:3128",
    f"socks5://user:{SECRET}@proxy:1080",
    f"https://user:{SECRET}@[::broken",
    f"user:{SECRET}@proxy",
)
KEY_PATHS: tuple[KeyPath, ...] = (
    ("aep", "auth", "client_secret"),
    ("aep", "auth", "client_secret_file"),
    ("aep", "proxy_url"),
    ("aep", "proxy_url_file"),
    ("aep", "headers", "Authorization"),
    ("aep", "headers", "x-api-key"),
    ("aep", "headers", "x-auth-token_file"),
    ("topics", 0, "aep", "auth", "client_secret"),
    ("topics", 0, "aep", "headers", "cookie"),
    ("topics", 0, "aep", "proxy_url"),
    ("kafka", "properties", "sasl.password"),
    ("kafka", "properties", "sasl.password_file"),
    ("kafka", "properties", "sasl.pasword"),
    ("kafka", "properties", "sasl.oauthbearer.client.secret"),
    ("kafka", "properties", "sasl.oauthbearer.config"),
    ("kafka", "properties", "ssl.key.pem"),
    ("kafka", "properties", "ssl.key.password"),
    ("kafka", "properties", "ssl.keystore.password"),
    ("admin", "token_file"),
)
MISPLACED: tuple[KeyPath, ...] = (
    ("client_secret",),
    ("aep", "client_secret"),
    ("aep", "auth"),
    ("aep", "auth", "secret"),
    ("aep", "headers"),
    ("kafka", "properties"),
    ("kafka", "sasl.password"),
    ("kafka", "properties", "sasl_password"),
)


def config(key_path: KeyPath, value: Any) -> dict[str, Any]:
    """Return a minimal configuration with one more value, and what credentials need beside it."""
    whole: dict[str, Any] = {
        "kafka": {"bootstrap_servers": "kafka:9092"},
        "aep": {"inlet_url": INLET},
        "topics": [{"topic": "web"}],
    }
    container: Any = whole
    for part in key_path[:-1]:
        if isinstance(part, str):
            container.setdefault(part, dict(AUTH) if part == "auth" else {})
        container = container[part]
    container[key_path[-1]] = value
    return whole


def everything_shown(path: Path, environ: Mapping[str, str]) -> str:
    """Return the error with its traceback, or all that the settings can be turned into."""
    try:
        settings = load(path, environ, limit=lambda: None)
    except ConfigurationError as error:
        return "".join(traceback.format_exception(error))
    inlet = settings.inlet_for(settings.topics[0])
    dumps = (settings.masked(), json.dumps(settings.model_dump(mode="json")), settings.model_dump_json())
    return f"{settings!r} {settings} {dumps} {inlet!r} {inlet.identity} {settings.warnings}"


@pytest.mark.parametrize("key_path", KEY_PATHS, ids=dotted)
def test_no_shape_of_a_secret_is_shown(key_path: KeyPath, tmp_path: Path) -> None:
    """Whether it is right, wrong, of another type, or put into the key that names its file."""
    path = tmp_path / "config.yaml"
    for shape in SHAPES:
        path.write_text(yaml.safe_dump(config(key_path, shape)))

        assert SECRET not in everything_shown(path, {}), shape


@pytest.mark.parametrize("key_path", MISPLACED, ids=dotted)
def test_a_secret_in_the_wrong_place_is_refused_without_showing_it(key_path: KeyPath, tmp_path: Path) -> None:
    """In place of a section, under a misspelt key, or under a key one level too high."""
    path = tmp_path / "config.yaml"
    for shape in (SECRET, [SECRET], f"{SECRET}\n{SECRET}"):
        path.write_text(yaml.safe_dump(config(key_path, shape)))
        with pytest.raises(ConfigurationError):
            load(path, {}, limit=lambda: None)

        assert SECRET not in everything_shown(path, {}), shape


@pytest.mark.parametrize("key_path", KEY_PATHS, ids=dotted)
def test_no_shape_of_a_variables_secret_is_shown(key_path: KeyPath, tmp_path: Path) -> None:
    """The message names the variable, and never its value."""
    path = tmp_path / "config.yaml"
    beside = (*key_path[:-1], "client_secret") if "auth" in key_path else ("logging",)
    path.write_text(yaml.safe_dump(config(beside, "other" if "auth" in key_path else {})))
    parts = [str(part).upper().replace(".", "_").replace("-", "_") for part in key_path]
    variable = "AEP_BRIDGE_" + "__".join(parts)
    for shape in SHAPES:
        if isinstance(shape, str):
            assert SECRET not in everything_shown(path, {variable: shape}), shape


@pytest.mark.parametrize(
    "value",
    [
        f"'{SECRET}",
        f"{SECRET}: x",
        f"@{SECRET}",
        f"*{SECRET}",
        f"!{SECRET} x",
        f"%{SECRET}",
        f"[{SECRET}",
        f'"\\q{SECRET}"',
        f"&{SECRET}",
    ],
)
def test_broken_yaml_does_not_show_what_it_holds(value: str, tmp_path: Path) -> None:
    """The parser's own message quotes the line; ours says where it is, and what is wrong."""
    path = tmp_path / "config.yaml"
    path.write_text(f"aep:\n  auth:\n    client_secret: {value}\n")
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})

    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert str(caught.value).startswith(f"{path}:")
