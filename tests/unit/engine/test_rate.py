"""How many messages a second an inlet takes, learned from its responses."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.engine.rate import Rate


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
    """Several 429 of one moment count once. Where nothing was accepted since the last one, AEP refuses
    everything, which says nothing about a rate.
    """
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
    """A 429 as the first response, or before anything was accepted, must not stall an inlet: back-off is
    enough.
    """
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
    """It searches at once after the first 429, which says little. Later it drifts by 5% of a request each
    second, and searches after 8 seconds (4 while it is unsettled).
    """
    rate = Rate()
    rate.accepted(10_000, 0.0)
    rate.pushed_back(1.0)
    now = use(rate, 1.0, 7.5)
    assert rate.limit > 15_000

    rate.pushed_back(now)
    unsettled = rate.limit
    now = use(rate, now, 4.0)
    assert rate.limit < unsettled * 1.02
    now = use(rate, now, 2.0)
    assert rate.limit > unsettled * 1.04

    rate.pushed_back(now)
    settled = rate.limit
    now = use(rate, now, 8.0)
    assert rate.limit < settled * 1.03
    use(rate, now, 5.0)
    assert rate.limit > settled * 1.3


def use(rate: Rate, start: float, seconds: float, messages: int = 1000) -> float:
    """Sends what it may, in requests of so many messages, all of them accepted; returns the end."""
    now = start
    while (now := now + rate.delay(now) + 1e-6) < start + seconds:
        rate.sent(messages, now)
        rate.accepted(messages, now)
    rate.delay(start + seconds)
    return start + seconds


def test_the_rate_moves_with_the_partitions() -> None:
    """A third of the partitions has a third of the rate, and all of them have all of it again. Where nothing
    is learned, nothing changes.
    """
    rate = Rate()
    rate.hold(0.5)
    assert rate.limit == math.inf

    rate.hold(1)
    rate.accepted(9000, 0.0)
    rate.pushed_back(1.0)
    rate.hold(1 / 3)
    assert rate.limit == 3000.0
    rate.hold(1)
    assert round(rate.limit) == 9000


def test_a_first_search_goes_on_when_another_member_joins() -> None:
    """It joins a second after the first 429. If the search were put off, the members that joined last would
    take all that is left.
    """
    rate = Rate()
    rate.hold(0.5)
    rate.accepted(8000, 0.0)
    rate.pushed_back(1.0)
    rate.hold(1 / 3)
    before = rate.limit
    use(rate, 1.0, 8.0)

    assert rate.limit > 1.5 * before


def test_a_share_starts_small() -> None:
    """What got through before the first 429 is luck where others send too."""
    rate = Rate()
    rate.hold(0.25)
    rate.accepted(8000, 0.0)
    rate.pushed_back(1.0)

    assert rate.limit == 2000.0


@pytest.mark.parametrize(("share", "calm_s"), [(1.0, 8), (0.5, 32), (1 / 3, 72), (0.01, 90)])
def test_a_share_searches_more_rarely_but_searches(share: float, calm_s: float) -> None:
    """A half of the partitions waits four times as long; the smallest share, a minute and a half."""
    rate = settled(share)
    before = rate.limit
    now = use(rate, 3.0, calm_s)
    drifted = rate.limit
    use(rate, now, 6.0)

    assert drifted < before * 1.2
    assert rate.limit > drifted * 1.4


def test_after_a_search_a_share_is_what_it_was_or_half_of_what_it_got() -> None:
    """Nobody knows which part of what was accepted belonged to the other members, but a search that went far
    found unused quota.
    """
    near, far = settled(0.5), settled(0.5)
    before = near.limit
    near.pushed_back(use(near, 3.0, 36.0))
    assert 0.98 * before < near.limit < 1.15 * before

    end = use(far, 3.0, 46.0)
    reached = far.limit
    far.pushed_back(end)
    assert reached > 3 * before
    assert far.limit == reached / 2


def test_who_has_little_grows_by_as_much_as_who_has_a_lot() -> None:
    """The growth in messages a second depends on the request that the whole quota would allow, not on the
    member's own. So shares become equal.
    """
    little, much = settled(1 / 3, 2000), settled(1 / 3, 5000)
    gained = []
    for rate in (little, much):
        before = rate.limit
        use(rate, 3.0, 60.0, rate.at_most(1000))
        gained.append(rate.limit - before)

    assert little.at_most(1000) < much.at_most(1000)
    assert gained[0] == pytest.approx(gained[1], rel=0.02)
    assert gained[0] == pytest.approx(60 * Rate.DRIFT * 1000 / 3, rel=0.02)


def test_in_a_small_quota_the_drift_is_small() -> None:
    """A hundredth of the rate each second: a full request of 1,000 messages would be too much of it."""
    rate = settled(1 / 3, 300)
    before = rate.limit
    use(rate, 3.0, 60.0, 10)

    assert before * 1.5 < rate.limit < before * 2


def settled(share: float, quota: int = 10_000) -> Rate:
    """A share of a quota whose search is over, at 3.0."""
    rate = Rate()
    rate.hold(share)
    rate.accepted(int(quota / share), 0.0)
    rate.pushed_back(1.0)
    use(rate, 1.0, 2.0)
    rate.pushed_back(3.0)
    return rate


def test_an_idle_inlet_learns_nothing() -> None:
    """A request every 20 seconds waits for a hundredth of a second: however long that goes on, the rate stays
    what it was.
    """
    rate = Rate()
    rate.accepted(1000, 0.0)
    rate.pushed_back(1.0)
    for second in range(20, 1000, 20):
        rate.delay(float(second))
        rate.sent(110, float(second))
        rate.accepted(110, float(second))

    assert rate.limit < 1100


def test_what_a_configured_rate_holds_back_learns_nothing() -> None:
    """Nobody knows whether more than that would have passed."""
    rate = Rate(configured=500.0)
    rate.accepted(1000, 0.0)
    rate.pushed_back(1.0)
    use(rate, 1.0, 100.0)

    assert rate.learned == 1000.0


def test_a_pause_saves_up_a_tenth_of_a_second() -> None:
    """An inlet that was idle may not send a second's worth at once."""
    rate = Rate(configured=1000.0)
    rate.delay(0.0)
    rate.delay(100.0)
    rate.sent(200, 100.0)

    assert rate.delay(100.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("configured", "messages", "most"),
    [(None, 1000, 1000), (5000.0, 1000, 1000), (1000.0, 1000, 200), (1.0, 1000, 10), (1.0, 5, 5)],
)
def test_a_request_holds_no_more_than_a_fifth_of_a_second(
    configured: float | None, messages: int, most: int
) -> None:
    """But ten messages, whatever the rate; and where nothing limits, what it likes."""
    assert Rate(configured).at_most(messages) == most


