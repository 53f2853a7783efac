"""The demo: sample events, bad ones among them, through the service that `run`
runs, with trouble on the way.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bridge.app.service import Service
from bridge.config.settings import Settings
from bridge.demo.mock_cluster import MockCluster
from bridge.demo.report import DemoDeadLetter, Report
from bridge.demo.samples import PROFILE_DATASET, PROFILE_SCHEMA, Sample, samples
from bridge.engine import events
from bridge.engine.events import Observer
from bridge.kafka.acknowledged_producer import AcknowledgedProducer
from bridge.kafka.reader import TopicReader
from bridge.simulator import Config, Rule, Simulator

TOPICS = ("web-events", "profiles")
PARTITIONS = 4
TIMEOUT_S = 60.0
_READ_S = 15.0
_MAX_RECORD_BYTES = 3_000_000
"""The sample that is too large for AEP has 1.1 MB."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A fault of the local AEP, for a moment, once a share of the events was accepted."""

    share: float
    phase: str
    rule: Rule


_TROUBLES = (
    _Trouble(
        0.2,
        "AEP answers 429: slow down",
        Rule(action="status", status=429, times=3, retry_after_s=1),
    ),
    _Trouble(0.5, "AEP is down", Rule(action="status", status=503, seconds=1.0)),
)
_TROUBLE_S = 1.2


class _Counts(Observer):
    """Counts what the engine reports. The engine's thread changes it; any thread may read it."""

    def __init__(self) -> None:
        self.dead_letters = 0
        self.waits = 0

    def dead_letter_published(self, event: events.DeadLetterPublished) -> None:
        self.dead_letters += 1

    def batch_waits(self, event: events.BatchWaits) -> None:
        self.waits += 1


class Demo:
    """Call `run` once. Other threads may read `settled` and `phase` meanwhile."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.phase = "starting"
        """What is happening, for the progress bar."""
        self._counts = _Counts()
        self._aep: Simulator | None = None

    @property
    def settled(self) -> int:
        """Events that are in AEP or in a dead-letter topic."""
        return 0 if self._aep is None else len(self._aep.accepted) + self._counts.dead_letters

    def run(self) -> Report:
        """Produce, deliver, break AEP on the way, drain, and account for every event by its id."""
        started = time.monotonic()
        topics = [*TOPICS, *map(_dead_letter_topic, TOPICS)]
        with (
            MockCluster(topics=dict.fromkeys(topics, PARTITIONS)) as kafka,
            Simulator(Config(latency_ms=15)) as aep,
        ):
            self._aep = aep
            sent = list(samples(self.events, org=aep.config.org))
            service = Service(_settings(kafka.bootstrap, aep), observers=[self._counts])
            producing = threading.Thread(target=_produce, args=(kafka.bootstrap, sent), daemon=True)
            breaking = threading.Thread(target=self._break, args=(aep,), daemon=True)
            with _running(service):
                producing.start()
                breaking.start()
                deadline = started + TIMEOUT_S
                while self.settled < len(sent) and time.monotonic() < deadline:
                    time.sleep(0.02)
                self.phase = "draining"
            report = self._account(kafka.bootstrap, sent, aep)
        return replace(report, seconds=time.monotonic() - started)

    def _break(self, aep: Simulator) -> None:
        """Reach a quota, then have an outage, with traffic under way."""
        for trouble in _TROUBLES:
            while len(aep.accepted) < trouble.share * self.events:
                time.sleep(0.01)
            self.phase = trouble.phase
            aep.fault(trouble.rule)
            time.sleep(_TROUBLE_S)
            self.phase = "delivering"

    def _account(self, bootstrap: str, sent: Sequence[Sample], aep: Simulator) -> Report:
        dead_letters = _read_dead_letters(bootstrap)
        dead = {letter.key for letter in dead_letters}
        return Report(
            produced=len(sent),
            accepted=len(aep.accepted),
            duplicates=sum(count - 1 for count in aep.accepted.values()),
            requests=Counter({str(status): count for status, count in aep.stats["requests"].items()}),
            dead_letters=dead_letters,
            lost=[sample.id for sample in sent if sample.id not in aep.accepted and sample.id not in dead],
            wrongly_dead_lettered=[
                sample.id for sample in sent if sample.fault is None and sample.id in dead
            ],
            retries=self._counts.waits,
        )


def _dead_letter_topic(topic: str) -> str:
    return f"{topic}.dlq"


def _settings(bootstrap: str, aep: Simulator) -> Settings:
    profiles = {
        "topic": "profiles",
        "format": "entity",
        "dataset_id": PROFILE_DATASET,
        "schema_id": PROFILE_SCHEMA,
    }
    return Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": bootstrap, "group_id": "demo"},
            "aep": {"inlet_url": aep.inlet_url, "ims_org_id": aep.config.org},
            "topics": [{"topic": "web-events"}, profiles],
            "batch": {"max_messages": 100, "linger_ms": 100},
            "admin": {"host": "127.0.0.1", "port": 0},
        }
    )


@contextmanager
def _running(service: Service) -> Iterator[None]:
    """Run the service in a thread of its own, and drain it at the end."""
    thread = threading.Thread(target=service.run, kwargs={"signals": False}, name="service", daemon=True)
    thread.start()
    try:
        yield
    finally:
        service.engine.stop()
        thread.join(TIMEOUT_S)


def _produce(bootstrap: str, sent: Sequence[Sample]) -> None:
    producer = AcknowledgedProducer({"bootstrap.servers": bootstrap})
    for number, sample in enumerate(sent, 1):
        producer.put(sample.topic, sample.value, sample.id.encode(), [("sample", b"1")])
        if number % 100 == 0:
            producer.poll()
            time.sleep(0.05)  # spread over some two seconds, so that the trouble meets traffic
    producer.flush()


def _read_dead_letters(bootstrap: str) -> list[DemoDeadLetter]:
    properties = {
        "bootstrap.servers": bootstrap,
        "group.id": "demo-reader",
        "fetch.message.max.bytes": _MAX_RECORD_BYTES,
    }
    reader = TopicReader(properties, _READ_S)
    try:
        bounds = reader.bounds(dict.fromkeys(map(_dead_letter_topic, TOPICS), PARTITIONS))
        return [DemoDeadLetter.of(record) for record in reader.records(bounds)]
    finally:
        reader.close()
