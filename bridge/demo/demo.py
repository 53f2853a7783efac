"""The demo: an in-process Kafka, a local AEP, sample events with bad ones among them, and the same service that `run` runs."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from confluent_kafka import Consumer, Producer, TopicPartition

from bridge.app.service import Service
from bridge.config.settings import Settings
from bridge.demo.mock_cluster import MockCluster
from bridge.demo.samples import PROFILE_DATASET, PROFILE_SCHEMA, Sample, samples
from bridge.simulator import Config, Rule, Simulator

TOPICS = ("web-events", "profiles")
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Buried:
    """A dead letter as it was found in its topic."""

    topic: str
    key: str
    headers: tuple[tuple[str, str], ...]
    """All of them, in order: the record's own, then ours."""

    def header(self, name: str) -> str:
        """The last of a name; empty where there is none."""
        return next((value for each, value in reversed(self.headers) if each == name), "")

    @property
    def error(self) -> str:
        """What was wrong."""
        return self.header("aep.error")

    @property
    def kind(self) -> str:
        """The error without what differs between records of the same fault."""
        return re.sub(r"\d[\d,]*\d", "…", re.sub(r"\[[^\]]*\]", "[…]", self.error), count=1)


@dataclass(slots=True)
class Report:
    """What the demo saw, each number counted where it happened: at the producer, in the local AEP, in the dead-letter topics."""

    produced: int = 0
    accepted: int = 0
    """Different events in AEP."""
    duplicates: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    dead: list[Buried] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrongly_dead: list[str] = field(default_factory=list)
    retried: int = 0
    seconds: float = 0.0

    def first_of_each_kind(self) -> list[Buried]:
        """The first dead letter of each kind, by key."""
        return sorted(
            {letter.kind: letter for letter in reversed(self.dead)}.values(), key=lambda letter: letter.key
        )


