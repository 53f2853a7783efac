"""The metrics and the log of one process: events of the engine, and reports of Kafka's client and of the
token sources.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from bridge.engine import events
from bridge.engine.events import Observer
from bridge.kafka.errors import explain
from bridge.model import TopicPartition
from bridge.ops.commit_age import CommitAge
from bridge.ops.event_log import EventLog
from bridge.ops.gauges import Gauges
from bridge.ops.metrics import Metrics
from bridge.ops.throttle import Throttle

log = structlog.get_logger("bridge")


class Telemetry(Observer):
    """Holds the metrics and the log. Pass `observers` to the engine."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.metrics = Metrics()
        self.registry = self.metrics.registry
        self.observers: tuple[Observer, ...] = (self.metrics, EventLog(clock), self)
        self._commits = CommitAge(clock)
        self._throttle = Throttle(clock)

    def watch(
        self,
        status: Callable[[], Mapping[str, Any]],
        ends: Callable[[], Mapping[TopicPartition, int]],
        token_ages: Callable[[], Mapping[str, float]],
    ) -> None:
        """Add the gauges. They call these functions, and `commit_age`, at each scrape."""
        self.registry.register(Gauges(status, ends, token_ages, self.commit_age))

    def memory_ceiling(self, size: int, text: str) -> None:
        """Publish and log the memory that the settings allow, in bytes, and the parts that it consists of."""
        self.metrics.set_memory_ceiling(size)
        log.info("memory.ceiling", bytes=size, made_of=text)

    def commit_age(self) -> float:
        """Return the seconds that the oldest stored offset has waited for its commit.

        Any thread may call this.
        """
        return self._commits.seconds()

    # -- hooks of the engine ----------------------------------------------------------

    def offsets_stored(self, event: events.OffsetsStored) -> None:
        self._commits.stored(event.offsets)

    def partitions_revoked(self, event: events.PartitionsRevoked) -> None:
        self._commits.forget(event.partitions)

    # -- reports of Kafka's client and of the token sources -----------------------------

    def token_refresh_failed(self, inlet: str, error: str) -> None:
        """Count and log that no access token could be fetched."""
        self.metrics.count("token_refresh_failures", inlet)
        log.error("token.refresh_failed", inlet=inlet, error=error)

    def offsets_committed(self, error: str | None, offsets: Mapping[TopicPartition, int]) -> None:
        """Note what the client committed. If there is an error, it failed to commit other offsets."""
        self._commits.committed(offsets)
        if error is not None:
            self.metrics.count("commit_failures")
            log.error("commit.failed", error=error)

    def offsets_not_stored(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Log offsets that the client did not store, because their partitions went to another member.

        That member reads from the last commit.
        """
        if (suppressed := self._throttle.suppressed("not stored")) is not None:
            by_name = {str(partition): offset for partition, offset in offsets.items()}
            log.warning("offsets.not_stored", offsets=by_name, suppressed=suppressed)

    def possible_loss(self, topic: str, detail: str) -> None:
        """Count and log that a committed offset was out of range."""
        self.metrics.count("possible_loss", topic)
        log.error(
            "offset.out_of_range",
            topic=topic,
            detail=detail,
            next_step="records may have expired before they were read (compare retention with the lag), "
            "or the topic was truncated or created again",
        )

    def headers_renamed(self, partition: TopicPartition, offsets: Sequence[int]) -> None:
        """Log that the records at these offsets have a header whose name is not UTF-8 and was replaced."""
        if (suppressed := self._throttle.suppressed("headers", partition.topic)) is not None:
            log.warning(
                "record.header_renamed",
                partition=str(partition),
                offsets=list(offsets[:10]),
                records=len(offsets),
                suppressed=suppressed,
            )

    def kafka_error(self, error: str) -> None:
        """Log an error that the client reports and handles itself."""
        if (suppressed := self._throttle.suppressed("kafka", error[:60])) is not None:
            log.warning("kafka.error", error=explain(error), suppressed=suppressed)
