"""A YAML file as plain values, with line and column."""

from __future__ import annotations

import pytest

from bridge.config.yaml_document import parse
from tests.unit.config.conftest import MINIMAL, Loader


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kafka:\n  a: 1\n b: 2\n", "3:2: is not valid YAML"),
        ("kafka: {a: 1\n", "2:1: is not valid YAML"),
        ("kafka:\n\tgroup_id: x\n", "2:1: is not valid YAML"),
        ("a: 1\n---\nb: 2\n", "2:1: is not valid YAML"),
        ("a: \x07\n", "1:1: holds control characters"),
    ],
)
def test_broken_yaml_is_reported_with_its_place(text: str, expected: str, loads: Loader) -> None:
    """Nothing can be said about keys of such a file, so this is the only message."""
    lines = loads.problems(text)

    assert len(lines) == 1
    assert lines[0].startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            MINIMAL.replace("9092\n", "9092\n  group_id: a\n  group_id: b\n"),
            "4:3: kafka.group_id: is written twice, first in line 3; leave one of them out",
        ),
        (MINIMAL + "logging: {level: !wild info}\n", "7:18: logging.level: has a tag that is not known here"),
        (MINIMAL + "batch: {? [a, b] : c}\n", "7:11: batch: a key must be plain text"),
        (MINIMAL + "logging: &x\n  level: *x\n", "7:10: logging.level: is an alias that contains itself"),
        (MINIMAL + "logging:\n  <<: 5\n", "8:3: logging: << must name a mapping to merge"),
    ],
)
def test_slips_that_yaml_takes_in_silence_are_reported(text: str, expected: str, loads: Loader) -> None:
    """YAML takes the second of two equal keys; an unknown tag or a circle would crash the loader."""
    lines = loads.problems(text)

    assert lines[0].startswith(expected), lines


def test_each_use_of_an_anchor_has_values_of_its_own(loads: Loader) -> None:
    """A variable for one topic must not change another one that was written with the same anchor."""
    anchors = "  - &first {topic: a, dataset_id: d}\n  - {<<: *first, topic: b}\n"
    settings = loads(MINIMAL.replace("  - topic: web-events\n", anchors), TOPICS__1__DATASET_ID="other")

    assert [(entry.topic, entry.dataset_id) for entry in settings.topics] == [("a", "d"), ("b", "other")]


def test_text_is_taken_as_it_is_written(loads: Loader) -> None:
    """YAML reads 1.10 as 1.1, 0123 as 83, no as false and 12:30 as 750; a key for text must get the text."""
    settings = loads(
        """\
        kafka:
          bootstrap_servers: kafka:9092
          group_id: 0123
          properties: {sasl.username: 0123, client.id: 1.10, client.rack: 2024-01-01}
        aep:
          inlet_url: https://dcs.adobedc.net/collection/aaaa
          headers: {x-version: 1.10, x-flag: no}
        topics:
          - topic: 2024-01-01
            format: entity
            dataset_id: 12:30
            schema_id: 1_000
            schema_version: 1.10
            aep: {ims_org_id: 5}
        """
    )
    entry = settings.topics[0]
    inlet = settings.inlet_for(entry)

    assert settings.kafka.group_id == "0123"
    assert settings.kafka.properties == {
        "sasl.username": "0123",
        "client.id": "1.10",
        "client.rack": "2024-01-01",
    }
    assert entry.topic == "2024-01-01"
    assert entry.dataset_id == "12:30"
    assert entry.schema_id == "1_000"
    assert entry.schema_version == "1.10"
    assert inlet.ims_org_id == "5"
    assert inlet.header_values() == {"x-version": "1.10", "x-flag": "no"}
    assert loads(MINIMAL + "    schema_version: 1\n").topics[0].schema_version == "1"


def test_a_truth_value_of_librdkafka_is_true_or_false(loads: Loader) -> None:
    """librdkafka knows no `no`, which is YAML's own word for it."""
    properties = "  properties: {enable.ssl.certificate.verification: no, enable.metrics.push: True}"
    settings = loads(MINIMAL.replace("9092\n", f"9092\n{properties}\n"))

    assert settings.kafka.properties == {
        "enable.ssl.certificate.verification": "false",
        "enable.metrics.push": "true",
    }


def test_a_value_where_no_text_is_wanted_keeps_its_type() -> None:
    """`max_bytes: "5"` is a mistake that the settings report; a number in quotes must not pass for one."""
    document = parse(
        'batch: {max_bytes: "5", linger_ms: 5}\ndead_letter: {create_topics: no}\nunknown: 1.10\n'
    )

    assert document.data == {
        "batch": {"max_bytes": "5", "linger_ms": 5},
        "dead_letter": {"create_topics": False},
        "unknown": 1.1,
    }


def test_every_key_and_item_has_its_position() -> None:
    """Lines and columns are counted from 1, as editors do."""
    document = parse("kafka:\n  group_id: a\ntopics:\n  - topic: b\n")

    assert document.positions == {
        ("kafka",): (1, 1),
        ("kafka", "group_id"): (2, 3),
        ("topics",): (3, 1),
        ("topics", 0): (4, 5),
        ("topics", 0, "topic"): (4, 5),
    }
