"""A window: full from its limit on, and until half of it is settled."""

from __future__ import annotations

from bridge.engine.window import Window


def test_a_window_is_full_from_its_limit_until_less_than_half_is_held() -> None:
    """If it opened right below its limit, partitions would be paused and resumed with every response."""
    window = Window(1000)
    window.take(999)
    assert not window.is_full(1.0)

    window.take(1)
    assert window.is_full(2.0)
    window.give_back(500)
    assert window.is_full(3.0)
    window.give_back(1)
    assert not window.is_full(4.0)


def test_a_full_window_counts_from_the_look_that_found_it_full() -> None:
    """Its partitions are paused after some seconds of being full: a later look must not begin anew."""
    window = Window(1000)
    window.take(1000)
    assert (window.is_marked_full, window.full_since, window.full_for(5.0)) == (False, None, 0.0)

    window.is_full(5.0)
    window.is_full(7.0)
    assert (window.is_marked_full, window.full_since, window.full_for(8.0)) == (True, 5.0, 3.0)


def test_a_window_never_holds_less_than_nothing() -> None:
    """Sums of fractions are not exact: a rest below zero would let more be read than fits."""
    window = Window(1000)
    window.take(0.1)
    window.give_back(0.3)

    assert window.used == 0.0
