"""Translates the settings of Adobe's sink connector: each one is mapped, named as not
needed, or left to be done by hand.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from bridge.codec.routes import is_regex
from bridge.migration.configuration_file import IMS_URL, TOKEN_PATH, auth_section
from bridge.migration.connector_keys import CHANGES, CONSUMER_PROPERTIES, NOT_NEEDED, unknown_key_advice

_PLACEHOLDER = re.compile(r"\$\{.*\}$")
"""A reference to one of Kafka Connect's configuration providers, such as `${file:/run/secrets:password}`."""


class NotAConnector(ValueError):
    """The file is not the JSON of Adobe's sink connector, and why."""


@dataclass(slots=True)
class Translation:
    """A configuration of ours, and what became of each of the connector's settings."""

    config: dict[str, Any]
    group: str
    """The connector's consumer group, whose offsets can be taken over."""
    secret: str = field(default="", repr=False)
    """The client secret, to be written to a file of its own."""
    proxy_url: str = field(default="", repr=False)
    """The proxy's URL if it holds a password, to be written to a file of its own."""
    mapped: list[tuple[str, str]] = field(default_factory=list)
    not_needed: list[tuple[str, str]] = field(default_factory=list)
    by_hand: list[tuple[str, str]] = field(default_factory=list)
    changes: tuple[str, ...] = CHANGES


