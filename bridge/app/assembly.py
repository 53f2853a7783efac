"""Builds the parts of a process from its settings: routes, inlets, endpoints, token sources."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import structlog

from bridge.aep.sender import Endpoint
from bridge.codec.envelope import entity_wrapper
from bridge.codec.routes import Route
from bridge.config.reloading import FileValue
from bridge.config.settings import Settings
from bridge.config.settings_aep import AepSettings
from bridge.config.settings_topics import TopicSettings
from bridge.engine.engine import EngineSettings
from bridge.engine.inlet import Inlet, Policy
from bridge.http.connection import http_client
from bridge.http.oauth import TokenSource
from bridge.http.proxy import Proxy
from bridge.http.tls import Tls

log = structlog.get_logger("bridge")

INLET_LABEL_CHARACTERS = 12
"""An inlet's name in logs and metrics begins with so many characters of its id."""
T = TypeVar("T")
ProxySource = str | Callable[[], str | None] | None
"""A proxy's URL, a function that returns the current one, or None for the proxy of the environment."""


def inlet_names(settings: Settings) -> list[str]:
    """Return the name of each topic's inlet, in the order of the mapping.

    Topics with the same inlet share its name.
    """
    names: dict[object, str] = {}
    for topic in settings.topics:
        aep = settings.inlet_for(topic)
        label = aep.inlet_id[:INLET_LABEL_CHARACTERS]
        names.setdefault(aep.identity, f"{label}-{len(names) + 1}" if names else label)
    return [names[settings.inlet_for(topic).identity] for topic in settings.topics]


def routes(settings: Settings) -> list[Route]:
    """Return the route of each entry of the topic mapping."""
    names = inlet_names(settings)
    return [_route(settings, topic, inlet) for topic, inlet in zip(settings.topics, names, strict=True)]


def _route(settings: Settings, topic: TopicSettings, inlet: str) -> Route:
    wrapper = (b"", b"")
    if topic.format == "entity":
        wrapper = entity_wrapper(
            schema_id=topic.schema_id or "",
            schema_version=topic.schema_version,
            ims_org_id=settings.inlet_for(topic).ims_org_id or "",
            dataset_id=topic.dataset_id or "",
        )
    return Route(
        name=topic.topic,
        format=topic.format,
        inlet=inlet,
        dataset_id=topic.dataset_id,
        wrapper=wrapper,
        tombstones=settings.dead_letter.tombstones == "dead_letter",
        dead_letter_topic=topic.dead_letter_topic_for,
    )


def inlet_settings(settings: Settings) -> dict[str, AepSettings]:
    """Return the settings of each inlet, by its name."""
    return {
        name: settings.inlet_for(topic)
        for name, topic in zip(inlet_names(settings), settings.topics, strict=True)
    }


def inlets(settings: Settings) -> dict[str, Inlet]:
    """Return the engine's inlets, by name."""
    sharing = {
        name
        for name, topic in zip(inlet_names(settings), settings.topics, strict=True)
        if topic.aep is None or "max_messages_per_s" not in topic.aep.model_fields_set
    }
    return {
        name: Inlet(name, aep.inlet_id, _policy(settings, aep, shares_rate=name in sharing))
        for name, aep in inlet_settings(settings).items()
    }


def _policy(settings: Settings, aep: AepSettings, *, shares_rate: bool) -> Policy:
    delivery = settings.delivery
    return Policy(
        max_bytes=settings.batch.max_bytes,
        max_in_flight=delivery.max_in_flight,
        window_bytes=delivery.window_bytes,
        request_timeout_s=delivery.request_timeout_s,
        retry_after_max_s=delivery.retry_after_max_s,
        backoff_max_s=delivery.backoff_max_s,
        flood_guard=settings.dead_letter.flood_guard,
        max_messages_per_s=aep.max_messages_per_s,
        shares_rate=shares_rate,
        ordered=delivery.ordering == "partition",
    )


def engine_settings(settings: Settings) -> EngineSettings:
    """Return the engine's settings. Its name is random, so that no other process has the same batch ids."""
    delivery, batch = settings.delivery, settings.batch
    return EngineSettings(
        max_messages=batch.max_messages,
        linger_s=batch.linger_ms / 1000,
        max_uncommitted_records=delivery.max_uncommitted_records,
        revoke_timeout_s=delivery.revoke_timeout_s,
        drain_timeout_s=delivery.drain_timeout_s,
        ordered=delivery.ordering == "partition",
        name=secrets.token_hex(4),
    )


def proxy(inlet: str, aep: AepSettings) -> ProxySource:
    """Return the inlet's proxy. A file with its URL is read again when it changes.

    Raises ValueError if the URL is not a proxy's.
    """

    def read() -> str | None:
        if url := aep.proxy():
            Proxy.parse(url)
        return url

    return (
        aep.proxy()
        if aep.proxy_url_file is None
        else _reloaded(inlet, "proxy_url", [aep.proxy_url_file], read)
    )


def token_source(
    aep: AepSettings, proxy_url: ProxySource, on_failure: Callable[[str], None]
) -> TokenSource | None:
    """Return the source of the inlet's access tokens, or None if it needs none."""
    auth = aep.auth
    if auth is None:
        return None
    return TokenSource(
        url=auth.token_url,
        client_id=auth.client_id,
        secret=auth.secret,
        scope=auth.scope,
        client=http_client(tls=tls(aep), proxy=proxy_url),
        refresh_ahead_s=auth.refresh_ahead_s,
        on_failure=on_failure,
    )


def endpoint(inlet: str, aep: AepSettings, proxy_url: ProxySource, token: TokenSource | None) -> Endpoint:
    """Return the address, headers and connection settings of the inlet.

    Header files are read again when they change.
    """
    headers: Mapping[str, str] | FileValue[dict[str, str]] = aep.header_values()
    if aep.header_files:
        headers = _reloaded(inlet, "headers", aep.header_files, aep.header_values)
    return Endpoint(
        name=inlet,
        url=aep.batch_url,
        headers=headers,
        token=token,
        proxy=proxy_url,
        ca_file=_text(aep.ca_file),
        cert_file=_text(aep.client_cert_file),
        key_file=_text(aep.client_key_file),
    )


def tls(aep: AepSettings) -> Tls:
    """Return the authorities that the inlet's connections trust, and their client certificate."""
    return Tls(_text(aep.ca_file), _text(aep.client_cert_file), _text(aep.client_key_file))


def _reloaded(inlet: str, setting: str, files: Sequence[Path], read: Callable[[], T]) -> FileValue[T]:
    return FileValue(
        files,
        read,
        lambda: log.info("file.reloaded", inlet=inlet, setting=setting),
        lambda error: log.error(
            "file.reload_failed",
            inlet=inlet,
            setting=setting,
            error=error,
            next_step="the values that were read before stay in use; the file is read again when it changes",
        ),
    )


def _text(path: object) -> str | None:
    return None if path is None else str(path)
