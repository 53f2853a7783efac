"""What the hostile tests start from: a configuration, good events, and everything that a process shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.support.bridge import Bridge, merge_sections
from tests.support.clients import unique
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

ORG = "0DD379AC5B117F6E0A494106@AdobeOrg"
Configure = Callable[..., dict[str, Any]]


@pytest.fixture
def configure(kafka: Kafka) -> Configure:
    """Return a function that makes a configuration for topics; keyword arguments are merged over it."""

    def make(inlet_url: str, *topics: str | dict[str, Any], **sections: Any) -> dict[str, Any]:
        config: dict[str, Any] = {
            "kafka": {"bootstrap_servers": kafka.bootstrap(), "group_id": unique("group")},
            "aep": {"inlet_url": inlet_url, "ims_org_id": ORG},
            "topics": [{"topic": topic} if isinstance(topic, str) else topic for topic in topics],
            "batch": {"linger_ms": 50},
            "delivery": {"backoff_max_s": 1, "request_timeout_s": 5},
        }
        return merge_sections(config, sections)

    return make


def good_events(count: int, prefix: str = "e") -> list[bytes]:
    """Return so many events that AEP accepts."""
    return [envelope(f"{prefix}{number:05}", ORG) for number in range(count)]


def visible_text(bridge: Bridge) -> str:
    """Return everything that a process shows: its log, metrics, status, probes and page."""
    text = bridge.log_text()
    with suppress(httpx.HTTPError):
        for path in ("/metrics", "/api/status", "/livez", "/readyz", "/"):
            text += "\n" + httpx.get(bridge.admin_url + path, timeout=5).text
    return text


def secrets_in(text: str, secrets: Iterable[str]) -> list[str]:
    """Return the secrets that appear in a text."""
    return [secret for secret in secrets if secret in text]
