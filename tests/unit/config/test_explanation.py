"""The reference page, the JSON Schema and `explain` tell what the settings are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.config.explanation import explain, explanations, schema
from make.configuration_page import reference

PAGE = Path(__file__).parents[3] / "docs/reference/configuration.md"


def test_the_reference_page_is_up_to_date() -> None:
    """It is written anew with `make docs-generate`."""
    assert PAGE.read_text() == reference()


def test_every_key_is_explained() -> None:
    """With a description and a type; no key is left without."""
    found = [*explanations()]

    assert [] == [entry.key for entry in found if not entry.description or not entry.type]
    assert len({entry.key for entry in found}) == len(found) > 60


def test_the_schema_describes_every_key() -> None:
    """Editors and the chart use it; unknown keys are refused by it too."""
    found = schema()
    models = [found, *(model for model in found["$defs"].values() if "properties" in model)]

    assert [] == [
        (model["title"], name)
        for model in models
        for name, entry in model["properties"].items()
        if not entry.keys() & {"description", "$ref"}
    ]
    assert {False} == {model["additionalProperties"] for model in models}


def test_the_schema_knows_what_can_be_said_in_one() -> None:
    """Names, addresses, refused properties, and what a format requires; the rest is told by the bridge alone."""
    models = schema()["$defs"]
    topic = models["TopicSettings"]

    assert re.search(topic["properties"]["topic"]["pattern"], "web.events-1")
    assert not re.search(topic["properties"]["topic"]["pattern"], "a b")
    assert ["dataset_id", "schema_id"] == topic["then"]["required"]
    assert not re.search(models["AepSettings"]["properties"]["inlet_url"]["pattern"], "ftp://x")
    assert {"enable.auto.commit", "acks_file"} <= {
        *models["KafkaSettings"]["properties"]["properties"]["propertyNames"]["not"]["enum"]
    }


def test_a_key_is_explained_with_its_default_and_its_variable() -> None:
    """An item of a list under any index; a property or a header with its mapping."""
    window = explain("delivery.window_bytes")

    assert ("33554432", "AEP_BRIDGE_DELIVERY__WINDOW_BYTES") == (window.default, window.variable)
    assert "whole number, from 20,000" == window.type
    assert (
        explain("topics[3].format")
        == explain("topics.format")
        == explain("topics[].format")
        == explain("topics.0.format")
    )
    assert "kafka.properties" == explain("kafka.properties.sasl.password").key


def test_an_unknown_key_gets_a_suggestion() -> None:
    """As everywhere else."""
    with pytest.raises(LookupError, match=r"did you mean delivery\.window_bytes"):
        explain("delivery.windowbytes")
