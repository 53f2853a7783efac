"""What is counted and logged for what happens: values, read off the registry as Prometheus would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.engine.events import Observers, OffsetsStored, PartitionsRevoked, ResponseReceived
from bridge.model import BatchRequest, BatchResponse, Fault, TopicPartition
from bridge.ops.telemetry import Telemetry
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, pieces, record_slice
from tests.support.scripted_aep import healthy_aep, no_response, request_refused

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


class Watch:
    """A telemetry with a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.telemetry = Telemetry(clock=lambda: self.now)
        self.status: Mapping[str, Any] = {}
        self.tokens: Mapping[str, float] = {}
        self.engine = Observers(self.telemetry.observers)
        self.telemetry.watch(lambda: self.status, dict, lambda: self.tokens)

    def value(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"aep_bridge_{name}", labels)

    def stored(self, offsets: dict[TopicPartition, int]) -> None:
        self.engine.offsets_stored(OffsetsStored(offsets))

    def revoked(self, partition: TopicPartition, *, lost: bool = False) -> None:
        self.engine.partitions_revoked(PartitionsRevoked((partition,), lost, 0.0, 0))

    @property
    def age(self) -> float | None:
        return self.value("commit_age_seconds")


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as found:
        yield found


# -- the age of commits --------------------------------------------------------------------


def test_the_commit_age_is_that_of_the_partition_that_waits_longest(watch: Watch) -> None:
    """A commit of another partition does not hide it."""
    watch.stored({A: 5})
    watch.now = 10.0
    watch.stored({B: 7})
    watch.now = 100.0
    watch.telemetry.committed(None, {B: 7})
    assert watch.age == 100.0

    watch.telemetry.committed(None, {A: 5})
    assert watch.age == 0.0


def test_a_commit_behind_the_latest_store_begins_the_age_anew(watch: Watch) -> None:
    """A busy partition always has something stored that is not committed: its age stays below a commit's interval."""
    for second in range(100):
        watch.now = float(second)
        watch.stored({A: 10 * second + 10})
        watch.telemetry.committed(None, {A: 10 * second})
        assert watch.age is not None
        assert watch.age <= 1.0

    watch.now += 50.0
    watch.telemetry.committed(None, {A: 980})
    assert watch.age == 50.0, "an old commit that is told late proves nothing"


@pytest.mark.parametrize("lost", [True, False])
def test_a_partition_that_went_has_no_commit_age(watch: Watch, lost: bool) -> None:
    """Its commit never comes here, and its next owner has an age of its own."""
    watch.stored({A: 5, B: 7})
    watch.now = 90.0
    watch.revoked(A, lost=lost)
    watch.telemetry.committed(None, {B: 7})

    assert watch.age == 0.0
    assert watch.value("rebalances_total", kind="lost" if lost else "revoked") == 1


def test_a_failed_commit_is_counted_and_the_age_goes_on(watch: Watch, logs: list[Any]) -> None:
    """The partitions for which the same commit succeeded have none any more."""
    watch.stored({A: 5, B: 7})
    watch.now = 30.0
    watch.telemetry.committed("the coordinator is away", {B: 7})
    watch.revoked(A)
    assert watch.age == 0.0

    assert watch.value("commit_failures_total") == 1
    assert [("commit.failed", "the coordinator is away")] == [
        (each["event"], each["error"]) for each in logs if "error" in each
    ]


def test_the_commit_age_of_a_log_that_began_anew_ends_with_its_own_commit(watch: Watch) -> None:
    """A commit of the old log that is told late is not it."""
    watch.stored({A: 1000})
    watch.stored({A: 5})
    watch.now = 3.0
    watch.telemetry.committed(None, {A: 1000})
    watch.now = 7.0
    assert watch.age == 4.0

    watch.telemetry.committed(None, {A: 5})
    assert watch.age == 0.0


# -- faults, told by the engine itself --------------------------------------------------------


def engine(watch: Watch, aep: Any, **settings: Any) -> Bench:
    """A pump with scripted ports whose events are counted."""
    return Bench(aep, observers=watch.telemetry.observers, **settings)


def test_a_hold_is_counted_once_however_often_it_probes(watch: Watch, logs: list[Any]) -> None:
    """Each probe in vain is logged."""
    bench = (
        engine(
            watch,
            lambda request, now: request_refused(404) if now < 1600 else healthy_aep(request),
            linger_s=0.0,
        )
        .read(record_slice(0, pieces(3)))
        .settle(700.0)
    )

    assert {SOURCE: 3} == bench.source.stored
    assert watch.value("holds_total", inlet="inlet", reason="address") == 1
    events = [each["event"] for each in logs]
    assert events.count("inlet.held") == events.count("inlet.released") == 1
    assert events.count("inlet.probe_failed") > 3
    assert (
        watch.value("requests_total", inlet="inlet", status="404") == events.count("inlet.probe_failed") + 1
    )
    assert watch.value("requests_total", inlet="inlet", status="207") == 1


def test_a_second_hold_is_counted_too(watch: Watch) -> None:
    """Of whatever reason."""
    bench = engine(
        watch,
        lambda request, now: (
            request_refused(404) if now < 1010 or 1100 < now < 1110 else healthy_aep(request)
        ),
        linger_s=0.0,
    )
    bench.read(record_slice(0, pieces(3))).settle(90.0)
    bench.time.now = 1101.0
    bench.read(record_slice(3, pieces(3))).settle(90.0)

    assert {SOURCE: 6} == bench.source.stored
    assert watch.value("holds_total", inlet="inlet", reason="address") == 2


