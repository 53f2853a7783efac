"""Runs a replay: to AEP through the engine that `run` uses, or back to the source topics.

It stops at the plan's bounds or when it is asked to, with nothing lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bridge.app.service import Service
from bridge.config.settings import PARKED, Settings
from bridge.kafka.acknowledged_producer import AcknowledgedProducer
from bridge.kafka.reader import TopicReader
from bridge.kafka.topics import TopicAdmin
from bridge.model import Record, TopicPartition
from bridge.ports import RebalanceListener
from bridge.replay.lock import CannotStart, acquire_lock, replay_group
from bridge.replay.marks import MarkWriter, ReplayMarks
from bridge.replay.patch import Patch
from bridge.replay.plan import Plan
from bridge.replay.progress import ReplayProgress
from bridge.replay.source import ReplaySource

COMMIT_S = 10.0
"""How long a replay to the source topics waits at its end until the client has committed."""


class _StatelessListener:
    """A listener for a replay to the source topics, where everything read is settled before the next read."""

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        return ()

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        pass

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        pass


class Replay:
    """One run of a plan. Call `run` once; `stop` from any thread or signal handler."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        *,
        to_source: bool = False,
        patch: Patch | None = None,
        rate: float = 0,
        parking_topic: str = "",
    ) -> None:
        """Without `parking_topic`, each dead-letter topic has one of its own. Raises `PropertiesRefused`."""
        self._settings, self._plan = settings, plan
        self._to_source, self._patch, self._rate = to_source, patch, rate
        self._parking_topic = parking_topic
        self.progress = ReplayProgress()
        self._producer = AcknowledgedProducer(settings.producer_properties())
        self._stop = threading.Event()
        self._service: Service | None = None

    def stop(self) -> None:
        """Read no more, settle what is under way, commit, and end."""
        self._stop.set()
        if self._service is not None:
            self._service.engine.stop()

    def run(self) -> dict[TopicPartition, int]:
        """Deliver until everything within the bounds is settled, or `stop`. Return where each partition
        stands.

        Raises `CannotStart` if another replay runs, `Fatal`, `NotAcknowledged`, `TopicError`,
        `Unreachable`.
        """
        plan = self._plan
        if not plan.to_send and not plan.to_park:
            self.progress.finish()
            return plan.starts()
        marks = MarkWriter(self._settings, "source" if self._to_source else "aep")
        acquire_lock(self._settings, plan.starts(), self._stop, self.progress.wait_for)
        self.progress.wait_for("")
        if self._stop.is_set():
            return plan.starts()
        self._check_marks_are_unchanged()
        topics = TopicAdmin(self._settings.admin_properties())
        for topic in plan.topics_with_parked():
            topics.ensure_dead_letter_topic(topic, self._parking_topic_of(topic), create=True)
        try:
            return self._copy_to_source(marks) if self._to_source else self._deliver_to_aep(marks)
        finally:
            marks.flush()

    def _check_marks_are_unchanged(self) -> None:
        """Raise `CannotStart` if another replay wrote marks since the plan was made:
        they may be of our letters.
        """
        reader = TopicReader(self._settings.consumer_properties())
        try:
            end = ReplayMarks.current_end(self._settings, reader)
        finally:
            reader.close()
        if end != self._plan.marks_end:
            raise CannotStart(
                "another replay has sent dead letters since this one was planned; give the same command again"
            )

    def _parking_topic_of(self, dead_letter_topic: str) -> str:
        return self._parking_topic or f"{dead_letter_topic}{PARKED}"

    def _source(self, listener: RebalanceListener, marks: MarkWriter) -> ReplaySource:
        properties = {
            **self._settings.consumer_properties(),
            "group.id": replay_group(self._settings),
            "auto.offset.reset": "earliest",
        }
        return ReplaySource(
            properties,
            self._plan,
            listener,
            default_topic=self._default_topic(),
            patch=self._patch,
            rate=self._rate,
            park=self._park,
            on_settled=marks.put,
        )

    def _default_topic(self) -> str:
        """Return a topic that the mapping has a route for."""
        for entry in self._settings.topics:
            if not entry.is_regex:
                return entry.topic
        # The mapping has regexes only. One of them matches what the dead-letter topic is named after.
        first = next(iter(self._plan.bounds.end))
        return first.topic.removesuffix(".dlq")

    # -- copying -------------------------------------------------------------------------

    def _park(self, records: Sequence[Record]) -> None:
        self._copy(records, lambda record: self._parking_topic_of(record.topic()))
        self.progress.records_parked(len(records))

    def _copy(self, records: Sequence[Record], topic_of: Callable[[Record], str]) -> None:
        """Produce records as they are, and wait until the brokers have acknowledged them.

        Raises `NotAcknowledged`.
        """
        for record in records:
            self._producer.put(topic_of(record), record.value(), record.key(), record.headers() or ())
        self._producer.flush()

    def _copy_to_source(self, marks: MarkWriter) -> dict[TopicPartition, int]:
        source = self._source(_StatelessListener(), marks)
        try:
            while not source.finished and not self._stop.is_set():
                for part in source.read(500, 0.1):
                    self._copy(part.records, lambda record: record.topic())
                    self.progress.records_copied(len(part.records))
                    source.store({part.partition: part.next_offset})
            if source.finished:
                self.progress.finish()
            deadline = time.monotonic() + COMMIT_S
            while source.uncommitted() and time.monotonic() < deadline:
                source.read(
                    1, 0.05
                )  # the client commits what is stored; what it reads here is not copied any more
        finally:
            source.close()
        return source.position()

    # -- delivering ----------------------------------------------------------------------

    def _deliver_to_aep(self, marks: MarkWriter) -> dict[TopicPartition, int]:
        # The service wants an admin port. It never serves here, so any free one does.
        admin = self._settings.admin.model_copy(update={"host": "127.0.0.1", "port": 0, "token_file": None})
        settings = self._settings.model_copy(update={"admin": admin})
        service = self._service = Service(settings, observers=[self.progress])
        source = self._source(service.engine, marks)
        watcher = threading.Thread(target=self._watch, args=(service, source), name="replay-end", daemon=True)
        watcher.start()
        try:
            service.engine.run(source)
            if source.finished:
                self.progress.finish()
        finally:
            self._stop.set()
            service.close(5)
        return source.position()

    def _watch(self, service: Service, source: ReplaySource) -> None:
        """Stop the engine once all is settled, and say meanwhile what it waits for."""
        while not self._stop.wait(0.1):
            self.progress.wait_for(_first_wait(service.engine.status))
            if source.finished:
                service.engine.stop()
                return


def _first_wait(status: Mapping[str, Any]) -> str:
    """Return why an inlet is held, or else why a batch waits; empty if neither is so."""
    for inlet in status.get("inlets", []):
        if held := inlet["held"]:
            return f"held: {held['reason']}, next try in {held['next_try_s']:.0f} s"
    for wait in status.get("waits", []):
        return f"{wait['reason']}, next try in {wait['next_try_s']:.0f} s"
    return ""
