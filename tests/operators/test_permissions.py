"""A broker that authorizes: `check` names every right that is missing.

What docs/how-to/kubernetes.md lists is enough for the bridge and for a replay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from bridge.simulator import Config, Rule, Simulator
from tests.operators.conftest import aep_bridge, write
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.jars import missing_tools
from tests.support.kafka import USER, Kafka
from tests.support.xdm import envelope

pytestmark = pytest.mark.timeout(170)
AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Kafka]:
    """A broker where the user may do nothing that is not granted."""
    if missing := missing_tools():
        pytest.fail(f"a real broker needs {', '.join(missing)}")
    with Kafka(secure=True, settings=AUTHORIZER) as running:
        yield running


def grant(kafka: Kafka, kind: ResourceType, name: str, *operations: AclOperation) -> None:
    """Allow the user these operations."""
    admin = AdminClient(kafka.properties())
    for operation in operations:
        binding = AclBinding(
            kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, AclPermissionType.ALLOW
        )
        admin.create_acls([binding])[binding].result(20)


def test_what_is_missing_is_named_and_what_is_documented_is_enough(guarded: Kafka, tmp_path: Path) -> None:
    """Rights are granted one by one, up to the table of the documentation.

    Each missing one is FAIL with its ACL; in the end `check` is ok, the bridge delivers, and a replay runs.
    """
    topic, group = guarded.clients.create_topic(unique("guarded"), 1), unique("group")
    dead = guarded.clients.create_topic(f"{topic}.dlq", 1)
    properties: dict[str, Any] = guarded.properties("SASL_SSL")
    servers = properties.pop("bootstrap.servers")
    with Simulator(Config()) as sim:
        config = {
            "kafka": {"bootstrap_servers": servers, "group_id": group, "properties": properties},
            "aep": {"inlet_url": sim.inlet_url, "ims_org_id": sim.config.org},
            "topics": [{"topic": topic}],
            "batch": {"linger_ms": 50},
        }
        file = write(config, tmp_path / "bridge.yaml")

        def check(code: int) -> dict[str, dict[str, str]]:
            return {
                each["what"]: each
                for each in json.loads(aep_bridge("check", "-c", file, "-o", "json", code=code).stdout)
            }

        assert "DESCRIBE" in check(1)[f"topic {topic}"]["do"]
        grant(guarded, ResourceType.TOPIC, topic, AclOperation.DESCRIBE)
        findings = check(1)
        assert "no permission to READ" in findings[f"topic {topic}"]["found"]
        assert "can't be created" in findings[f"dead-letter topic {dead}"]["found"]
        assert "DESCRIBE where it is there" in findings[f"dead-letter topic {dead}"]["do"]
        assert "ACL" in findings[f"group {group}"]["do"]
        grant(guarded, ResourceType.TOPIC, topic, AclOperation.READ, AclOperation.DESCRIBE_CONFIGS)
        grant(guarded, ResourceType.TOPIC, dead, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
        assert "no permission to WRITE" in check(1)[f"dead-letter topic {dead}"]["found"]
        grant(guarded, ResourceType.TOPIC, dead, AclOperation.WRITE)
        grant(guarded, ResourceType.GROUP, group, AclOperation.READ)
        assert not [each for each in check(0).values() if each["level"] == "FAIL"]

        sim.fault(Rule(action="messages", status=400, body="not today"))
        guarded.clients.produce(topic, [envelope(f"g{number}", sim.config.org) for number in range(10)])
        with Bridge(config, tmp_path) as bridge:
            until(lambda: guarded.clients.committed(group, topic).get(0) == 10, 60, bridge.tail())
            assert bridge.stop() == 0
        sim.faults.clear()

        assert "may this principal read" in aep_bridge("dlq", "list", "-c", file, code=3).stderr
        grant(guarded, ResourceType.TOPIC, dead, AclOperation.READ)
        assert json.loads(aep_bridge("dlq", "list", "-c", file).stdout)[0]["count"] == 10
        assert f"{group}.replayed" in aep_bridge("dlq", "replay", "-c", file, "--yes", code=1).stderr
        grant(
            guarded,
            ResourceType.TOPIC,
            f"{group}.replayed",
            AclOperation.CREATE,
            AclOperation.WRITE,
            AclOperation.READ,
            AclOperation.DESCRIBE_CONFIGS,
        )
        assert "ACL READ" in aep_bridge("dlq", "replay", "-c", file, "--yes", code=1).stderr
        assert dict(sim.accepted) == {}
        grant(guarded, ResourceType.GROUP, f"{group}.replay", AclOperation.READ)
        result = json.loads(aep_bridge("dlq", "replay", "-c", file, "--yes").stdout)

        assert (result["accepted"], result["finished"]) == (10, True)
        assert len(sim.accepted) == 10
