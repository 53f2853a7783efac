"""Problems, and how a message names the key that they are about."""

from __future__ import annotations

import pytest

from bridge.config.problems import InvalidSettings, KeyPath, Problem, dotted


@pytest.mark.parametrize(
    ("key_path", "expected"),
    [
        (("delivery", "window_bytes"), "delivery.window_bytes"),
        (("topics", 1, "dataset_id"), "topics[1].dataset_id"),
        (("kafka", "properties", "sasl.password"), "kafka.properties.sasl.password"),
        (("aep", "hunter 2"), "aep.…"),
        (("x" * 101,), "…"),
        ((), ""),
    ],
)
def test_a_key_is_shown_as_people_write_it(key_path: KeyPath, expected: str) -> None:
    """What is no plain key could be a secret that lost its key, and must not be shown."""
    assert dotted(key_path) == expected


def test_several_problems_are_one_error() -> None:
    """A validator raises once, and the user sees everything."""
    error = InvalidSettings([Problem(("a", 0), "is wrong"), Problem((), "does not fit")])

    assert str(error) == "a[0]: is wrong; does not fit"
    assert len(error.problems) == 2