def test_a_learned_rate_makes_requests_smaller() -> None:
    """And they are larger again as it rises."""
    rate = Rate()
    rate.accepted(1000, 0.0)
    rate.pushed_back(1.0)
    assert rate.at_most(1000) == 200

    use(rate, 1.0, 10.0)
    assert rate.at_most(1000) > 300


def test_what_held_long_ago_does_not_unsettle() -> None:
    """Three minutes after a quota was halved, a rate that holds is settled: the calm is the long one."""
    rate = Rate()
    rate.accepted(10_000, 0.0)
    rate.pushed_back(1.0)
    rate.sent(1000, 1.0)
    rate.accepted(5000, 2.0)
    rate.pushed_back(3.0)
    rate.delay(100.0)
    rate.accepted(5000, 199.0)
    rate.accepted(5000, 200.0)
    rate.pushed_back(200.0)
    before = rate.limit
    assert 4700 < before < 5000
    use(rate, 200.0, 9.0)

    assert rate.limit < before * 1.2  # after the brief calm it would be a third more


def test_what_held_moves_with_the_partitions() -> None:
    """A third of them is settled at a third of the rate: its calm is the long one."""
    rate = Rate()
    rate.accepted(10_000, 0.0)
    rate.pushed_back(1.0)
    rate.pushed_back(use(rate, 1.0, 1.5))
    rate.hold(1 / 3)
    rate.pushed_back(use(rate, 2.5, 2.0))
    before = rate.limit
    use(rate, 4.5, 60.0)

    assert rate.limit < before * 1.5


def test_what_got_through_before_a_pause_is_no_measure() -> None:
    """A minute without traffic, then three seconds with: what passed in these is what counts."""
    rate = Rate()
    rate.sent(1000, 0.0)
    rate.accepted(1000, 0.0)
    rate.pushed_back(1.0)
    rate.delay(1.0)
    rate.delay(60.0)
    for tenth in range(30):
        rate.accepted(300, 60 + tenth / 10)
    rate.pushed_back(63.0)

    assert rate.limit > 900


def test_what_got_through_before_a_rebalance_is_no_measure() -> None:
    """With half of the partitions half of it got through: that is not what the quota is for all of them."""
    rate = Rate()
    rate.accepted(1000, 0.0)
    rate.pushed_back(1.0)
    rate.hold(0.5)
    for second in range(1, 60):
        rate.accepted(500, float(second))
    rate.hold(1.0)
    for second in range(60, 64):
        rate.accepted(1000, float(second))
    rate.pushed_back(64.0)

    assert rate.limit > 900


def test_a_share_that_is_refused_much_yields_much() -> None:
    """Half of it where most requests are refused, instead of a seventh."""
    rate = settled(0.5)
    before = rate.limit
    for _ in range(60):
        rate.pushed_back(3.5)
    rate.accepted(10, 4.0)
    rate.pushed_back(5.0)

    assert rate.limit == before / 2


def test_the_configured_rate_is_a_ceiling() -> None:
    """Whatever was learned."""
    rate = Rate(configured=50.0)
    rate.accepted(10_000, 0.0)
    rate.pushed_back(1.0)

    assert rate.limit == 50.0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["sent", "accepted", "pushed back", "delay", "hold"]),
        st.integers(1, 5000),
        st.floats(0, 4000),
    ),
    max_size=60,
)


@given(EVENTS, st.one_of(st.none(), st.floats(0.001, 1e6)))
def test_whatever_happens_a_request_goes_out_some_time(
    events: list[tuple[str, int, float]], configured: float | None
) -> None:
    """The learned rate never sinks below one message a second, never stops being a number, and no wait is
    negative or endless.
    """
    rate, now = Rate(configured), 0.0
    for what, messages, later in events:
        now += later
        if what == "sent":
            rate.sent(messages, now)
        elif what == "accepted":
            rate.accepted(messages, now)
        elif what == "pushed back":
            rate.pushed_back(now)
        elif what == "hold":
            rate.hold(messages / 5000)

        assert rate.learned >= 1
        assert 0 <= rate.delay(now) < math.inf
