"""How many requests at once an inlet takes, learned from its responses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.engine.concurrency import Concurrency


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
