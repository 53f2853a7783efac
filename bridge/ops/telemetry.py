"""Logs and metrics: one method for each thing that happens. Everything is counted for a batch or rarer, never for a record on the way to AEP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import structlog
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bridge import __version__
from bridge.engine.events import Events
from bridge.engine.snapshot import lag as lag_of
from bridge.kafka.errors import explained
from bridge.model import BatchResponse, DeadLetter, TopicPartition

log = structlog.get_logger("bridge")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_BYTES = (1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 750_000, 900_000, 1_000_000)
_RECORDS = (1, 5, 10, 50, 100, 250, 500, 750, 1_000, 2_500, 5_000, 10_000)


class Telemetry(Events):
    """Counts into a registry of its own, and logs with structlog."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)
        self._clock = clock
        self._quiet = _Quiet(clock)
        self._stored: dict[TopicPartition, tuple[int, int, float]] = {}
        """Of what waits for its commit: the offset that has waited longest, the latest one, and since when the first of them has."""
        self._read = self._counter("records_read", "Records read from Kafka.", "topic")
        self._accepted = self._counter("records_accepted", "Records that AEP accepted.", "topic")
        self._dead = self._counter(
            "records_dead_lettered",
            "Records that a dead-letter topic holds, acknowledged.",
            "topic",
            "reason",
        )
        self._skipped = self._counter(
            "records_skipped", "Records settled without being sent, by a configured rule.", "topic", "reason"
        )
        self._oversize = self._counter(
            "oversize_for_profile", "Events above 10 kB, which Profile drops silently after a 207.", "topic"
        )
        self._requests = self._counter(
            "requests", "Requests to AEP by status, or by why there was no answer.", "inlet", "status"
        )
        self._retries = self._counter(
            "retries", "Waits before another attempt, by reason.", "inlet", "reason"
        )
        self._holds = self._counter("holds", "Times that a hold of an inlet began.", "inlet", "reason")
        self._rebalances = self._counter(
            "rebalances", "Assignments, revocations and losses of partitions.", "kind"
        )
        self._commit_failures = self._counter("commit_failures", "Offset commits that failed.")
        self._dead_failures = self._counter(
            "dead_letter_failures",
            "Dead letters that the broker did not take (they are tried again).",
            "topic",
        )
        self._token_failures = self._counter(
            "token_refresh_failures", "Refreshes of the access token that failed.", "inlet"
        )
        self._loss = self._counter(
            "possible_loss", "Committed offsets out of range: records may have expired unread.", "topic"
        )
        self._rewinds = self._counter(
            "rewinds",
            "Partitions whose offsets went backwards while they were read: truncated, or created anew.",
            "topic",
        )
        self._seconds = Histogram(
            "aep_bridge_request_seconds",
            "From sending a request to its answer.",
            ["inlet"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._bytes = Histogram(
            "aep_bridge_batch_bytes", "Bytes of request bodies.", buckets=_BYTES, registry=self.registry
        )
        self._records = Histogram(
            "aep_bridge_batch_records", "Messages of requests.", buckets=_RECORDS, registry=self.registry
        )
        build = Gauge(
            "aep_bridge_build_info", "The version, as a label.", ["version"], registry=self.registry
        )
        build.labels(__version__).set(1)
        # A look-up of a label takes 2 µs, which is more than the counting.
        self._read_of, self._accepted_of = cache(self._read.labels), cache(self._accepted.labels)
        self._requests_of, self._seconds_of = cache(self._requests.labels), cache(self._seconds.labels)
        self._ceiling = Gauge(
            "aep_bridge_memory_ceiling_bytes",
            "What the settings allow this process to use.",
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"aep_bridge_{name}", text, labels, registry=self.registry)

    def watch(
        self,
        status: Callable[[], Mapping[str, Any]],
        ends: Callable[[], Mapping[TopicPartition, int]],
        tokens: Callable[[], Mapping[str, float]],
    ) -> None:
        """Adds the gauges that are read off the pump's snapshot, the partitions' end offsets and the tokens' ages at each scrape."""
        self.registry.register(_Gauges(status, ends, tokens, self.commit_age))

    def expose_topics(self, topics: Iterable[str]) -> None:
        """Counters that alerts watch start at 0, so that the first increase is seen."""
        for topic in topics:
            self._accepted.labels(topic)
            self._dead_failures.labels(topic)
            self._loss.labels(topic)
            self._rewinds.labels(topic)

    def memory_ceiling(self, size: int, text: str) -> None:
        """What the settings allow."""
        self._ceiling.set(size)
        log.info("memory.ceiling", bytes=size, made_of=text)

    # -- records ------------------------------------------------------------------

    def read(self, topic: str, records: int) -> None:
        self._read_of(topic).inc(records)

    def skipped(self, topic: str, reason: str, records: int) -> None:
        self._skipped.labels(topic, reason).inc(records)

    def oversize(self, topic: str, records: int) -> None:
        self._oversize.labels(topic).inc(records)
        if (more := self._quiet.let("oversize", topic)) is not None:
            log.warning(
                "record.oversize_for_profile",
                topic=topic,
                records=records,
                more=more,
                hint="Profile drops events above 10 kB after a 207",
            )

    def accepted(self, accepted: Mapping[str, int]) -> None:
        for topic, records in accepted.items():
            self._accepted_of(topic).inc(records)

    def buried(self, letter: DeadLetter) -> None:
        record, refusal = letter.record, letter.refusal
        topic = record.topic()
        self._dead.labels(topic, refusal.reason.value).inc()
        if (more := self._quiet.let("buried", topic, refusal.reason)) is not None:
            where = {"topic": topic, "partition": record.partition(), "offset": record.offset()}
            log.warning(
                "record.dead_lettered",
                **where,
                to=letter.topic,
                reason=refusal.reason.value,
                status=refusal.status,
                error=refusal.error[:300],
                more=more,
            )

    def dead_letters_failed(self, topics: Iterable[str], error: str) -> None:
        for topic in topics:
            self._dead_failures.labels(topic).inc()
            log.error(
                "dead_letter.failed",
                topic=topic,
                error=error,
                what_follows="tried again; nothing is committed past these records",
            )

    # -- requests -----------------------------------------------------------------

    def sent(self, inlet: str, records: int, size: int) -> None:
        self._bytes.observe(size)
        self._records.observe(records)

    def answered(self, inlet: str, answer: BatchResponse, seconds: float) -> None:
        status = answer.fault.value if answer.fault is not None else str(answer.status)
        self._requests_of(inlet, status).inc()
        self._seconds_of(inlet).observe(seconds)
        if answer.fault is not None and (more := self._quiet.let("answer", inlet, status)) is not None:
            log.warning(
                "request.failed",
                inlet=inlet,
                why=status,
                error=answer.error,
                seconds=round(seconds, 3),
                more=more,
            )

    def waits(
        self, inlet: str, batch: str, records: int, first: str, reason: str, detail: str, seconds: float
    ) -> None:
        self._retries.labels(inlet, reason.partition(":")[0]).inc()
        if (more := self._quiet.let("waits", inlet, reason)) is not None:
            log.warning(
                "batch.waits",
                inlet=inlet,
                batch=batch,
                records=records,
                first=first,
                reason=reason,
                detail=detail[:300],
                next_try_s=round(seconds, 3),
                more=more,
            )

    def held(self, inlet: str, reason: str, detail: str, seconds: float) -> None:
        self._holds.labels(inlet, reason).inc()
        log.error("inlet.held", inlet=inlet, reason=reason, detail=detail[:300], next_try_s=round(seconds, 3))

    def probed(self, inlet: str, reason: str, detail: str, seconds: float) -> None:
        log.error(
            "inlet.probed", inlet=inlet, reason=reason, detail=detail[:300], next_try_s=round(seconds, 3)
        )

    def released(self, inlet: str, reason: str, seconds: float) -> None:
        log.info("inlet.released", inlet=inlet, reason=reason, held_for_s=round(seconds, 3))

    def flooded(self, inlet: str, key: str) -> None:
        self._holds.labels(inlet, "flood guard").inc()
        hint = "everything is refused: look at the schema, the dataset and the organisation; dead_letter.flood_guard sets the number"
        log.error("inlet.flood_guard", inlet=inlet, dataset=key, hint=hint)

    def token_refresh_failed(self, inlet: str, error: str) -> None:
        """No access token could be got."""
        self._token_failures.labels(inlet).inc()
        log.error("token.refresh_failed", inlet=inlet, error=error)

    # -- the group ------------------------------------------------------------------

    def stored(self, offsets: Mapping[TopicPartition, int]) -> None:
        now = self._clock()
        for where, offset in offsets.items():
            oldest, latest, since = self._stored.get(where, (offset, offset, now))
            self._stored[where] = (oldest if offset >= latest else offset), offset, since

    def committed(self, error: str | None, offsets: Mapping[TopicPartition, int]) -> None:
        """The client committed these, and failed to commit others if there is an error."""
        for where, offset in offsets.items():
            oldest, latest, _ = self._stored.get(where, (offset, offset, 0.0))
            if offset == latest:
                self._stored.pop(where, None)
            elif offset >= oldest:  # what was stored since has waited for less than one commit
                self._stored[where] = latest, latest, self._clock()
        if error is not None:
            self._commit_failures.inc()
            log.error("commit.failed", error=error)

    def commit_age(self) -> float:
        """Seconds that the offset which has waited longest has waited for its commit. Any thread."""
        waiting = list(self._stored.values())
        return self._clock() - min(since for _, _, since in waiting) if waiting else 0.0

    def refused(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Offsets were not stored: their partitions went to another member, which reads on from what is committed."""
        if (more := self._quiet.let("refused")) is not None:
            log.warning(
                "offsets.refused",
                offsets={str(where): offset for where, offset in offsets.items()},
                more=more,
            )

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        self._rebalances.labels("assigned").inc()
        log.info("lane.assigned", partitions=[str(partition) for partition in partitions])

    def revoked(
        self, partitions: Iterable[TopicPartition], *, lost: bool, seconds: float, open_requests: int
    ) -> None:
        partitions = list(partitions)
        for partition in partitions:
            self._stored.pop(partition, None)  # committed at the revoke, or never by this member
        kind = "lost" if lost else "revoked"
        self._rebalances.labels(kind).inc()
        speak = log.warning if lost or open_requests else log.info
        speak(
            f"lane.{kind}",
            partitions=[str(partition) for partition in partitions],
            seconds=round(seconds, 3),
            open_requests=open_requests,
        )

    def rewound(self, partition: TopicPartition, before: int, now: int, unsettled: int) -> None:
        self._rewinds.labels(partition.topic).inc()
        hint = (
            "the topic was truncated or created anew; unsettled records of before are delivered all the same"
        )
        log.error(
            "lane.rewound",
            partition=str(partition),
            expected=before,
            found=now,
            unsettled_records=unsettled,
            hint=hint,
        )

    def possible_loss(self, topic: str, detail: str) -> None:
        """A committed offset was out of range."""
        self._loss.labels(topic).inc()
        hint = "records may have expired before they were read (compare retention with the lag), or the topic was truncated or created anew"
        log.error("offset.out_of_range", topic=topic, detail=detail, hint=hint)

    def unreadable_headers(self, partition: TopicPartition, offsets: Sequence[int]) -> None:
        """A header's name is not UTF-8, and was replaced."""
        if (more := self._quiet.let("headers", partition.topic)) is not None:
            log.warning(
                "record.header_renamed",
                partition=str(partition),
                offsets=list(offsets[:10]),
                records=len(offsets),
                more=more,
            )

    def kafka_error(self, error: str) -> None:
        """The client reports trouble that it deals with itself."""
        if (more := self._quiet.let("kafka", error[:60])) is not None:
            log.warning("kafka.error", error=explained(error), more=more)

    def paused(self, partitions: Iterable[TopicPartition], reason: str) -> None:
        log.info("lane.paused", partitions=[str(partition) for partition in partitions], reason=reason)

    def resumed(self, partitions: Iterable[TopicPartition]) -> None:
        log.info("lane.resumed", partitions=[str(partition) for partition in partitions])

    def draining(self, records: int, deadline_s: float) -> None:
        log.info("drain.started", unsettled_records=records, deadline_s=deadline_s)

    def drained(self, *, abandoned: int, seconds: float) -> None:
        speak = log.warning if abandoned else log.info
        speak("drain.finished", abandoned_records=abandoned, seconds=round(seconds, 3))


class _Quiet:
    """At most one line a second for each kind of event; the next one says how many were left out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[tuple[object, ...], tuple[float, int]] = {}

    def let(self, *key: object) -> int | None:
        """How many were left out since the last one, or None to leave this one out too."""
        now = self._clock()
        last, left_out = self._last.get(key, (float("-inf"), 0))
        if now - last < 1:
            self._last[key] = last, left_out + 1
            return None
        if len(self._last) > 1000:
            self._last.clear()
        self._last[key] = now, 0
        return left_out


class _Gauges(Collector):
    """What is true at the moment of a scrape."""

    def __init__(
        self,
        status: Callable[[], Mapping[str, Any]],
        ends: Callable[[], Mapping[TopicPartition, int]],
        tokens: Callable[[], Mapping[str, float]],
        commit_age: Callable[[], float],
    ) -> None:
        self._status, self._ends, self._tokens, self._commit_age = status, ends, tokens, commit_age

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Partitions, inlets, tokens."""
        status, ends = self._status(), self._ends()
        yield _single(
            "commit_age_seconds",
            "Seconds that stored offsets have waited for their commit.",
            self._commit_age(),
        )
        partitions = status.get("partitions", [])
        yield _single("assigned_partitions", "Partitions that this member has.", len(partitions))
        lag = _family(
            "consumer_lag",
            "Records between the watermark and the end of the partition, which brokers are asked for.",
            "topic",
            "partition",
        )
        oldest = _family(
            "oldest_unsettled_seconds",
            "Age of the oldest record that is read and not settled.",
            "topic",
            "partition",
        )
        age = _family(
            "watermark_age_seconds",
            "Seconds since the watermark moved, while something is unsettled.",
            "topic",
            "partition",
        )
        for entry in partitions:
            labels = [entry["topic"], str(entry["partition"])]
            end = ends.get(TopicPartition(entry["topic"], entry["partition"]))
            if (behind := lag_of(entry, end)) is not None:
                lag.add_metric(labels, behind)
            oldest.add_metric(labels, entry["oldest_unsettled_s"])
            age.add_metric(labels, entry["watermark_age_s"])
        yield from (lag, oldest, age)
        flying = _family("in_flight", "Requests under way.", "inlet")
        limit = _family("in_flight_limit", "Requests at once, as learned.", "inlet")
        rate = _family(
            "rate_limit",
            "Messages a second, as learned or configured; infinite where nothing limits.",
            "inlet",
        )
        window = _family("window_bytes", "Bytes read and not settled.", "inlet")
        held = _family("inlet_held", "1 while the inlet only probes.", "inlet", "reason")
        for entry in status.get("inlets", []):
            name = entry["name"]
            flying.add_metric([name], entry["in_flight"])
            limit.add_metric([name], entry["in_flight_limit"])
            rate.add_metric(
                [name],
                float("inf") if entry["messages_per_s_limit"] is None else entry["messages_per_s_limit"],
            )
            window.add_metric([name], entry["used_bytes"])
            hold = entry["held"]
            held.add_metric([name, hold["reason"] if hold else "none"], 1 if hold else 0)
            if entry["flooded"]:
                held.add_metric([name, "flood guard"], 1)
        yield from (flying, limit, rate, window, held)
        tokens = _family("token_age_seconds", "Seconds since the access token was got.", "inlet")
        for name, seconds in self._tokens().items():
            tokens.add_metric([name], seconds)
        yield tokens


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"aep_bridge_{name}", text, labels=labels)


def _single(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"aep_bridge_{name}", text, value=value)
