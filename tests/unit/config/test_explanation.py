"""The reference page, the JSON Schema and `explain`, all made from the settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.config.explanation import explain, explanations, schema
from make.configuration_page import reference

PAGE = Path(__file__).parents[3] / "docs/reference/configuration.md"


def test_the_reference_page_is_up_to_date() -> None:
    """Write it again with `make docs-generate`."""
    assert PAGE.read_text() == reference()


def test_every_key_is_explained() -> None:
    """A key without a description or a type would be a hole in the reference page."""
    entries = list(explanations())

    assert [entry.key for entry in entries if not entry.description or not entry.type] == []
    assert len({entry.key for entry in entries}) == len(entries)
    assert len(entries) > 60


def test_the_schema_describes_every_key() -> None:
    """Editors show the descriptions, and the chart refuses unknown keys with the same schema."""
    whole = schema()
    models = [whole, *(model for model in whole["$defs"].values() if "properties" in model)]
    undescribed = [
        (model["title"], name)
        for model in models
        for name, entry in model["properties"].items()
        if not entry.keys() & {"description", "$ref"}
    ]

    assert undescribed == []
    assert {model["additionalProperties"] for model in models} == {False}


def test_the_schema_states_what_a_schema_can() -> None:
    """Names, addresses, refused properties, and what a format requires. Only the bridge checks the rest."""
    models = schema()["$defs"]
    topic = models["TopicSettings"]
    topic_pattern = topic["properties"]["topic"]["pattern"]
    inlet_pattern = models["AepSettings"]["properties"]["inlet_url"]["pattern"]
    refused = models["KafkaSettings"]["properties"]["properties"]["propertyNames"]["not"]["enum"]

    assert re.search(topic_pattern, "web.events-1")
    assert not re.search(topic_pattern, "a b")
    assert topic["then"]["required"] == ["dataset_id", "schema_id"]
    assert not re.search(inlet_pattern, "ftp://x")
    assert {"enable.auto.commit", "acks_file"} <= set(refused)


def test_a_key_is_explained_with_its_default_and_its_variable() -> None:
    """These are what somebody needs who changes it."""
    window = explain("delivery.window_bytes")

    assert window.type == "whole number, from 20,000"
    assert window.default == "33554432"
    assert window.variable == "AEP_BRIDGE_DELIVERY__WINDOW_BYTES"


@pytest.mark.parametrize("key", ["topics[3].format", "topics.format", "topics[].format", "topics.0.format"])
def test_a_key_of_an_item_is_explained_under_any_index(key: str) -> None:
    """Users copy keys from error messages, and those have an index."""
    assert explain(key).key == "topics[].format"


def test_a_property_is_explained_by_its_mapping() -> None:
    """The names in it are librdkafka's, not ours."""
    assert explain("kafka.properties.sasl.password").key == "kafka.properties"


def test_an_unknown_key_gets_a_suggestion() -> None:
    """As in every other message about a misspelt key."""
    with pytest.raises(LookupError, match=r"did you mean delivery\.window_bytes"):
        explain("delivery.windowbytes")