class Demo:
    """Runs once. `progress` may be read from another thread meanwhile."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.produced = 0
        self.phase = "starting"
        self.service: Service | None = None
        self.sim: Simulator | None = None

    def progress(self) -> tuple[int, int, str]:
        """Produced, settled, and what is happening."""
        settled = 0
        if self.sim is not None and self.service is not None:
            settled = len(self.sim.accepted) + int(_total(self.service, "records_dead_lettered"))
        return self.produced, settled, self.phase

    def run(self) -> Report:
        """Produces, delivers, breaks AEP on the way, drains, and accounts for every event by its id."""
        started = time.monotonic()
        letters = {f"{topic}.dlq": 4 for topic in TOPICS}
        org = Config().org
        with (
            MockCluster(topics=dict.fromkeys(TOPICS, 4) | letters) as kafka,
            Simulator(Config(latency_ms=15)) as sim,
        ):
            self.sim = sim
            service = self.service = Service(_settings(kafka.bootstrap, sim))
            sent = list(samples(self.events, org=org))
            producing = threading.Thread(target=self._produce, args=(kafka.bootstrap, sent), daemon=True)
            trouble = threading.Thread(target=self._trouble, args=(sim,), daemon=True)
            with _running(service):
                producing.start()
                trouble.start()
                deadline = started + TIMEOUT_S
                while self.progress()[1] < len(sent) and time.monotonic() < deadline:
                    time.sleep(0.02)
                self.phase = "draining"
            report = self._account(kafka.bootstrap, sent, sim, service)
        report.seconds = time.monotonic() - started
        return report

    def _produce(self, bootstrap: str, sent: list[Sample]) -> None:
        producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 2_000_000, "linger.ms": 5})
        for at, sample in enumerate(sent):
            producer.produce(sample.topic, sample.value, key=sample.id, headers=[("sample", b"1")])
            self.produced = at + 1
            if at % 100 == 99:
                producer.poll(0)
                time.sleep(0.05)  # spread over some two seconds, so that the trouble meets traffic
        producer.flush(30)

    def _trouble(self, sim: Simulator) -> None:
        """A quota reached, then an outage, each for a moment, with traffic under way."""
        for share, what, rule in (
            (0.2, "AEP answers 429: slow down", Rule(action="status", status=429, times=3, retry_after_s=1)),
            (0.5, "AEP is down", Rule(action="status", status=503, seconds=1.0)),
        ):
            while len(sim.accepted) < share * self.events:
                time.sleep(0.01)
            self.phase = what
            sim.fault(rule)
            time.sleep(1.2)
            self.phase = "delivering"

    def _account(self, bootstrap: str, sent: list[Sample], sim: Simulator, service: Service) -> Report:
        report = Report(
            produced=len(sent),
            accepted=len(sim.accepted),
            duplicates=sum(count - 1 for count in sim.accepted.values()),
        )
        report.requests = Counter({str(status): count for status, count in sim.stats["requests"].items()})
        report.dead = list(_letters(bootstrap))
        report.retried = int(_total(service, "retries"))
        dead = {letter.key for letter in report.dead}
        report.lost = [
            sample.id for sample in sent if sample.id not in sim.accepted and sample.id not in dead
        ]
        report.wrongly_dead = [sample.id for sample in sent if sample.bad is None and sample.id in dead]
        return report


@contextmanager
def _running(service: Service) -> Iterator[None]:
    """The service in a thread of its own, drained at the end."""
    thread = threading.Thread(target=service.run, kwargs={"signals": False}, name="service", daemon=True)
    thread.start()
    try:
        yield
    finally:
        service.pump.stop()
        thread.join(TIMEOUT_S)


def _settings(bootstrap: str, sim: Simulator) -> Settings:
    return Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": bootstrap, "group_id": "demo"},
            "aep": {"inlet_url": sim.inlet_url, "ims_org_id": sim.config.org},
            "topics": [
                {"topic": "web-events"},
                {
                    "topic": "profiles",
                    "format": "entity",
                    "dataset_id": PROFILE_DATASET,
                    "schema_id": PROFILE_SCHEMA,
                },
            ],
            "batch": {"max_messages": 100, "linger_ms": 100},
            "admin": {"host": "127.0.0.1", "port": 0},
        }
    )


def _total(service: Service, name: str) -> float:
    """The sum of one of the service's counters over its labels."""
    return sum(
        sample.value
        for family in service.telemetry.registry.collect()
        if family.name == f"aep_bridge_{name}"
        for sample in family.samples
        if sample.name.endswith("_total")
    )


def _letters(bootstrap: str) -> Iterator[Buried]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "demo-reader",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 3_000_000,
        }
    )
    ends: dict[tuple[str, int], int] = {}
    for topic in TOPICS:
        for partition in range(4):
            _, high = consumer.get_watermark_offsets(TopicPartition(f"{topic}.dlq", partition), timeout=10)
            ends[f"{topic}.dlq", partition] = high
    left = sum(ends.values())
    consumer.assign(
        [TopicPartition(topic, partition, 0) for (topic, partition), high in ends.items() if high]
    )
    deadline = time.monotonic() + 15
    while left and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        left -= 1
        named = cast("list[tuple[str, bytes | None]]", message.headers() or [])
        headers = tuple((name, (value or b"").decode("utf-8", "replace")) for name, value in named)
        yield Buried(str(message.topic()), cast("bytes", message.key()).decode(), headers)
    consumer.close()


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    errors = Counter(letter.error for letter in report.dead)
    return {
        "produced": report.produced,
        "accepted": report.accepted,
        "dead_lettered": len(report.dead),
        "dead_lettered_by_error": dict(errors),
        "first_dead_letters": [
            {"topic": each.topic, "key": each.key, "headers": [list(pair) for pair in each.headers]}
            for each in report.first_of_each_kind()
        ],
        "retried": report.retried,
        "duplicates": report.duplicates,
        "lost": len(report.lost),
        "wrongly_dead_lettered": len(report.wrongly_dead),
        "requests": dict(report.requests),
        "seconds": round(report.seconds, 1),
    }
