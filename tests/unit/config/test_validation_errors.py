"""pydantic's errors in words."""

from __future__ import annotations

import pytest

from tests.unit.config.conftest import MINIMAL, Loader


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL + "batch: 5\n", "7:1: batch: must be a mapping: lines of `key: value`; it is 5"),
        (MINIMAL + "batch: []\n", "7:1: batch: must be a mapping: lines of `key: value`; it is a list"),
        (
            MINIMAL + "batch:\n  max_bytes:\n",
            "8:3: batch.max_bytes: has no value; give one, or leave the key out",
        ),
        (
            MINIMAL + "logging: {level: verbose}\n",
            "7:11: logging.level: must be 'debug', 'info', 'warning', 'error' or 'critical'; it is 'verbose'",
        ),
        (
            MINIMAL + "sasl.password: x\n",
            "7:1: sasl.password: unknown key here; it belongs under kafka.properties:",
        ),
        (MINIMAL + "_env_file: x\n", "7:1: _env_file: unknown key; settings don't begin with an underscore"),
        (
            MINIMAL.replace("  - topic: web-events", "  topic: web-events"),
            "5:1: topics: must be a list: lines that begin with a dash; it is a mapping",
        ),
        (
            MINIMAL.replace("\n  - topic: web-events", " []"),
            "5:1: topics: must not be empty; give at least one",
        ),
        (
            MINIMAL.replace("kafka:\n  bootstrap_servers: kafka:9092\n", ""),
            "1:1: kafka: is required; add kafka",
        ),
        (
            MINIMAL + "  - topic: web-events\n",
            "7:5: topics[1].topic: web-events is mapped twice, first as topics[0]; leave one of them out",
        ),
        (MINIMAL.replace("aaaa", ""), "4:3: aep.inlet_url: must be the streaming endpoint"),
        (
            MINIMAL.replace("9092", "9092\n  properties: {acks: 1}"),
            "3:16: kafka.properties.acks: not to be set here: ",
        ),
        (
            MINIMAL + "delivery: {window_bytes: 1000000}\n",
            "7:12: delivery.window_bytes: 1000000 does not hold two batches",
        ),
    ],
)
def test_a_mistake_is_reported_where_it_is(text: str, expected: str, loads: Loader) -> None:
    """One mistake is one line, at the key that has to be changed."""
    lines = loads.problems(text)

    assert len(lines) == 1, lines
    assert lines[0].startswith(expected), lines


@pytest.mark.parametrize("section", ["Batch: {linger_ms: 5}", "BATCH: {linger_ms: 5}"])
def test_a_section_is_written_in_small_letters(section: str, loads: Loader) -> None:
    """pydantic-settings takes `Batch` for `batch`, and drops one of the two in silence if both are there."""
    alone = loads.problems(MINIMAL + section)
    beside = loads.problems(MINIMAL + "batch: {linger_ms: 6}\n" + section)

    assert len(alone) == len(beside) == 1
    assert alone[0].endswith(": unknown key; did you mean batch?")
    assert beside[0].endswith(": unknown key; did you mean batch?")
