"""Counters and histograms of the engine's events and of reports of Kafka's client.

Nothing is counted for each record: the counters increase once for a batch, or less often.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)

from bridge import __version__
from bridge.engine import events
from bridge.engine.events import Observer
from bridge.model import BatchResponse

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_BYTES = (1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 750_000, 900_000, 1_000_000)
_RECORDS = (1, 5, 10, 50, 100, 250, 500, 750, 1_000, 2_500, 5_000, 10_000)

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "records_read": ("Records read from Kafka.", ("topic",)),
    "records_accepted": ("Records that AEP accepted.", ("topic",)),
    "records_dead_lettered": ("Records that a dead-letter topic holds, acknowledged.", ("topic", "reason")),
    "records_skipped": ("Records settled without being sent, by a configured rule.", ("topic", "reason")),
    "oversize_for_profile": ("Events above 10 kB, which Profile drops silently after a 207.", ("topic",)),
    "requests": ("Requests to AEP by status, or by why there was no answer.", ("inlet", "status")),
    "retries": ("Waits before another attempt, by reason.", ("inlet", "reason")),
    "holds": ("Times that a hold of an inlet began.", ("inlet", "reason")),
    "rebalances": ("Assignments, revocations and losses of partitions.", ("kind",)),
    "commit_failures": ("Offset commits that failed.", ()),
    "dead_letter_failures": ("Dead letters that the broker did not take (they are tried again).", ("topic",)),
    "token_refresh_failures": ("Refreshes of the access token that failed.", ("inlet",)),
    "possible_loss": ("Committed offsets out of range: records may have expired unread.", ("topic",)),
    "rewinds": (
        "Partitions whose offsets went backwards while they were read: truncated, or created anew.",
        ("topic",),
    ),
}
"""Each counter without `aep_bridge_` and `_total`: its help text and its labels."""


class Metrics(Observer):
    """Counts the engine's events in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            registry.register(collector)
        self._counters = {
            name: Counter(f"aep_bridge_{name}", text, labels, registry=registry)
            for name, (text, labels) in COUNTERS.items()
        }
        self._seconds = Histogram(
            "aep_bridge_request_seconds",
            "From sending a request to its answer.",
            ["inlet"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._bytes = Histogram(
            "aep_bridge_batch_bytes", "Bytes of request bodies.", buckets=_BYTES, registry=registry
        )
        self._records = Histogram(
            "aep_bridge_batch_records", "Messages of requests.", buckets=_RECORDS, registry=registry
        )
        self._ceiling = Gauge(
            "aep_bridge_memory_ceiling_bytes",
            "What the settings allow this process to use.",
            registry=registry,
        )
        build = Gauge("aep_bridge_build_info", "The version, as a label.", ["version"], registry=registry)
        build.labels(__version__).set(1)
        # Looking up a label takes 2 µs, longer than counting. These four are used for every request.
        self._read = cache(self._counters["records_read"].labels)
        self._accepted = cache(self._counters["records_accepted"].labels)
        self._requests = cache(self._counters["requests"].labels)
        self._request_seconds = cache(self._seconds.labels)

    def start_at_zero(self, topics: Iterable[str]) -> None:
        """Create the series that alerts watch, at 0: from nothing to 1, Prometheus sees no increase."""
        for topic in topics:
            for name in ("records_accepted", "dead_letter_failures", "possible_loss", "rewinds"):
                self._counters[name].labels(topic)

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Increase one of `COUNTERS`."""
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc(by)

    def set_memory_ceiling(self, size: int) -> None:
        """Publish the memory that the settings allow, in bytes."""
        self._ceiling.set(size)

    def records_read(self, event: events.RecordsRead) -> None:
        self._read(event.topic).inc(event.records)

    def records_skipped(self, event: events.RecordsSkipped) -> None:
        self.count("records_skipped", event.topic, event.reason.value, by=event.records)

    def records_too_large_for_profile(self, event: events.RecordsTooLargeForProfile) -> None:
        self.count("oversize_for_profile", event.topic, by=event.records)

    def records_accepted(self, event: events.RecordsAccepted) -> None:
        for topic, records in event.by_topic.items():
            self._accepted(topic).inc(records)

    def request_sent(self, event: events.RequestSent) -> None:
        self._bytes.observe(event.size)
        self._records.observe(event.records)

    def response_received(self, event: events.ResponseReceived) -> None:
        self._requests(event.inlet, status_label(event.response)).inc()
        self._request_seconds(event.inlet).observe(event.seconds)

    def dead_letter_published(self, event: events.DeadLetterPublished) -> None:
        letter = event.dead_letter
        self.count("records_dead_lettered", letter.record.topic(), letter.refusal.reason.value)

    def dead_letters_failed(self, event: events.DeadLettersFailed) -> None:
        for topic in event.topics:
            self.count("dead_letter_failures", topic)

    def batch_waits(self, event: events.BatchWaits) -> None:
        self.count("retries", event.inlet, event.reason.partition(":")[0])

    def inlet_held(self, event: events.InletHeld) -> None:
        self.count("holds", event.inlet, event.reason)

    def flood_guard_stopped(self, event: events.FloodGuardStopped) -> None:
        self.count("holds", event.inlet, "flood guard")

    def partitions_assigned(self, event: events.PartitionsAssigned) -> None:
        self.count("rebalances", "assigned")

    def partitions_revoked(self, event: events.PartitionsRevoked) -> None:
        self.count("rebalances", "lost" if event.lost else "revoked")

    def partition_rewound(self, event: events.PartitionRewound) -> None:
        self.count("rewinds", event.partition.topic)


def status_label(response: BatchResponse) -> str:
    """Return the HTTP status, or the reason why there was none."""
    return response.fault.value if response.fault is not None else str(response.status)
