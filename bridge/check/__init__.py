"""What `aep-bridge check` looks at before a deploy: one finding for each thing, with what to do where it is wrong. Changes nothing, delivers nothing.

Surroundings (configuration, environment, memory) → brokers → topics, dead-letter topics, group, partitions → proxies, tokens, inlets → one record.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.check import brokers, inlets, topics
from bridge.check.findings import Finding, Level
from bridge.check.sample import send_test
from bridge.check.surroundings import offline
from bridge.config.settings import Settings

__all__ = ["Finding", "Level", "offline", "online", "send_test"]


def online(settings: Settings, replicas: int = 0) -> Iterator[Finding]:
    """Brokers, topics, group, proxies, tokens, inlets. `replicas`: how many are planned; 0 where nobody said."""
    admin, finding = brokers.reached(settings)
    yield finding
    if admin is not None:
        yield from topics.findings(settings, admin, replicas)
    yield from inlets.findings(settings)
