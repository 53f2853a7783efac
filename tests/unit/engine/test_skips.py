"""An operator's order moves a stuck record to its dead-letter topic, or says why it was not moved."""

from __future__ import annotations

import pytest

from bridge.engine.skips import SkipOrder
from bridge.model import BatchRequest, BatchResponse, Reason, TopicPartition
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, SOURCE_1, pieces, record_slice
from tests.support.scripted_aep import (
    entry_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    never_answers,
    request_refused,
    scripted_aep,
)


def order(bench: Bench, offset: int, source: TopicPartition = SOURCE) -> SkipOrder:
    skip = SkipOrder(source, offset, "ann", "poison")
    bench.time.put(skip, None)
    bench.turn()
    return skip


def test_an_operator_moves_a_record_that_is_stuck() -> None:
    """With who and why in its headers."""
    bench = (
        Bench(
            lambda request, now: (
                request_refused(503) if pieces(3)[1] in request.pieces else healthy_aep(request)
            ),
            linger_s=0.0,
        )
        .read(record_slice(0, pieces(3)))
        .turn(50)
    )
    skip = order(bench, 1)
    bench.settle()

    assert skip.done.result(0) == "moved to t.dlq"
    [dead_letter] = bench.dead_letters.published
    assert (dead_letter.record.offset(), dead_letter.refusal.reason) == (1, Reason.SKIPPED)
    assert dead_letter.refusal.extra == (("aep.skipped.by", b"ann"), ("aep.skipped.why", b"poison"))
    assert bench.source.stored == {SOURCE: 3}


@pytest.mark.parametrize(("end", "stored"), [("accepted", 2), ("moved", 2), ("lost", 0)])
def test_an_order_that_nobody_waits_for_any_more_ends_nothing(end: str, stored: int) -> None:
    """The admin port gives up after 30 seconds; the record is accepted, moved, or goes to another member
    after that.
    """
    asked: list[BatchRequest] = []
    bench = (
        Bench(lambda request, _: asked.append(request) if not asked else healthy_aep(request), linger_s=0.0)
        .read(record_slice(0, pieces(2)))
        .turn(5)
    )
    order(bench, 1).done.cancel()
    if end == "lost":
        bench.engine.lost([SOURCE])
    bench.sender.respond(0, request_refused(503) if end == "moved" else None)
    bench.settle(300.0)

    assert bench.source.stored[SOURCE] == stored
    assert (end == "moved") == bool(bench.dead_letters.published)


def test_an_order_for_a_record_that_is_settled_already_says_so() -> None:
    """Its batch may wait for another record: the watermark is the first offset of the batch, not the offset
    of the record that waits.
    """
    bench = (
        Bench(
            scripted_aep(
                multi_status(entry_accepted(0), entry_refused(503)),
                then=lambda request, now: request_refused(503),
            ),
            linger_s=0.0,
        )
        .read(record_slice(0, pieces(2)))
        .turn(50)
    )
    settled, stuck = order(bench, 0), order(bench, 1)
    bench.settle(100.0)

    assert "not moved: t/0/0 is settled already" in settled.done.result(0)
    assert stuck.done.result(0) == "moved to t.dlq"


def test_an_order_for_a_record_in_an_open_batch_is_carried_out() -> None:
    """Before it was ever sent."""
    bench = Bench(linger_s=60.0).read(record_slice(0, pieces(3)))
    skip = order(bench, 2)
    bench.settle()

    assert skip.done.result(0) == "moved to t.dlq"
    assert bench.source.stored == {SOURCE: 3}


