"""The campaign as a test, and tests of its judge: a verdict that can't fail proves nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.campaign import order, run
from tests.chaos.stage import Plan, Window
from tests.chaos.verdict import AFTER_S, Copy, explain


def test_a_copy_needs_a_fault_that_may_cause_it() -> None:
    """One that was on between the two arrivals, or shortly before; of a kind that repeats events; within its bound."""
    killed = Window("replica killed", 100, 106, repeats=1)
    quiet = Window("429 storm", 90, 200)
    fits, early, late = Copy("a", 99, 110), Copy("b", 10, 20), Copy("c", 107 + AFTER_S + 10, 107 + AFTER_S + 20)

    assert [early, late] == explain([fits, early, late], [killed, quiet])
    assert 1 == killed.copies
    assert 0 == quiet.copies


def test_a_bound_is_used_up() -> None:
    """The second copy has no explanation where the fault's bound is one."""
    killed = Window("replica killed", 100, 106, repeats=1)

    assert [Copy("b", 99, 111)] == explain([Copy("a", 99, 110), Copy("b", 99, 111)], [killed])


def test_dead_letters_may_repeat_for_want_of_replicas() -> None:
    """A letter that was appended, not replicated and refused is published again; an event is not."""
    window = Window("too few in-sync replicas", 100, 106)

    assert [Copy("a", 101, 104)] == explain([Copy("a", 101, 104), Copy("b", 101, 104, letter=True)], [window])


def test_a_seed_is_a_schedule() -> None:
    """The same order for the same seed, every name once in each round."""
    names = [str(number) for number in range(10)]
    first, second = order(names, 7, "p"), order(names, 7, "p")
    seen = [next(first) for _ in range(20)]

    assert seen == [next(second) for _ in range(20)]
    assert sorted(names) == sorted(seen[:10]) == sorted(seen[10:])


@pytest.mark.timeout(600)
@pytest.mark.skipif(not os.environ.get("CHAOS"), reason="three minutes: set CHAOS=1, or run `make chaos`")
def test_the_short_campaign(tmp_path: Path) -> None:
    """Every kind of fault once: nothing lost, nothing wrongly dead-lettered, every copy explained."""
    verdict = run(Plan(seed=int(os.environ.get("SEED", "3"))), tmp_path / "out")

    assert [] == verdict.problems
