"""Offsets that other consumers committed too early, each case shown not to be ours."""

from __future__ import annotations

import pytest

from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, pieces, record_slice
from tests.support.scripted_aep import healthy_aep, never_answers, request_refused


@pytest.mark.parametrize("failed", range(4))
def test_a_failed_batch_is_not_passed_over_by_a_later_one(failed: int) -> None:
    """vector #24543, #24215; faststream #2618: the next batch stored a higher offset, and the failed one was
    never sent again.
    """
    stuck = pieces(8)[failed * 2]
    bench = Bench(
        lambda request, now: request_refused(503) if stuck in request.pieces else healthy_aep(request),
        max_messages=2,
        linger_s=0.0,
    )
    bench.read(record_slice(0, pieces(8))).settle(120.0)

    assert bench.source.stored == {SOURCE: failed * 2}
    assert all(offset <= failed * 2 for _, offset in bench.source.history)
    bench.sender.aep = healthy_aep
    bench.settle(120.0)
    assert bench.source.stored == {SOURCE: 8}


def test_the_first_incomplete_offset_is_stored_not_the_highest_seen() -> None:
    """parallel-consumer #826: what was read ahead was committed."""
    bench = Bench(never_answers, max_messages=2, linger_s=0.0).read(record_slice(0, pieces(100))).turn(20)
    for _ in range(len(bench.sender.open) - 1):
        bench.sender.respond(-1)
        bench.turn()

    assert bench.source.stored == {SOURCE: 0}
