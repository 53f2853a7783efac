"""The faults that the scheduler plays out can happen in every state that a history reaches."""

from __future__ import annotations

from random import Random

import pytest

from tests.simulation.scenario import plan
from tests.simulation.world import World


@pytest.mark.parametrize("seed", range(20))
def test_a_log_is_truncated_whose_committed_offset_lies_before_its_start(seed: int) -> None:
    """A member that reads again from the log's start commits less than was committed before, and
    retention may have deleted records up to the earlier commit: history 164564143 came there.
    """
    world = World(plan(seed))
    partition, log = next(iter(world.truth.logs.items()))
    world.broker.committed[partition] = 12
    log.start, log.end = 13, 15

    world._truncate(partition, Random(seed))

    assert log.start == 13
    assert log.end >= 13
    assert log.incarnation == 1


def test_a_log_is_not_truncated_below_its_start() -> None:
    """Retention has deleted every record, so no replica has anything less to offer."""
    world = World(plan(0))
    partition, log = next(iter(world.truth.logs.items()))
    world.broker.committed[partition] = 12
    log.start, log.end = 13, 13

    world._truncate(partition, Random(0))

    assert (log.start, log.end, log.incarnation) == (13, 13, 0)
