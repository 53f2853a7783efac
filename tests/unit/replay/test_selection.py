"""`--since` takes ages and times, and says what is neither."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.replay.selection import parse_since

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOW_MS = 1_795_521_600_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("", 0),
        ("90s", NOW_MS - 90_000),
        ("15 m", NOW_MS - 900_000),
        (" 2h ", NOW_MS - 7_200_000),
        ("7d", NOW_MS - 7 * 86_400_000),
        ("2026-11-24T12:00:00Z", NOW_MS),
        ("2026-11-24T12:00:00", NOW_MS),
        ("2026-11-24T14:00:00+02:00", NOW_MS),
        ("2026-11-24", NOW_MS - 43_200_000),
    ],
)
def test_ages_and_times(text: str, ms: int) -> None:
    """They become milliseconds since the epoch; a time without a zone is UTC."""
    assert parse_since(text, NOW) == ms


@given(st.one_of(st.text(max_size=20), st.from_regex(r"[0-9]{1,30} ?[smhd]", fullmatch=True)))
@example("9999999d")
@example("99999999999999d")
def test_anything_else_is_an_error_that_says_what_to_give(text: str) -> None:
    """The command shows this one error, and no traceback."""
    try:
        assert isinstance(parse_since(text, NOW), int)
    except ValueError as error:
        assert "give an age" in str(error)
