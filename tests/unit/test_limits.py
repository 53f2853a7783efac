"""What an inlet can take, learned from its answers."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bridge.limits import Concurrency, Rate


def test_a_push_back_halves_and_success_adds_one_for_each_window() -> None:
    """Additive increase, multiplicative decrease, between 1 and the ceiling."""
    limit = Concurrency(8)
    limit.pushed_back(sent=5, tick=6)

    assert limit.allowed == 4
    for _ in range(5):
        limit.went_well()
    assert limit.allowed == 5
    for _ in range(100):
        limit.went_well()
    assert limit.allowed == 8


def test_requests_sent_before_the_cut_say_nothing_new() -> None:
    """Eight answers of one overload are one cut."""
    limit = Concurrency(8)
    for sent in range(1, 9):
        limit.pushed_back(sent, tick=20 + sent)

    assert limit.allowed == 4
    limit.pushed_back(sent=30, tick=31)
    assert limit.allowed == 2


@given(st.lists(st.one_of(st.none(), st.integers(0, 100))), st.integers(1, 64))
def test_the_limit_stays_in_its_bounds(answers: list[int | None], ceiling: int) -> None:
    """At least one request at once, whatever comes."""
    limit = Concurrency(ceiling)
    for tick, sent in enumerate(answers):
        limit.went_well() if sent is None else limit.pushed_back(sent, tick)

        assert 1 <= limit.allowed <= ceiling


def test_nothing_limits_the_rate_before_the_first_429() -> None:
    """No token bucket for an inlet that never complained."""
    rate = Rate()
    rate.sent(1_000_000, 0.0)

    assert rate.delay(0.0) == 0.0
    assert rate.limit == math.inf


def test_the_rate_is_learned_from_what_got_through() -> None:
    """5,000 messages in 5 seconds, then 429: 1,000 a second."""
    rate = Rate()
    for second in range(5):
        rate.accepted(1000, float(second))
    rate.pushed_back(5.0)

    assert rate.limit == 1000.0


def test_a_further_429_cuts_once_a_second_at_most() -> None:
    """A volley of 429 is one message."""
    rate = Rate()
    rate.accepted(1000, 0.0)
    for tenth in range(10):
        rate.pushed_back(1.0 + tenth / 10)

    assert rate.limit == 1000.0
    rate.pushed_back(2.0)
    assert rate.limit == 1000.0 * Rate.CUT


def test_no_rate_is_learned_where_nothing_got_through_lately() -> None:
    """A 429 as the first answer, or after an idle hour, must not stall an inlet for minutes at one message a second: back-off is enough."""
    fresh, idle = Rate(), Rate()
    fresh.pushed_back(0.0)
    idle.accepted(1000, 0.0)
    idle.pushed_back(3600.0)

    for rate in (fresh, idle):
        rate.sent(1000, 3601.0)
        assert rate.delay(3601.0) == 0.0


def test_a_batch_may_overdraw_and_the_next_one_waits() -> None:
    """1,000 messages at 100 a second: the next request goes after ten seconds."""
    rate = Rate(configured=100.0)
    rate.delay(0.0)
    rate.sent(1000, 0.0)

    assert rate.delay(0.0) == 10.0
    assert rate.delay(9.0) > 0.0
    assert rate.delay(10.0) == 0.0


def test_a_learned_rate_rises_slowly() -> None:
    """By 0.4 % a second, so that a cut is not for ever."""
    rate = Rate()
    rate.accepted(1000, 0.0)
    rate.pushed_back(1.0)
    for second in range(1, 102):
        rate.delay(float(second))

    assert 1400 < rate.limit < 1600


def test_the_configured_rate_is_a_ceiling() -> None:
    """Whatever was learned."""
    rate = Rate(configured=50.0)
    rate.accepted(10_000, 0.0)
    rate.pushed_back(1.0)

    assert rate.limit == 50.0
