"""Metrics and logs of one process: what the engine reports, and what Kafka's client and the tokens report
beside it.
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
    """Holds the metrics and the log. `observers` is what the engine is given."""

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
        """Add the gauges, which ask for the snapshot, the end offsets and the tokens' ages at each scrape."""
        self.registry.register(Gauges(status, ends, token_ages, self.commit_age))

    def memory_ceiling(self, size: int, text: str) -> None:
        """Publish and log what the settings allow, in bytes, and what it is made of."""
        self.metrics.set_memory_ceiling(size)
        log.info("memory.ceiling", bytes=size, made_of=text)

    def commit_age(self) -> float:
        """Return the seconds that the oldest stored offset has waited for its commit. Any thread."""
        return self._commits.seconds()

    # -- hooks of the engine ----------------------------------------------------------

    def offsets_stored(self, event: events.OffsetsStored) -> None:
        self._commits.stored(event.offsets)

    def partitions_revoked(self, event: events.PartitionsRevoked) -> None:
        self._commits.forget(event.partitions)

    # -- what Kafka's client and the tokens report ------------------------------------

    def token_refresh_failed(self, inlet: str, error: str) -> None:
        """No access token could be got."""
        self.metrics.count("token_refresh_failures", inlet)
        log.error("token.refresh_failed", inlet=inlet, error=error)

    def committed(self, error: str | None, offsets: Mapping[TopicPartition, int]) -> None:
        """The client committed these offsets, and failed to commit others if there is an error."""
        self._commits.committed(offsets)
        if error is not None:
            self.metrics.count("commit_failures")
            log.error("commit.failed", error=error)

    def refused(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Offsets were not stored: their partitions went to another member, which reads on from the
        commit.
        """
        if (suppressed := self._throttle.suppressed("refused")) is not None:
            by_name = {str(partition): offset for partition, offset in offsets.items()}
            log.warning("offsets.not_stored", offsets=by_name, suppressed=suppressed)

    def possible_loss(self, topic: str, detail: str) -> None:
        """A committed offset was out of range."""
        self.metrics.count("possible_loss", topic)
        log.error(
            "offset.out_of_range",
            topic=topic,
            detail=detail,
            next_step="records may have expired before they were read (compare retention with the lag), "
            "or the topic was truncated or created again",
        )

    def unreadable_headers(self, partition: TopicPartition, offsets: Sequence[int]) -> None:
        """The records at these offsets have a header whose name is not UTF-8, and was replaced."""
        if (suppressed := self._throttle.suppressed("headers", partition.topic)) is not None:
            log.warning(
                "record.header_renamed",
                partition=str(partition),
                offsets=list(offsets[:10]),
                records=len(offsets),
                suppressed=suppressed,
            )

    def kafka_error(self, error: str) -> None:
        """The client reports trouble that it deals with itself."""
        if (suppressed := self._throttle.suppressed("kafka", error[:60])) is not None:
            log.warning("kafka.error", error=explain(error), suppressed=suppressed)
