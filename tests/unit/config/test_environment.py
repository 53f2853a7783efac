"""Variables of the environment as keys."""

from __future__ import annotations

import pytest

from bridge.config.environment import resolve, variables
from bridge.config.explanation import explanations
from tests.unit.config.conftest import MINIMAL, Loader


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("KAFKA__GROUPID", "x", "is no setting; did you mean AEP_BRIDGE_KAFKA__GROUP_ID?"),
        ("KAFKA_GROUP_ID", "x", "is no setting; did you mean AEP_BRIDGE_KAFKA__GROUP_ID?"),
        ("TOPICS__3__DATASETID", "x", "is no setting; did you mean AEP_BRIDGE_TOPICS__3__DATASET_ID?"),
        ("ZZZ", "x", "is no setting; variables are written AEP_BRIDGE_SECTION__KEY"),
        ("kafka__group_id", "x", "is not written in capitals; did you mean AEP_BRIDGE_KAFKA__GROUP_ID?"),
        ("KAFKA__PROPERTIES__SASL_PASSWRD", "x", "is no setting"),
        ("KAFKA__PROPERTIES", "x=y", "must be JSON, an object"),
        ("TOPICS", "web", "must be JSON, a list"),
        ("TOPICS__5__TOPIC", "x", "is item 5 of a list that has 1; items are counted from 0"),
        (
            "SERVICE_HOST",
            "10.0.0.1",
            "comes from Kubernetes, for a Service named aep-bridge; set enableServiceLinks: false",
        ),
        ("PORT_8080_TCP_ADDR", "10.0.0.1", "comes from Kubernetes"),
        (
            "DEAD_LETTER__CREATE_TOPICS",
            "maybe",
            "dead_letter.create_topics: must be true or false; it is 'maybe'",
        ),
        ("KAFKA__PROPERTIES__ACKS", "1", "kafka.properties.acks: not to be set here"),
    ],
)
def test_a_wrong_variable_is_reported_by_its_name(
    name: str, value: str, expected: str, loads: Loader
) -> None:
    """A misspelt variable would otherwise be ignored in silence."""
    lines = loads.problems(MINIMAL, **{name: value})

    assert len(lines) == 1, lines
    assert lines[0].startswith(f"AEP_BRIDGE_{name}: {expected}"), lines


def test_every_key_has_a_variable() -> None:
    """The suggestions know the same names as the reference page."""
    assert list(variables()) == [entry.variable for entry in explanations()]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("SASL_PASSWORD", "sasl.password"),
        ("SASL_PASSWORD_FILE", "sasl.password_file"),
        ("SASL_OAUTHBEARER_ASSERTION_FILE", "sasl.oauthbearer.assertion.file"),
        ("LOG_LEVEL", "log_level"),
    ],
)
def test_a_property_is_known_by_its_letters(part: str, expected: str) -> None:
    """A variable holds no dots, and a property that ends in `.file` does not name a file of another one."""
    key_path, _ = resolve(f"AEP_BRIDGE_KAFKA__PROPERTIES__{part}")

    assert key_path == ("kafka", "properties", expected)