@pytest.mark.parametrize("ordered", [False, True])
def test_an_order_for_a_record_of_a_topic_that_was_created_anew_is_carried_out(ordered: bool) -> None:
    """It is stuck in this process alone, and where order is kept so is all that was read behind it."""
    old = pieces(2, name="old")
    bench = Bench(
        lambda request, now: request_refused(503) if old[0] in request.pieces else healthy_aep(request),
        linger_s=0.0,
        max_messages=1,
        ordered=ordered,
    )
    bench.read(record_slice(100, old)).read(record_slice(0, pieces(1))).turn(50)
    skip = order(bench, 100)
    bench.settle()

    assert skip.done.result(0) == "moved to t.dlq"
    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [100]
    assert bench.used == pytest.approx(0.0)


def test_an_order_reaches_what_an_order_before_it_did_not() -> None:
    """A partition was truncated and is read again, so the same offset is stuck twice. The second time no
    other member can be asked.
    """
    stuck = pieces(2, name="stuck")
    bench = (
        Bench(lambda request, now: request_refused(503), linger_s=0.0, max_messages=2)
        .read(record_slice(5, stuck))
        .read(record_slice(5, stuck))
        .turn(50)
    )
    for _ in range(2):  # each batch goes on with its other record
        skip = order(bench, 5)
        bench.turn(20)
        assert skip.done.result(0) == "moved to t.dlq"
    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [5, 5]

    bench.engine.revoked([SOURCE])
    skip = order(bench, 6)
    bench.turn(20)
    assert skip.done.result(0) == "moved to t.dlq"
    assert bench.used == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("offset", "source", "text"),
    [
        (0, SOURCE, "settled already (watermark: 3)"),
        (3, SOURCE, "not been read yet (next offset: 3)"),
        (0, SOURCE_1, "t/1 is not assigned to this member"),
    ],
)
def test_an_order_that_cannot_be_carried_out_says_why(offset: int, source: TopicPartition, text: str) -> None:
    """Nothing is moved."""
    bench = Bench(linger_s=0.0).read(record_slice(0, pieces(3))).settle()

    assert text in order(bench, offset, source).done.result(0)


def test_an_order_for_a_record_that_is_accepted_meanwhile_says_so() -> None:
    """The request was in flight."""
    bench = Bench(never_answers, linger_s=0.0).read(record_slice(0, pieces(3))).turn()
    skip = order(bench, 1)
    bench.sender.respond()
    bench.turn(3)

    assert "AEP accepted it meanwhile" in skip.done.result(0)


def test_an_order_for_a_record_whose_batch_is_over_but_for_others_says_so() -> None:
    """Its own offset is accepted; another record of the batch still waits."""
    responses = scripted_aep(
        BatchResponse(207, {}, b'{"responses":[{"xactionId":"b:0"},{"status":503}]}'),
        then=lambda request, now: request_refused(503),
    )
    bench = Bench(responses, linger_s=0.0).read(record_slice(0, pieces(2))).turn(30)
    skip = order(bench, 0)
    bench.sender.aep = healthy_aep
    bench.settle(200.0)

    assert "not moved" in skip.done.result(0)
    assert bench.dead_letters.published == []


def test_an_order_for_a_partition_of_which_nothing_was_read_yet_says_so() -> None:
    """The operator must not believe that the record is settled: after a restart nothing is read at first."""
    skip = order(Bench(), 500)

    assert skip.done.result(0) == "not moved: t/0/500 has not been read yet (next offset: unknown)"


def test_the_end_of_a_lane_leaves_the_order_of_its_successor_open() -> None:
    """A late response of the lost lane ends what waited behind it; the order is for the record that was
    read again.
    """
    bench = Bench(never_answers, policy={"ordered": True}, ordered=True, max_messages=1, linger_s=0.0)
    bench.read(record_slice(0, pieces(2))).turn(3)
    bench.engine.lost([SOURCE])
    bench.assign(SOURCE)
    bench.read(record_slice(0, pieces(2))).turn(3)
    skip = order(bench, 1)
    bench.sender.respond()
    bench.turn(3)
    assert not skip.done.done()

    bench.sender.respond()
    bench.settle()
    assert skip.done.result(0) == "moved to t.dlq"
