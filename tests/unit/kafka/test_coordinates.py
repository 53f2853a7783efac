"""Coordinates from texts that anybody may have written."""

from __future__ import annotations

import pytest

from bridge.kafka.coordinates import Coordinates, original_coordinates, parse_coordinates, parse_number
from bridge.model import Headers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0),
        (b"007", 7),
        (b"100", 100),
        (b"101", None),
        (b"", None),
        (None, None),
        (b"-1", None),
        (b"1.0", None),
        (b" 1", None),
        (b"1" * 5000, None),
    ],
)
def test_a_number_is_decimal_and_within_its_limit(text: bytes | None, number: int | None) -> None:
    """Python would take signs, spaces and numbers of any length, which need quadratic time."""
    assert parse_number(text, 100) == number


@pytest.mark.parametrize(
    ("topic", "partition", "offset"),
    [
        (None, b"0", b"0"),
        (b"", b"0", b"0"),
        (b"a/b", b"0", b"0"),
        (b"t" * 250, b"0", b"0"),
        (b"t", b"2147483648", b"0"),
        (b"t", b"0", b"9223372036854775808"),
        (b"t", None, b"0"),
    ],
)
def test_coordinates_that_no_record_can_have_are_none(
    topic: bytes | None, partition: bytes | None, offset: bytes | None
) -> None:
    """They would end as a topic's name in a request to the broker."""
    assert parse_coordinates(topic, partition, offset) is None


def test_coordinates_within_kafkas_limits_are_taken() -> None:
    """The largest ones of each kind."""
    largest = parse_coordinates(b"t" * 249, b"2147483647", b"9223372036854775807")

    assert largest == Coordinates("t" * 249, 2**31 - 1, 2**63 - 1)


def test_the_last_headers_of_a_name_are_the_dead_letters_own() -> None:
    """The record's own headers come first, and may have the same names."""
    headers: Headers = [
        ("__connect.errors.topic", b"other"),
        ("__connect.errors.topic", b"t"),
        ("__connect.errors.partition", b"1"),
        ("__connect.errors.offset", b"2"),
    ]

    assert original_coordinates(headers) == Coordinates("t", 1, 2)
    assert original_coordinates(headers[:3]) is None