def translate(text: str, bootstrap_servers: str, secret_file: str) -> Translation:
    """Translate a connector's JSON, with or without `name` and `config` around it. Raises `NotAConnector`."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise NotAConnector(f"is not JSON: {error}") from None
    settings = document.get("config", document) if isinstance(document, dict) else None
    if not isinstance(settings, dict) or "aep.endpoint" not in settings:
        raise NotAConnector(
            "has no aep.endpoint: give the JSON of Adobe's sink connector, as it is posted to /connectors"
        )
    remaining = {str(name): _text(value) for name, value in settings.items()}
    own_name = remaining.pop("name", "")
    name = str(document.get("name") or own_name or "aep-sink")
    kafka = {"bootstrap_servers": bootstrap_servers, "group_id": "aep-bridge"}
    translation = Translation({"kafka": kafka, "aep": {}, "topics": []}, group=f"connect-{name}")
    # Each of these takes out of `remaining` what it has translated.
    _consumer_overrides(translation, remaining)
    _endpoint(translation, remaining)
    _auth(translation, remaining, secret_file)
    _proxy(translation, remaining)
    _timing(translation, remaining)
    _topics(translation, remaining)
    for key in sorted(remaining):
        if key in NOT_NEEDED:
            translation.not_needed.append((key, NOT_NEEDED[key]))
        else:
            translation.by_hand.append((key, unknown_key_advice(key)))
    return translation


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _consumer_overrides(translation: Translation, remaining: dict[str, str]) -> None:
    properties = {}
    for key in [key for key in remaining if key.startswith("consumer.override.")]:
        name, value = key.removeprefix("consumer.override."), remaining.pop(key)
        if name == "group.id":
            translation.group = value
            meaning = "the group whose offsets --take-offsets reads; the bridge's own is kafka.group_id"
            translation.mapped.append((key, meaning))
        elif name in CONSUMER_PROPERTIES:
            properties[name] = value
            translation.mapped.append((key, f"kafka.properties.{name}"))
        else:
            advice = (
                "a Java client's property: see librdkafka's name for it, and put it into kafka.properties"
            )
            translation.by_hand.append((key, advice))
    if properties:
        translation.config["kafka"]["properties"] = properties


def _endpoint(translation: Translation, remaining: dict[str, str]) -> None:
    aep = translation.config["aep"]
    aep["inlet_url"] = remaining.pop("aep.endpoint")
    translation.mapped.append(("aep.endpoint", "aep.inlet_url"))
    ims_org_id = remaining.pop("aep.connection.auth.imsOrg", None)
    if ims_org_id is not None:
        aep["ims_org_id"] = ims_org_id
        translation.mapped.append(("aep.connection.auth.imsOrg", "aep.ims_org_id"))
    key = "aep.connection.endpoint.headers"
    headers = remaining.pop(key, None)
    if headers is None:
        return
    try:
        aep["headers"] = {str(name): str(value) for name, value in json.loads(headers).items()}
        translation.mapped.append((key, "aep.headers"))
    except (ValueError, AttributeError):
        translation.by_hand.append((key, "is no JSON object: write its headers into aep.headers"))


def _auth(translation: Translation, remaining: dict[str, str], secret_file: str) -> None:
    if "aep.connection.auth.endpoint" in remaining:
        translation.mapped.append(("aep.connection.auth.endpoint", "aep.auth.token_url"))
    endpoint = remaining.pop("aep.connection.auth.endpoint", IMS_URL)
    client_id = remaining.pop("aep.connection.auth.client.id", "")
    secret = remaining.pop("aep.connection.auth.client.secret", "")
    if remaining.get("aep.connection.auth.enabled") != "true":
        return
    has_path = urlsplit(endpoint).path.strip("/")
    token_url = endpoint if has_path else f"{endpoint.rstrip('/')}{TOKEN_PATH}"
    translation.config["aep"]["auth"] = auth_section(client_id, secret_file, token_url)
    key = "aep.connection.auth.client.secret"
    translation.mapped.append(("aep.connection.auth.client.id", "aep.auth.client_id"))
    translation.mapped.append((key, f"aep.auth.client_secret_file: {secret_file}"))
    if _PLACEHOLDER.match(secret) or not secret:
        advice = f"the file does not hold it: put the client secret into {secret_file}"
        translation.by_hand.append((key, advice))
    else:
        translation.secret = secret
    if remaining.get("aep.connection.auth.token.type") == "jwt_token":
        del remaining["aep.connection.auth.token.type"]
        advice = "JWT credentials are past their end of life: make an OAuth server-to-server credential"
        translation.by_hand.append(("aep.connection.auth.token.type", advice))


def _proxy(translation: Translation, remaining: dict[str, str]) -> None:
    host = remaining.pop("aep.connection.proxy.host", "")
    port = remaining.pop("aep.connection.proxy.port", "443")
    user = remaining.pop("aep.connection.proxy.user", "")
    password = remaining.pop("aep.connection.proxy.password", "")
    if not host:
        return
    if user:
        translation.proxy_url = f"http://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}"
        translation.mapped.append(("aep.connection.proxy.*", "aep.proxy_url_file"))
    else:
        translation.config["aep"]["proxy_url"] = f"http://{host}:{port}"
        translation.mapped.append(("aep.connection.proxy.*", "aep.proxy_url"))


def _timing(translation: Translation, remaining: dict[str, str]) -> None:
    timeout_ms = remaining.pop("aep.connection.readTimeout", None)
    if timeout_ms is not None:
        seconds = int(timeout_ms) / 1000 if timeout_ms.isdecimal() else 30
        seconds = min(300, max(1, seconds))
        translation.config["delivery"] = {
            "request_timeout_s": seconds,
            "drain_timeout_s": max(30, seconds),  # a drain waits for every request
        }
        meaning = "delivery.request_timeout_s (and a drain that is no shorter)"
        translation.mapped.append(("aep.connection.readTimeout", meaning))
    interval_s = remaining.pop("aep.flush.interval.seconds", "")
    if interval_s.isdecimal():
        translation.config["batch"] = {"linger_ms": int(interval_s) * 1000}
        translation.mapped.append(("aep.flush.interval.seconds", "batch.linger_ms"))


def _topics(translation: Translation, remaining: dict[str, str]) -> None:
    topics = [name.strip() for name in remaining.pop("topics", "").split(",") if name.strip()]
    if regex := remaining.pop("topics.regex", ""):
        topics.append(regex if is_regex(regex) else f"^{regex}$")
        meaning = f"topics: {topics[-1]}; a POSIX regex, write [0-9] for \\d"
        translation.mapped.append(("topics.regex", meaning))
    elif topics:
        translation.mapped.append(("topics", f"topics: {len(topics)}, format envelope"))
    if not topics:
        raise NotAConnector("names no topics: neither topics nor topics.regex")
    entry = {"format": "envelope"}
    if dead_letter_topic := remaining.pop("errors.deadletterqueue.topic.name", ""):
        entry["dead_letter_topic"] = dead_letter_topic
        meaning = "dead_letter_topic of each topic"
        translation.mapped.append(("errors.deadletterqueue.topic.name", meaning))
    translation.config["topics"] = [{"topic": topic, **entry} for topic in topics]