def test_waits_are_counted_by_reason(watch: Watch) -> None:
    """A status, or why there was no answer."""
    responses = iter([no_response(Fault.CONNECTION), request_refused(503), request_refused(503)])
    bench = (
        engine(watch, lambda request, _: next(responses, None) or healthy_aep(request), linger_s=0.0)
        .read(record_slice(0, pieces(1)))
        .settle(120.0)
    )

    assert {SOURCE: 1} == bench.source.stored
    assert watch.value("retries_total", inlet="inlet", reason="connection") == 1
    assert watch.value("retries_total", inlet="inlet", reason="status 503") == 2
    assert watch.value("requests_total", inlet="inlet", status="connection") == 1
    assert watch.value("request_seconds_count", inlet="inlet") == 4


def test_what_is_under_way_and_unsettled_is_shown(watch: Watch) -> None:
    """Off the pump's snapshot: requests, bytes, and how long the oldest record has waited."""
    open_requests: list[BatchRequest] = []
    bench = engine(
        watch,
        lambda request, _: open_requests.append(request),
        max_messages=2,
        linger_s=0.0,
        policy={"max_in_flight": 2},
    ).read(record_slice(0, pieces(6)))
    bench.time.now += 40.0
    bench.turn(20)
    watch.status = bench.engine.status

    assert len(open_requests) == 2
    assert watch.value("in_flight", inlet="inlet") == 2
    assert watch.value("in_flight_limit", inlet="inlet") == 2
    assert watch.value("window_bytes", inlet="inlet") == round(bench.used) > 0
    assert watch.value("oldest_unsettled_seconds", topic="t", partition="0") == pytest.approx(40.0, abs=2.0)
    assert watch.value("watermark_age_seconds", topic="t", partition="0") == pytest.approx(40.0, abs=2.0)
    assert (watch.value("batch_records_count"), watch.value("batch_records_sum")) == (2, 4)
    assert watch.value("batch_bytes_sum") == sum(request.size for request in open_requests)


def test_a_topic_created_anew_is_counted_with_what_was_unsettled(watch: Watch, logs: list[Any]) -> None:
    """The counter is there from the start, at 0: an alert watches it."""
    watch.telemetry.metrics.start_at_zero(["t"])
    assert watch.value("rewinds_total", topic="t") == 0
    engine(watch, healthy_aep).read(record_slice(100, pieces(3))).read(record_slice(0, pieces(1))).settle()

    assert watch.value("rewinds_total", topic="t") == 1
    told = next(each for each in logs if each["event"] == "partition.rewound")
    assert (told["partition"], told["expected_offset"], told["offset"], told["unsettled_records"]) == (
        "t/0",
        103,
        0,
        3,
    )


# -- the rest ------------------------------------------------------------------------------------


def test_token_ages_and_failures_are_shown(watch: Watch) -> None:
    """By inlet."""
    watch.tokens = {"inlet": 12.5}
    watch.telemetry.token_refresh_failed("inlet", "invalid_client")

    assert watch.value("token_age_seconds", inlet="inlet") == 12.5
    assert watch.value("token_refresh_failures_total", inlet="inlet") == 1


def test_events_that_profile_drops_are_counted(watch: Watch) -> None:
    """By the engine, out of the records' sizes."""
    big = b'{"good":"%s"}' % (b"x" * 10_001)
    engine(watch, healthy_aep, linger_s=0.0).read(record_slice(0, [big, *pieces(2)])).settle()

    assert watch.value("oversize_for_profile_total", topic="t") == 1
    assert watch.value("records_accepted_total", topic="t") == 3


def test_a_committed_offset_that_is_gone_is_counted(watch: Watch, logs: list[Any]) -> None:
    """With the topic as label; the log has the offsets."""
    watch.telemetry.possible_loss("t", "t/0: offset 1000 is gone, reading goes on at 0")

    assert watch.value("possible_loss_total", topic="t") == 1
    assert [("offset.out_of_range", "error")] == [(each["event"], each["log_level"]) for each in logs]


def test_renamed_headers_and_refused_offsets_are_logged_once_a_second(watch: Watch, logs: list[Any]) -> None:
    """The next line says how many were left out."""
    for second in (0.0, 0.1, 0.2, 2.0):
        watch.now = second
        watch.telemetry.unreadable_headers(A, [1, 2])
        watch.telemetry.refused({A: 5})

    assert [
        ("record.header_renamed", 0),
        ("offsets.not_stored", 0),
        ("record.header_renamed", 2),
        ("offsets.not_stored", 2),
    ] == [(each["event"], each["suppressed"]) for each in logs]
    assert ([1, 2], {"t/0": 5}) == (logs[0]["offsets"], logs[1]["offsets"])


def test_an_answer_that_never_came_is_counted_by_its_fault(watch: Watch) -> None:
    """And timed."""
    event = ResponseReceived("inlet", BatchResponse(fault=Fault.TIMEOUT, error="slow"), 30.0)
    watch.telemetry.metrics.response_received(event)

    assert watch.value("requests_total", inlet="inlet", status="timeout") == 1
    assert watch.value("request_seconds_sum", inlet="inlet") == 30.0
