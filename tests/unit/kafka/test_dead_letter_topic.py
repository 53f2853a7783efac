"""What a dead-letter topic must be like."""

from __future__ import annotations

import pytest

from bridge.kafka.dead_letter_topic import HEADROOM_BYTES, error_in, wanted_config, warnings_about


def limit(size: int) -> dict[str, str]:
    return {"max.message.bytes": str(size)}


def test_a_new_one_deletes_nothing_and_has_room_for_the_largest_record() -> None:
    """A dead letter is its record with more headers."""
    assert wanted_config(limit(2_000_000)) == {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": "2065536",
    }


def test_a_topic_whose_limit_may_not_be_read_counts_with_kafkas_default() -> None:
    """The principal lacks DESCRIBE_CONFIGS; most topics have the default."""
    assert wanted_config({})["max.message.bytes"] == str(1_048_588 + HEADROOM_BYTES)


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_compacted_one_is_an_error(policy: str) -> None:
    """Compaction deletes all but the last dead letter of a key, and the broker refuses records without
    one.
    """
    error = error_in({"cleanup.policy": policy}, {})

    assert error is not None
    assert f"cleanup.policy={policy}" in error
    assert "set cleanup.policy=delete" in error


def test_one_that_is_smaller_than_its_topic_is_an_error() -> None:
    """A large record could never be dead-lettered, and would hold its partition for ever."""
    error = error_in(limit(1000), limit(1001))

    assert error is not None
    assert f"set max.message.bytes={1001 + HEADROOM_BYTES}" in error


@pytest.mark.parametrize(
    ("config", "topic_config"), [(limit(1000), limit(1000)), (limit(1), {}), ({}, limit(9))]
)
def test_limits_that_are_equal_or_not_known_are_no_error(
    config: dict[str, str], topic_config: dict[str, str]
) -> None:
    """Most dead letters fit; the start must not fail because of a missing ACL."""
    assert error_in(config, topic_config) is None


@pytest.mark.parametrize(
    ("config", "topic_config", "words"),
    [
        (limit(1000), limit(1000), f"set {1000 + HEADROOM_BYTES}"),
        ({}, limit(1000), "DESCRIBE_CONFIGS"),
        (limit(1000), {}, "DESCRIBE_CONFIGS"),
        (limit(10**6) | {"retention.ms": "604800000"}, limit(1), "retention.ms=604800000"),
    ],
)
def test_what_may_go_wrong_is_a_warning(
    config: dict[str, str], topic_config: dict[str, str], words: str
) -> None:
    """It is the user's choice, or can't be known. Each warning says what to do."""
    [warning] = warnings_about("t.dlq", config, "t", topic_config)

    assert words in warning


def test_one_as_the_bridge_creates_it_has_neither_errors_nor_warnings() -> None:
    """Otherwise every start would complain about the bridge's own topics."""
    config = wanted_config(limit(5000))

    assert error_in(config, limit(5000)) is None
    assert warnings_about("t.dlq", config, "t", limit(5000)) == ()
