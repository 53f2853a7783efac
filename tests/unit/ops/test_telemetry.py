"""The metrics and log lines of events. Values are read from the registry, as Prometheus reads them."""

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
    """A telemetry with a clock that the test sets."""

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
    with capture_logs() as lines:
        yield lines


# -- the age of commits --------------------------------------------------------------------


def test_the_commit_age_is_that_of_the_partition_that_waits_longest(watch: Watch) -> None:
    """A commit of another partition must not hide that one partition's commits fail."""
    watch.stored({A: 5})
    watch.now = 10.0
    watch.stored({B: 7})
    watch.now = 100.0
    watch.telemetry.offsets_committed(None, {B: 7})
    assert watch.age == 100.0

    watch.telemetry.offsets_committed(None, {A: 5})
    assert watch.age == 0.0


def test_a_commit_behind_the_latest_store_begins_the_age_anew(watch: Watch) -> None:
    """A busy partition always has an offset that is stored and not committed.

    Its age stays below the interval of commits, so that no alert fires.
    """
    for second in range(100):
        watch.now = float(second)
        watch.stored({A: 10 * second + 10})
        watch.telemetry.offsets_committed(None, {A: 10 * second})
        assert watch.age is not None
        assert watch.age <= 1.0

    watch.now += 50.0
    watch.telemetry.offsets_committed(None, {A: 980})
    assert watch.age == 50.0, "a late report of an old commit proves nothing"


@pytest.mark.parametrize("lost", [True, False])
def test_a_revoked_partition_has_no_commit_age(watch: Watch, lost: bool) -> None:
    """The member never learns of its commit, and the next owner measures an age of its own."""
    watch.stored({A: 5, B: 7})
    watch.now = 90.0
    watch.revoked(A, lost=lost)
    watch.telemetry.offsets_committed(None, {B: 7})

    assert watch.age == 0.0
    assert watch.value("rebalances_total", kind="lost" if lost else "revoked") == 1


def test_a_failed_commit_is_counted_and_the_age_goes_on(watch: Watch, logs: list[Any]) -> None:
    """Partitions for which the same commit succeeded have no age any more."""
    watch.stored({A: 5, B: 7})
    watch.now = 30.0
    watch.telemetry.offsets_committed("the coordinator is away", {B: 7})
    watch.revoked(A)
    assert watch.age == 0.0

    assert watch.value("commit_failures_total") == 1
    errors = [(line["event"], line["error"]) for line in logs if "error" in line]
    assert errors == [("commit.failed", "the coordinator is away")]


def test_the_commit_age_of_a_log_that_began_anew_ends_with_its_own_commit(watch: Watch) -> None:
    """The report of a commit to the old log may come late, and must not end the age."""
    watch.stored({A: 1000})
    watch.stored({A: 5})
    watch.now = 3.0
    watch.telemetry.offsets_committed(None, {A: 1000})
    watch.now = 7.0
    assert watch.age == 4.0

    watch.telemetry.offsets_committed(None, {A: 5})
    assert watch.age == 0.0


# -- faults, reported by the engine itself -----------------------------------------------------


def engine(watch: Watch, aep: Any, **settings: Any) -> Bench:
    """Return an engine with scripted ports, whose events are counted."""
    return Bench(aep, observers=watch.telemetry.observers, **settings)


def test_a_hold_is_counted_once_however_often_it_probes(watch: Watch, logs: list[Any]) -> None:
    """Each probe that fails is logged, and is no further hold."""
    bench = (
        engine(
            watch,
            lambda request, now: request_refused(404) if now < 1600 else healthy_aep(request),
            linger_s=0.0,
        )
        .read(record_slice(0, pieces(3)))
        .settle(700.0)
    )

    assert bench.source.stored == {SOURCE: 3}
    assert watch.value("holds_total", inlet="inlet", reason="address") == 1
    events = [line["event"] for line in logs]
    assert events.count("inlet.held") == events.count("inlet.released") == 1
    assert events.count("inlet.probe_failed") > 3
    assert (
        watch.value("requests_total", inlet="inlet", status="404") == events.count("inlet.probe_failed") + 1
    )
    assert watch.value("requests_total", inlet="inlet", status="207") == 1


def test_a_second_hold_is_counted_too(watch: Watch) -> None:
    """The counter shows how often an inlet was held, also for the same reason."""
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

    assert bench.source.stored == {SOURCE: 6}
    assert watch.value("holds_total", inlet="inlet", reason="address") == 2


