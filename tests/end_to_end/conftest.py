"""The configuration that the end-to-end tests start from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge.simulator import Simulator
from tests.support.bridge import merge_sections
from tests.support.clients import unique
from tests.support.kafka import Kafka

Configure = Callable[..., dict[str, Any]]


@pytest.fixture
def configure(kafka: Kafka) -> Configure:
    """Return a function that makes a configuration for topics; keyword arguments are merged over it."""

    def make(sim: Simulator, *topics: str, **sections: Any) -> dict[str, Any]:
        config: dict[str, Any] = {
            "kafka": {"bootstrap_servers": kafka.bootstrap(), "group_id": unique("group")},
            "aep": {"inlet_url": sim.inlet_url, "ims_org_id": sim.config.org},
            "topics": [{"topic": topic} for topic in topics],
            "batch": {"linger_ms": 50},
        }
        return merge_sections(config, sections)

    return make
