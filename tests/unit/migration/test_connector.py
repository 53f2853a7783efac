"""The settings of Adobe's sink connector: each one is translated, or named with what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.migration.connector import NotAConnector, Translation, translate
from tests.unit.migration.connectors import connector

ENDPOINT = "https://dcs.adobedc.net/collection/ab"


def translated(**more: str) -> Translation:
    """Return the translation of a connector with these settings too."""
    return translate(json.dumps(connector("a", ENDPOINT, **more)), "k:9092", "s")


@pytest.mark.parametrize("text", ["[]", "{}", "x", '{"aep.endpoint": "https://h/collection/a"}'])
def test_what_is_no_connector_is_refused(text: str) -> None:
    """Another connector's file, no JSON and a connector without topics can't become a configuration."""
    with pytest.raises(NotAConnector):
        translate(text, "k:9092", "s")


def test_secrets_go_to_files_and_nowhere_else() -> None:
    """A regex becomes one of ours; a proxy's password and the secret are kept apart from what is printed."""
    config: dict[str, Any] = connector("a", ENDPOINT)["config"]
    del config["topics"]
    config |= {
        "topics.regex": "shop-.*",
        "aep.connection.proxy.host": "p",
        "aep.connection.proxy.user": "u",
        "aep.connection.proxy.password": "p@ss",
    }
    translation = translate(json.dumps(config), "k:9092", "s")

    assert translation.config["topics"][0]["topic"] == "^shop-.*$"
    assert translation.proxy_url == "http://u:p%40ss@p:443"
    assert translation.secret == "secret-canary"
    assert "p@ss" not in repr(translation)
    assert "secret-canary" not in repr(translation)


def test_a_placeholder_is_no_secret() -> None:
    """Kafka Connect fills it in from a file of its own, so the user has to put the secret where
    we read it.
    """
    translation = translated(**{"aep.connection.auth.client.secret": "${file:/x:y}"})

    assert translation.secret == ""
    assert any("client.secret" in name for name, _ in translation.by_hand)


def test_every_setting_is_accounted_for() -> None:
    """A setting that went missing silently would be found out in production."""
    more = {
        "consumer.override.group.id": "theirs",
        "consumer.override.auto.offset.reset": "latest",
        "consumer.override.max.poll.records": "10",
        "aep.connection.endpoint.headers": '{"x-adobe-flow-id": "f"}',
        "aep.connection.auth.endpoint": "https://ims.example",
        "aep.connection.proxy.host": "p",
        "aep.connection.readTimeout": "400000",
        "transforms": "x",
        "value.converter": "io.confluent.connect.avro.AvroConverter",
        "what.is.that": "1",
    }
    translation = translated(**more)
    named = {name for name, _ in [*translation.mapped, *translation.not_needed, *translation.by_hand]}
    settings = connector("a", ENDPOINT, **more)["config"]

    # One line stands for all settings of the proxy.
    assert named - {"aep.connection.proxy.*"} == settings.keys() - {"aep.connection.proxy.host"}
    assert {name for name, _ in translation.by_hand} == {
        "consumer.override.max.poll.records",
        "transforms",
        "value.converter",
        "what.is.that",
    }
    assert translation.group == "theirs"
    assert translation.config["kafka"]["properties"] == {"auto.offset.reset": "latest"}
    assert translation.config["aep"]["headers"] == {"x-adobe-flow-id": "f"}
    assert translation.config["aep"]["auth"]["token_url"] == "https://ims.example/ims/token/v3"
    assert translation.config["aep"]["proxy_url"] == "http://p:443"
    assert translation.config["delivery"] == {"request_timeout_s": 300, "drain_timeout_s": 300}
    assert translation.config["batch"] == {"linger_ms": 1000}
