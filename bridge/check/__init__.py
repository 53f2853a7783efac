"""What `aep-bridge check` looks at before a deploy. Each thing is one finding; where it is wrong, the
finding says what to do.

Nothing is changed, and only `send_test` delivers anything. The order: configuration, environment and
memory; brokers; topics, dead-letter topics, partitions and the group; proxies, tokens and inlets; one
record.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.check import brokers, group, inlets, topics
from bridge.check.findings import Finding, Level, exit_code
from bridge.check.sample import send_test
from bridge.check.surroundings import offline
from bridge.config.settings import Settings

__all__ = ["Finding", "Level", "exit_code", "offline", "online", "send_test"]


def online(settings: Settings, replicas: int = 0) -> Iterator[Finding]:
    """Check what needs connections. `replicas` is how many are planned; 0 if that is not known."""
    brokers_finding = brokers.check(settings)
    yield brokers_finding
    if brokers_finding.level is Level.OK:
        counts = topics.mapped_partitions(settings)
        yield from topics.check(settings, counts, replicas)
        yield from group.check(settings, counts)
    yield from inlets.check(settings)