def test_waits_are_counted_by_reason(watch: Watch) -> None:
    """The reason is a status, or the fault because of which there was no response."""
    responses = iter([no_response(Fault.CONNECTION), request_refused(503), request_refused(503)])
    bench = (
        engine(watch, lambda request, _: next(responses, None) or healthy_aep(request), linger_s=0.0)
        .read(record_slice(0, pieces(1)))
        .settle(120.0)
    )

    assert bench.source.stored == {SOURCE: 1}
    assert watch.value("retries_total", inlet="inlet", reason="connection") == 1
    assert watch.value("retries_total", inlet="inlet", reason="status 503") == 2
    assert watch.value("requests_total", inlet="inlet", status="connection") == 1
    assert watch.value("request_seconds_count", inlet="inlet") == 4


def test_open_requests_and_unsettled_records_are_in_the_gauges(watch: Watch) -> None:
    """They come from the engine's snapshot: requests, bytes, and the age of the oldest record."""
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
    """The counter is there from the start, at 0, because an alert watches its increase."""
    watch.telemetry.metrics.start_at_zero(["t"])
    assert watch.value("rewinds_total", topic="t") == 0
    engine(watch, healthy_aep).read(record_slice(100, pieces(3))).read(record_slice(0, pieces(1))).settle()

    assert watch.value("rewinds_total", topic="t") == 1
    line = next(line for line in logs if line["event"] == "partition.rewound")
    assert line["partition"] == "t/0"
    assert (line["expected_offset"], line["offset"]) == (103, 0)
    assert line["unsettled_records"] == 3


# -- the rest ------------------------------------------------------------------------------------


def test_token_ages_and_failures_are_shown(watch: Watch) -> None:
    """An inlet without a fresh token soon delivers nothing, so both have the inlet as label."""
    watch.tokens = {"inlet": 12.5}
    watch.telemetry.token_refresh_failed("inlet", "invalid_client")

    assert watch.value("token_age_seconds", inlet="inlet") == 12.5
    assert watch.value("token_refresh_failures_total", inlet="inlet") == 1


def test_records_that_profile_drops_are_counted(watch: Watch) -> None:
    """AEP accepts them with a 207, so that only this counter shows them."""
    big = b'{"good":"%s"}' % (b"x" * 10_001)
    engine(watch, healthy_aep, linger_s=0.0).read(record_slice(0, [big, *pieces(2)])).settle()

    assert watch.value("oversize_for_profile_total", topic="t") == 1
    assert watch.value("records_accepted_total", topic="t") == 3


def test_a_committed_offset_that_is_gone_is_counted(watch: Watch, logs: list[Any]) -> None:
    """The counter has the topic as label, and the log has the offsets."""
    watch.telemetry.possible_loss("t", "t/0: offset 1000 is gone, reading goes on at 0")

    assert watch.value("possible_loss_total", topic="t") == 1
    assert [(line["event"], line["log_level"]) for line in logs] == [("offset.out_of_range", "error")]


def test_renamed_headers_and_offsets_that_are_not_stored_are_logged_once_a_second(
    watch: Watch, logs: list[Any]
) -> None:
    """A producer can cause any number of them. The next line says how many were left out."""
    for second in (0.0, 0.1, 0.2, 2.0):
        watch.now = second
        watch.telemetry.headers_renamed(A, [1, 2])
        watch.telemetry.offsets_not_stored({A: 5})

    assert [(line["event"], line["suppressed"]) for line in logs] == [
        ("record.header_renamed", 0),
        ("offsets.not_stored", 0),
        ("record.header_renamed", 2),
        ("offsets.not_stored", 2),
    ]
    assert (logs[0]["offsets"], logs[1]["offsets"]) == ([1, 2], {"t/0": 5})


def test_a_request_without_a_response_is_counted_by_its_fault(watch: Watch) -> None:
    """Its time counts too: otherwise timeouts would make the mean look better."""
    event = ResponseReceived("inlet", BatchResponse(fault=Fault.TIMEOUT, error="slow"), 30.0)
    watch.telemetry.metrics.response_received(event)

    assert watch.value("requests_total", inlet="inlet", status="timeout") == 1
    assert watch.value("request_seconds_sum", inlet="inlet") == 30.0
