"""What the hostile tests start from: a topic with events, a configuration for it, and what a process gave away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.bridge import Bridge
from tests.support.clients import unique
from tests.support.kafka import Kafka
from tests.support.xdm import envelope

ORG = "0DD379AC5B117F6E0A494106@AdobeOrg"
Configure = Callable[..., dict[str, Any]]


@pytest.fixture
def configure(kafka: Kafka) -> Configure:
    """A configuration; keyword arguments are sections merged over it."""

    def make(inlet_url: str, *topics: str | dict[str, Any], **sections: Any) -> dict[str, Any]:
        config: dict[str, Any] = {
            "kafka": {"bootstrap_servers": kafka.bootstrap(), "group_id": unique("group")},
            "aep": {"inlet_url": inlet_url, "ims_org_id": ORG},
            "topics": [{"topic": topic} if isinstance(topic, str) else topic for topic in topics],
            "batch": {"linger_ms": 50},
            "delivery": {"backoff_max_s": 1, "request_timeout_s": 5},
        }
        for name, section in sections.items():
            config[name] = {**config.get(name, {}), **section} if isinstance(section, dict) else section
        return config

    return make


def events(count: int, org: str = ORG, prefix: str = "e") -> list[bytes]:
    """So many good events."""
    return [envelope(f"{prefix}{number:05}", org) for number in range(count)]


def said(bridge: Bridge, *more: str) -> str:
    """Everything that a process lets others see: log, metrics, status, probes."""
    parts = [bridge.log_path.read_text(errors="replace"), *more]
    with suppress(httpx.HTTPError):
        parts += [
            httpx.get(bridge.admin + path, timeout=5).text
            for path in ("/metrics", "/api/status", "/livez", "/readyz", "/")
        ]
    return "\n".join(parts)


def leaks(text: str, secrets: Iterable[str]) -> list[str]:
    """The secrets that appear in a text."""
    return [secret for secret in secrets if secret in text]


def crashes(bridge: Bridge) -> list[str]:
    """Log lines that tell of something nobody expected."""
    marks = (
        "Traceback",
        "request.crashed",
        "callback.failed",
        "Exception in thread",
        "kafka.fatal",
        "unexpected:",
        "Fatal Python",
    )
    return [
        line
        for line in bridge.log_path.read_text(errors="replace").splitlines()
        if any(mark in line for mark in marks)
    ]


def peak_bytes(bridge: Bridge) -> int:
    """VmHWM."""
    assert bridge.process is not None
    lines = Path(f"/proc/{bridge.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def ceiling(bridge: Bridge) -> int:
    """What the process printed at its start."""
    return next(int(entry["bytes"]) for entry in bridge.events() if entry["event"] == "memory.ceiling")


def done(kafka: Kafka, group: str, topic: str, partitions: int = 1) -> bool:
    """Whether the group has committed everything."""
    return (
        len(kafka.clients.committed(group, topic, partitions)) == partitions
        and kafka.clients.lag(group, topic, partitions) == 0
    )


__all__: Sequence[str] = (
    "ORG",
    "Configure",
    "ceiling",
    "crashes",
    "done",
    "events",
    "leaks",
    "peak_bytes",
    "said",
)
