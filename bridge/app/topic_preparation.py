"""An observer that has the dead-letter topics of newly assigned partitions checked."""

from __future__ import annotations

from bridge.engine import events
from bridge.engine.events import Observer
from bridge.kafka.topic_monitor import TopicMonitor


class TopicPreparation(Observer):
    """Asks the topic monitor to check these topics, and to create them where they are missing."""

    def __init__(self, topics: TopicMonitor) -> None:
        self._topics = topics

    def partitions_assigned(self, event: events.PartitionsAssigned) -> None:
        self._topics.request_checks(partition.topic for partition in event.partitions)
