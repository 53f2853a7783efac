"""Runs a replay: to AEP through the engine that `run` uses, or back to the source topics. Stops at the bounds, or when asked, with nothing lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.app.service import Service
from bridge.config.settings import Settings
from bridge.engine import events
from bridge.engine.events import Observer
from bridge.kafka.topics import TopicAdmin
from bridge.model import Record, TopicPartition
from bridge.replay.lock import Busy, group_of, take
from bridge.replay.marks import ACKNOWLEDGED_S, Marker, NotAcknowledged, Replayed
from bridge.replay.patch import Patch
from bridge.replay.plan import Plan
from bridge.replay.reading import Reader
from bridge.replay.source import ReplaySource


@dataclass(slots=True)
class Progress:
    """How far a replay is. Replaced by nobody, read by any thread."""

    accepted: int = 0
    """By AEP, or by the brokers of the source topic."""
    again: int = 0
    """Dead-lettered once more: at the end of the dead-letter topic, outside this replay's bounds."""
    parked: int = 0
    waits: str = ""
    finished: bool = False

    @property
    def settled(self) -> int:
        """Letters that this run is done with."""
        return self.accepted + self.again + self.parked


class _Settlements(Observer):
    """Counts into the progress what the engine settles."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def records_accepted(self, event: events.RecordsAccepted) -> None:
        self._progress.accepted += sum(event.by_topic.values())

    def dead_letter_published(self, event: events.DeadLetterPublished) -> None:
        self._progress.again += 1


class _Copies:
    """Produces records as they are, and waits for the acknowledgements."""

    def __init__(self, settings: Settings) -> None:
        self._producer = Producer(settings.producer_properties())

    def put(self, records: Iterable[Record], topic_of: Callable[[Record], str]) -> int:
        """Raises `NotAcknowledged`."""
        errors: list[str] = []
        count = 0

        def heard(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                errors.append(f"{message.topic()}: {error.str()}")

        for record in records:
            count += 1
            while True:
                try:
                    self._producer.produce(
                        topic_of(record),
                        record.value(),
                        record.key(),
                        headers=cast("Any", list(record.headers() or ())),
                        on_delivery=heard,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
                except KafkaException as problem:
                    raise NotAcknowledged(problem.args[0].str()) from None
        left = self._producer.flush(ACKNOWLEDGED_S)
        if errors or left:
            raise NotAcknowledged(
                errors[0] if errors else f"{left} records were not acknowledged within {ACKNOWLEDGED_S:.0f} s"
            )
        return count


class _Nobody:
    """A listener with no state: what was read is settled before the next read."""

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        return ()

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        pass

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        pass


class Replay:
    """One run of a plan. `run` once; `stop` from any thread or signal handler."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        *,
        to_source: bool = False,
        patch: Patch | None = None,
        rate: float = 0,
        parking: Callable[[str], str] = "{}.parked".format,
    ) -> None:
        self._settings, self._plan, self._to_source, self._patch, self._rate, self._parking = (
            settings,
            plan,
            to_source,
            patch,
            rate,
            parking,
        )
        self._properties = {
            **settings.consumer_properties(),
            "group.id": group_of(settings),
            "auto.offset.reset": "earliest",
        }
        self.progress = Progress()
        self._copies = _Copies(settings)
        self._stop = threading.Event()
        self._service: Service | None = None

    def stop(self) -> None:
        """Reads no more, settles what is under way, commits, ends."""
        self._stop.set()
        if self._service is not None:
            self._service.pump.stop()

    def run(self) -> dict[TopicPartition, int]:
        """Until everything within the bounds is settled, or `stop`. Returns where each partition stands.

        Raises `Busy` where another replay runs, `Fatal`, `NotAcknowledged`, `TopicError`, `Unreachable`.
        """
        plan = self._plan
        if not plan.sending and not plan.parking:
            self.progress.finished = True
            return plan.starts()
        self._marker = marker = Marker(self._settings, "source" if self._to_source else "aep")
        take(self._settings, plan.starts(), self._stop, self._waits)
        self._waits("")
        if self._stop.is_set():
            return plan.starts()
        self._unchanged()
        topics = TopicAdmin(self._settings.admin_properties())
        for topic in plan.parking_from():
            topics.ensure_dead_letter_topic(topic, self._parking(topic), create=True)
        try:
            return self._back() if self._to_source else self._deliver()
        finally:
            marker.flush()

    def _waits(self, reason: str) -> None:
        self.progress.waits = reason

    def _unchanged(self) -> None:
        """Raises `Busy` where another replay has marked letters since the plan was made: they could be among ours."""
        reader = Reader(self._settings)
        try:
            if Replayed.ends(self._settings, reader) != self._plan.marks_end:
                raise Busy(
                    "another replay has sent letters since this one was planned; give the same command again"
                )
        finally:
            reader.close()

    def _source(self, listener: Any) -> ReplaySource:
        default = next((entry.topic for entry in self._settings.topics if not entry.is_regex), "")
        if (
            not default
        ):  # a regex alone: any name that it reads, which is what the dead-letter topic is called after
            default = next(where.topic.removesuffix(".dlq") for where in self._plan.bounds.end)
        return ReplaySource(
            self._properties, self._plan, listener, default_topic=default, patch=self._patch, rate=self._rate, park=self._park, settled=self._marker.put
        )  # fmt: skip

    def _park(self, records: Sequence[Record]) -> None:
        self._copies.put(records, lambda record: self._parking(record.topic()))
        self.progress.parked += len(records)

    def _back(self) -> dict[TopicPartition, int]:
        source = self._source(_Nobody())
        try:
            while not source.finished and not self._stop.is_set():
                for part in source.read(500, 0.1):
                    self.progress.accepted += self._copies.put(part.records, lambda record: record.topic())
                    source.store({part.partition: part.next_offset})
            self.progress.finished = source.finished
            deadline = time.monotonic() + 10
            while source.uncommitted() and time.monotonic() < deadline:
                source.read(1, 0.05)  # commits what is stored; nothing is taken in any more
        finally:
            source.close()
        return source.position()

    def _deliver(self) -> dict[TopicPartition, int]:
        admin = self._settings.admin.model_copy(update={"host": "127.0.0.1", "port": 0, "token_file": None})
        service = self._service = Service(
            self._settings.model_copy(update={"admin": admin}), observers=[_Settlements(self.progress)]
        )
        progress = self.progress
        source = self._source(service.pump)
        ending = threading.Thread(target=self._watch, args=(service, source), name="replay-end", daemon=True)
        ending.start()
        try:
            service.pump.run(source)
            progress.finished = source.finished
        finally:
            self._stop.set()
            service.dead_letters.close(5)
            service.sender.close()
            service.admin._socket.close()
        return source.position()

    def _watch(self, service: Service, source: ReplaySource) -> None:
        """Stops the engine once all is settled, and keeps the reason why it waits."""
        while not self._stop.wait(0.1):
            status = service.pump.status
            waits = [
                f"{wait['reason']}, next try in {wait['next_try_s']:.0f} s"
                for wait in status.get("waits", [])
            ]
            held = [
                f"held: {inlet['held']['reason']}, next try in {inlet['held']['next_try_s']:.0f} s"
                for inlet in status.get("inlets", [])
                if inlet["held"]
            ]
            self.progress.waits = next(iter(held + waits), "")
            if source.finished:
                service.pump.stop()
                return
