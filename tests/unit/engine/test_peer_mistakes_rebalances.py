"""What other consumers did wrong in a rebalance, each case shown not to be ours."""

from __future__ import annotations

import pytest

from bridge.model import TopicPartition
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, SOURCE_1, pieces, record_slice
from tests.support.scripted_aep import never_answers


@pytest.mark.parametrize("how", ["revoked", "lost", "assigned"])
def test_an_acknowledgement_that_lands_after_the_partition_went_moves_nothing(how: str) -> None:
    """redpanda-data/connect PR #4477: it moved an offset that another member owned by then. A partition that
    came back to the same member is protected, too.
    """
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(0, pieces(4))).turn()
    if how == "assigned":
        bench.assign(SOURCE)
    else:
        getattr(bench.engine, how)([SOURCE])
        bench.assign(SOURCE)
    bench.source.stored.clear()
    bench.read(record_slice(0, pieces(2))).turn(3)
    bench.sender.respond(0)
    bench.turn(3)

    assert bench.source.stored.get(SOURCE, 0) == 0


def test_unsent_records_are_not_covered_by_the_offsets_of_a_revoke() -> None:
    """redpanda-data/connect #4010: 10,433 records lost in a cooperative rebalance, committed while they still
    waited for their batch.
    """
    bench = Bench(linger_s=5.0, max_messages=10, partitions=2)
    bench.read(record_slice(0, pieces(25)), record_slice(0, pieces(3, name="x"), SOURCE_1)).turn(3)
    bench.engine.revoked([SOURCE])
    sent = {piece for request in bench.sender.requests for piece in request.pieces}
    stored = bench.source.stored[SOURCE]

    assert set(pieces(25)[:stored]) <= sent
    assert stored == 20


def test_a_revoke_is_over_long_before_the_group_gives_up_on_us() -> None:
    """quix-streams #1131: the work of a revoke overran `max.poll.interval.ms`, the group removed the member,
    and the rebalance began again. Here one deadline covers all waits.
    """
    bench = Bench(never_answers, linger_s=0.0, max_messages=1, partitions=20, revoke_timeout_s=10.0)
    bench.dead_letters.refuse = lambda _: "no leader"
    sources = [TopicPartition("t", at) for at in range(20)]
    bench.read(
        *(record_slice(0, [b"not json", *pieces(20, name=str(source))], source) for source in sources)
    ).turn(5)
    before = bench.time.now
    bench.engine.revoked(sources)

    assert bench.time.now - before < 10.1


def test_partitions_that_were_taken_already_can_be_named_in_a_revoke() -> None:
    """confluent-kafka-python #1551: after a session time-out the callback names partitions that we do not
    hold.
    """
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(0, pieces(2))).turn()
    bench.engine.lost([SOURCE])
    bench.engine.revoked([SOURCE, SOURCE_1])
    bench.engine.lost([SOURCE, SOURCE_1])

    assert bench.engine.view.lanes == {}
