"""What `check` says of the environment, without a connection."""

from __future__ import annotations

import pytest

from bridge.check import Level, offline
from bridge.check.surroundings import most_similar_variable, references
from tests.support.settings import settings


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("AEPBRIDGE_BATCH__LINGER_MS", "AEP_BRIDGE_BATCH__LINGER_MS"),
        ("AEP_BRIGE_KAFKA__GROUP_ID", "AEP_BRIDGE_KAFKA__GROUP_ID"),
        ("AEP_KAFKA__GROUP_ID", "AEP_BRIDGE_KAFKA__GROUP_ID"),
        ("aep_bridge_kafka__group_id", "AEP_BRIDGE_KAFKA__GROUP_ID"),
        ("AEP-BRIDGE-CONFIG", "AEP_BRIDGE_CONFIG"),
        ("AEP_BRIDG_NONSENSE", "AEP_BRIDGE_SECTION__KEY"),
        ("PATH", ""),
        ("KUBERNETES_SERVICE_HOST", ""),
        ("AEP_ORG", ""),
        ("OTHER__APP__PORT", ""),
    ],
)
def test_a_variable_that_looks_like_ours_is_named_with_the_one_that_is_meant(name: str, similar: str) -> None:
    """A variable that is misspelt in its first part is not refused at start, since
    it may belong to anybody.
    """
    assert most_similar_variable(name) == similar


def test_the_environment_is_described_without_values() -> None:
    """Our variables, those that only look so, and references that nobody fills in:
    their values may be secrets.
    """
    configured = settings(
        kafka={"bootstrap_servers": "a:1", "properties": {"sasl.password": "x${KAFKA_SECRET}"}},
        topics=[{"topic": "t", "dataset_id": "${DATASET}"}],
    )
    environ = {
        "AEP_BRIDGE_BATCH__LINGER_MS": "value-canary",
        "AEPBRIDGE_BATCH__LINGER_MS": "value-canary",
        "DATASETS": "d",
        "KAFKA_SECRET": "value-canary",
    }
    findings = [
        finding for finding in offline(configured, environ) if finding.subject.startswith("environment")
    ]
    ours, similar, password, dataset = findings

    assert [finding.level for finding in findings] == [Level.OK, Level.WARN, Level.WARN, Level.WARN]
    assert "AEP_BRIDGE_BATCH__LINGER_MS" in ours.text
    assert similar.next_step == "did you mean AEP_BRIDGE_BATCH__LINGER_MS?"
    assert "kafka.properties.sasl.password" in password.text
    assert "has no" not in password.text
    assert "AEP_BRIDGE_KAFKA__PROPERTIES__SASL_PASSWORD" in password.next_step
    assert "has no DATASET (it has DATASETS)" in dataset.text
    assert "AEP_BRIDGE_TOPICS__0__DATASET_ID" in dataset.next_step
    assert "value-canary" not in repr(findings)


def test_an_environment_without_our_variables_is_fine() -> None:
    """A configuration file alone is enough."""
    texts = [finding.text for finding in offline(settings(), {}) if finding.subject == "environment"]

    assert texts == ["no variable of ours is set"]


def test_a_dollar_alone_is_no_reference() -> None:
    """A regex, a price and an empty pair of braces are what they are."""
    assert list(references({"a": "^shop-.*$", "b": "$5", "c": "${}", "d": "{X}"})) == []
