"""Log lines for the engine's events: a name, fields, and a `next_step` where there is something to do or to
expect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from bridge.engine import events
from bridge.engine.events import Observer
from bridge.model import TopicPartition
from bridge.ops.metrics import status_label
from bridge.ops.throttle import Throttle

log = structlog.get_logger("bridge")

DETAIL_CHARACTERS = 300
"""Longer error texts are cut in the log. A dead letter has up to 8 KiB of its error."""


class EventLog(Observer):
    """Logs the engine's events; of a kind that can come many times a second, one line a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._throttle = Throttle(clock)

    # -- records ------------------------------------------------------------------

    def records_too_large_for_profile(self, event: events.RecordsTooLargeForProfile) -> None:
        if (suppressed := self._throttle.suppressed("oversize", event.topic)) is not None:
            log.warning(
                "record.oversize_for_profile",
                topic=event.topic,
                records=event.records,
                suppressed=suppressed,
                next_step="Profile drops events above 10 kB after a 207: make them smaller, "
                "or keep them out of Profile",
            )

    def dead_letter_published(self, event: events.DeadLetterPublished) -> None:
        letter = event.dead_letter
        record, refusal = letter.record, letter.refusal
        suppressed = self._throttle.suppressed("dead letter", record.topic(), refusal.reason)
        if suppressed is not None:
            log.warning(
                "record.dead_lettered",
                topic=record.topic(),
                partition=record.partition(),
                offset=record.offset(),
                dead_letter_topic=letter.topic,
                reason=refusal.reason.value,
                status=refusal.status,
                error=refusal.error[:DETAIL_CHARACTERS],
                suppressed=suppressed,
            )

    def dead_letters_failed(self, event: events.DeadLettersFailed) -> None:
        for topic in sorted(event.topics):
            log.error(
                "dead_letter.publish_failed",
                topic=topic,
                error=event.error,
                next_step="make the topic writable; the bridge tries again, "
                "and commits nothing past these records until then",
            )

    # -- requests -----------------------------------------------------------------

    def response_received(self, event: events.ResponseReceived) -> None:
        response = event.response
        if response.fault is None:
            return
        reason = status_label(response)
        if (suppressed := self._throttle.suppressed("request", event.inlet, reason)) is not None:
            log.warning(
                "request.failed",
                inlet=event.inlet,
                reason=reason,
                error=response.error,
                seconds=round(event.seconds, 3),
                suppressed=suppressed,
            )

    def batch_waits(self, event: events.BatchWaits) -> None:
        if (suppressed := self._throttle.suppressed("waits", event.inlet, event.reason)) is not None:
            log.warning(
                "batch.waits",
                inlet=event.inlet,
                batch=event.batch,
                records=event.records,
                first=event.first,
                reason=event.reason,
                detail=event.detail[:DETAIL_CHARACTERS],
                next_try_s=round(event.seconds, 3),
                suppressed=suppressed,
            )

    def inlet_held(self, event: events.InletHeld) -> None:
        log.error("inlet.held", **_hold_fields(event))

    def probe_failed(self, event: events.ProbeFailed) -> None:
        log.error("inlet.probe_failed", **_hold_fields(event))

    def inlet_released(self, event: events.InletReleased) -> None:
        log.info("inlet.released", inlet=event.inlet, reason=event.reason, held_for_s=round(event.held_s, 3))

    def flood_guard_stopped(self, event: events.FloodGuardStopped) -> None:
        log.error(
            "inlet.flood_guard_triggered",
            inlet=event.inlet,
            dataset=event.key,
            next_step="none of many records in a row was accepted (dead_letter.flood_guard sets how many): "
            "look at the records, the schema, the dataset and the organisation",
        )

    # -- the group ------------------------------------------------------------------

    def partitions_assigned(self, event: events.PartitionsAssigned) -> None:
        log.info("partition.assigned", partitions=_partition_names(event.partitions))

    def partitions_revoked(self, event: events.PartitionsRevoked) -> None:
        write = log.warning if event.lost or event.open_requests else log.info
        write(
            "partition.lost" if event.lost else "partition.revoked",
            partitions=_partition_names(event.partitions),
            seconds=round(event.seconds, 3),
            open_requests=event.open_requests,
        )

    def partition_rewound(self, event: events.PartitionRewound) -> None:
        log.error(
            "partition.rewound",
            partition=str(event.partition),
            expected_offset=event.expected_offset,
            offset=event.offset,
            unsettled_records=event.unsettled,
            next_step="the topic was truncated or created again; records that were read before are still "
            "delivered, and those that were not read are gone",
        )

    def partitions_paused(self, event: events.PartitionsPaused) -> None:
        log.info("partition.paused", partitions=_partition_names(event.partitions), reason=event.reason)

    def partitions_resumed(self, event: events.PartitionsResumed) -> None:
        log.info("partition.resumed", partitions=_partition_names(event.partitions))

    def drain_started(self, event: events.DrainStarted) -> None:
        log.info("drain.started", unsettled_records=event.records, deadline_s=event.timeout_s)

    def drain_finished(self, event: events.DrainFinished) -> None:
        write = log.warning if event.abandoned else log.info
        write("drain.finished", abandoned_records=event.abandoned, seconds=round(event.seconds, 3))


def _hold_fields(event: events.InletHeld | events.ProbeFailed) -> dict[str, object]:
    return {
        "inlet": event.inlet,
        "reason": event.reason,
        "detail": event.detail[:DETAIL_CHARACTERS],
        "next_try_s": round(event.next_try_s, 3),
    }


def _partition_names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [str(partition) for partition in partitions]
