"""Reports of Kafka's client other than records and rebalances, passed on to metrics, log, topic monitor and
engine.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from bridge.config.settings import Settings
from bridge.engine.engine import Engine
from bridge.kafka.consumer_callbacks import ConsumerCallbacks
from bridge.kafka.statistics import parse_statistics
from bridge.kafka.topic_monitor import TopicMonitor
from bridge.model import TopicPartition
from bridge.ops.telemetry import Telemetry

log = structlog.get_logger("bridge")


class ConsumerEvents:
    """Makes the consumer's callbacks. They are called on the engine's thread, and none of them raises."""

    def __init__(
        self, settings: Settings, telemetry: Telemetry, topics: TopicMonitor, engine: Engine
    ) -> None:
        self._settings, self._telemetry, self._topics, self._engine = settings, telemetry, topics, engine

    def callbacks(self) -> ConsumerCallbacks:
        """Return a callback for each kind of report."""
        telemetry = self._telemetry
        return ConsumerCallbacks(
            on_commit=lambda error, offsets: telemetry.offsets_committed(
                None if error is None else error.str(), offsets
            ),
            on_error=lambda error: telemetry.kafka_error(error.str()),
            on_statistics=self._on_statistics,
            on_offset_reset=lambda partition, gone, next_offset: telemetry.possible_loss(
                partition.topic, f"{partition}: offset {gone} is gone, reading goes on at {next_offset}"
            ),
            on_partitions_ignored=self._on_partitions_ignored,
            on_store_refused=telemetry.offsets_not_stored,
            on_headers_renamed=telemetry.headers_renamed,
            on_callback_failure=lambda name, error: log.error(
                "callback.failed", callback=name, error=repr(error)
            ),
        )

    def is_ignored(self, topic: str) -> bool:
        """Return whether a topic's partitions are not read, although the group assigns them to this member.

        These are dead-letter topics, and topics that no entry of the mapping matches: Kafka's client reads
        regexes in its own way. A topic that only the client matches must not end the process, because it
        would end again after every restart.
        """
        settings = self._settings
        return settings.is_dead_letter_topic(topic) or settings.entry_for(topic) is None

    def _on_statistics(self, text: str) -> None:
        statistics = parse_statistics(text)
        if statistics is None:
            return
        self._topics.update_fetched_ends(statistics.end_offsets)
        if statistics.group_is_steady:
            self._engine.note_joined()

    def _on_partitions_ignored(self, partitions: Sequence[TopicPartition]) -> None:
        topics = {partition.topic for partition in partitions}
        unmatched = {topic for topic in topics if not self._settings.is_dead_letter_topic(topic)}
        if dead_letter_topics := topics - unmatched:
            log.info(
                "dead_letter.partitions_ignored",
                topics=sorted(dead_letter_topics),
                partitions=sum(partition.topic in dead_letter_topics for partition in partitions),
            )
        if unmatched:
            log.error(
                "topics.unmatched",
                topics=sorted(unmatched),
                partitions=sum(partition.topic in unmatched for partition in partitions),
                error="Kafka's client matches these topics with a regex of the mapping, "
                "and no entry of the mapping matches them",
                next_step="they are not read; simplify the regex, or name the topics one by one",
            )
