"""What the snapshot says of a partition: why it waits is told by its own oldest unsettled records."""

from __future__ import annotations

from typing import Any

from bridge.codec.routes import Route
from bridge.engine.events import BatchWaits
from bridge.engine.skips import SkipOrder
from bridge.model import BatchRequest, BatchResponse, Format, TopicPartition
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, pieces, record_slice
from tests.support.scripted_aep import (
    all_accepted,
    entry_accepted,
    entry_refused,
    multi_status,
    request_refused,
    scripted_aep,
)

OTHER = TopicPartition("t", 1)


def partition(bench: Bench, where: TopicPartition) -> dict[str, Any]:
    """The snapshot's entry of one partition, of this moment."""
    bench.time.now += 1.0
    bench.engine.loop.balance(bench.source, force=True)
    entries = bench.engine.status["partitions"]
    return next(
        entry for entry in entries if (entry["topic"], entry["partition"]) == (where.topic, where.partition)
    )


def test_the_reason_is_that_of_the_oldest_batch_however_it_was_postponed() -> None:
    """The dispatcher sends a batch of bad records behind the others; the partition still waits for that
    batch.
    """
    old, young = b'{"bad":1}', b'{"late":1}'

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        return (
            request_refused(400, "a bad record")
            if old in request.pieces
            else request_refused(503, "an outage")
        )

    bench = Bench(aep, max_messages=1, linger_s=0.0, policy={"backoff_base_s": 60.0, "max_in_flight": 1})
    bench.read(record_slice(0, [old])).turn(8)
    bench.read(record_slice(1, [young])).settle(5.0)
    first, second = bench.engine.view.tasks
    assert (first.batch.pieces, second.batch.pieces) == ([old], [young])
    assert first.fruitless_requests > second.fruitless_requests

    assert partition(bench, SOURCE)["waits"].startswith("refused alone")
    waits = bench.engine.status["waits"]
    assert [wait["batch"] for wait in waits] == [first.batch.id, second.batch.id]


def test_only_partitions_with_unsettled_records_of_a_batch_wait_for_it() -> None:
    """One record of a shared batch gets a 503: the other partition's records are settled, and wait for
    nothing.
    """

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        if len(request.pieces) == 4:
            return multi_status(
                entry_accepted(0), entry_accepted(1), entry_accepted(2), entry_refused(503, "later")
            )
        return request_refused(503, "later")

    bench = Bench(aep, partitions=2, max_messages=4, linger_s=0.0, policy={"backoff_base_s": 60.0})
    bench.read(record_slice(0, pieces(2)), record_slice(0, pieces(2, name="x"), OTHER)).turn(10)
    assert bench.source.stored[SOURCE] == 2

    assert partition(bench, SOURCE)["waits"] is None
    assert partition(bench, OTHER)["waits"].startswith("status 503")


def test_a_request_in_flight_counts_only_for_partitions_with_unsettled_records_of_it() -> None:
    """The second request carries one record of one partition; the first had records of both."""

    def aep(request: BatchRequest, now: float) -> BatchResponse | None:
        if len(request.pieces) == 4:
            return multi_status(
                entry_accepted(0), entry_accepted(1), entry_accepted(2), entry_refused(503, "later")
            )
        return None

    bench = Bench(aep, partitions=2, max_messages=4, linger_s=0.0)
    bench.read(record_slice(0, pieces(2)), record_slice(0, pieces(2, name="x"), OTHER)).settle(5.0)

    assert (partition(bench, SOURCE)["in_flight"], partition(bench, OTHER)["in_flight"]) == (0, 1)


def test_a_batch_of_another_partition_is_not_its_reason() -> None:
    """Two datasets, two partitions: the one that is accepted waits for nothing."""
    routes = (Route("t", Format.RAW, "inlet", "ds"), Route("u", Format.RAW, "inlet", "other"))
    bench = Bench(
        lambda request, now: (
            request_refused(503) if b"x" in request.pieces[0] else all_accepted(len(request.pieces))
        ),
        routes=routes,
        linger_s=0.0,
        policy={"backoff_base_s": 60.0},
    )
    bench.read(record_slice(0, pieces(1)), record_slice(0, pieces(1, name="x"), TopicPartition("u", 0))).turn(
        10
    )

    assert partition(bench, SOURCE)["waits"] is None
    assert partition(bench, TopicPartition("u", 0))["waits"].startswith("status 503")


def order(bench: Bench, offset: int, source: TopicPartition = SOURCE) -> SkipOrder:
    skip = SkipOrder(source, offset, "ann", "poison")
    bench.time.put(skip, None)
    bench.turn()
    return skip


def test_a_waiting_record_is_named_by_its_coordinates() -> None:
    """An operator needs the offset to order it away: that of the record, not of its batch."""
    bench = (
        Bench(
            scripted_aep(
                multi_status(entry_accepted(0), entry_refused(503), entry_refused(503)),
                then=lambda request, now: request_refused(503),
            ),
            linger_s=0.0,
        )
        .read(record_slice(7, pieces(3)))
        .turn(100)
    )

    [*_, event] = bench.events.of(BatchWaits)
    assert (event.records, event.first) == (2, "t/0/8")
    [wait] = bench.engine.status["waits"]
    assert (wait["records"], wait["first"]) == (2, "t/0/8")
