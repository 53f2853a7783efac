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
    """A volley of 429 is one message; and where nothing got through since the last one, a door is shut, which says nothing of a rate."""
    rate = Rate()
    rate.accepted(1000, 0.0)
    for tenth in range(10):
        rate.pushed_back(1.0 + tenth / 10)
    assert rate.limit == 1000.0

    rate.pushed_back(2.0)
    assert rate.limit == 1000.0
    rate.accepted(1600, 2.5)
    rate.pushed_back(3.0)
    assert rate.limit == 800 * Rate.CUT


def test_no_429_takes_more_than_half() -> None:
    """What got through in an outage is no measure of the quota."""
    rate = Rate()
    rate.accepted(100_000, 0.0)
    rate.pushed_back(1.0)
    rate.accepted(1, 3.0)
    rate.pushed_back(3.0)

    assert rate.limit == 100_000 / 2 * Rate.CUT


def test_the_rate_never_sinks_below_a_request_a_second() -> None:
    """A storm that lets a request pass now and then must not stall an inlet for minutes after it."""
    rate = Rate()
    for second in range(0, 200, 2):
        rate.sent(1000, float(second))
        rate.accepted(1000, float(second))
        rate.pushed_back(second + 1.5)

    assert rate.limit >= 1000.0


def test_no_rate_is_learned_where_nothing_got_through_lately() -> None:
    """A 429 as the first answer, or before anything got through, must not stall an inlet: back-off is enough."""
    rate = Rate()
    rate.pushed_back(0.0)
    rate.sent(1000, 3601.0)

    assert rate.delay(3601.0) == 0.0


def test_an_idle_hour_does_not_count() -> None:
    """What got through in the last seconds is the measure where nothing limited."""
    rate = Rate()
    rate.accepted(1000, 0.0)
    for tenth in range(20):
        rate.accepted(1000, 3600 + tenth / 10)
    rate.pushed_back(3602.0)

    assert rate.limit > 5000


def test_a_batch_may_overdraw_and_the_next_one_waits() -> None:
    """1,000 messages at 100 a second: the next request goes after ten seconds."""
    rate = Rate(configured=100.0)
    rate.delay(0.0)
    rate.sent(1000, 0.0)

    assert rate.delay(0.0) == 10.0
    assert rate.delay(9.0) > 0.0
    assert rate.delay(10.0) == 0.0


def test_a_rate_that_is_in_use_is_calm_and_then_searches() -> None:
    """It drifts up by 1.8% of a request each second, and after 12 seconds (4 while it is unsettled) it rises faster and faster."""
    rate = Rate()
    rate.accepted(10_000, 0.0)
    rate.pushed_back(1.0)

    def use(start: float, seconds: float) -> None:
        for step in range(int(seconds * 200)):
            now = start + step / 200
            while rate.delay(now) <= 0:
                rate.sent(1000, now)

    use(1.0, 4.0)
    assert 10_000 < rate.limit < 10_100
    use(5.0, 8.5)
    assert rate.limit > 15_000
    rate.accepted(10_000, 13.6)
    rate.pushed_back(13.7)
    rate.accepted(10_000, 15.0)
    rate.pushed_back(16.0)
    settled = rate.limit
    use(16.0, 4.0)
    assert rate.limit < settled * 1.05


def test_an_idle_inlet_learns_nothing() -> None:
    """A rate that nothing waits for stays what it was, however long."""
    rate = Rate()
    rate.accepted(1000, 0.0)
    rate.pushed_back(1.0)
    for second in range(2, 1000):
        rate.delay(float(second))

    assert rate.limit < 1100


def test_the_configured_rate_is_a_ceiling() -> None:
    """Whatever was learned."""
    rate = Rate(configured=50.0)
    rate.accepted(10_000, 0.0)
    rate.pushed_back(1.0)

    assert rate.limit == 50.0


EVENTS = st.lists(st.tuples(st.sampled_from(["sent", "accepted", "pushed back", "delay"]), st.integers(1, 5000), st.floats(0, 4000)), max_size=60)


@given(EVENTS, st.one_of(st.none(), st.floats(0.001, 1e6)))
def test_whatever_happens_a_request_goes_out_some_time(events: list[tuple[str, int, float]], configured: float | None) -> None:
    """The learned rate never sinks below one message a second, never stops being a number, and no wait is negative or endless."""
    rate, now = Rate(configured), 0.0
    for what, messages, later in events:
        now += later
        if what == "sent":
            rate.sent(messages, now)
        elif what == "accepted":
            rate.accepted(messages, now)
        elif what == "pushed back":
            rate.pushed_back(now)

        assert rate.learned >= 1
        assert 0 <= rate.delay(now) < math.inf
