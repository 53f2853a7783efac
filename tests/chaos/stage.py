"""Everything that a campaign runs, put together, and the clean-up after it."""

from __future__ import annotations

import json
import math
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient

import bridge
from bridge.simulator import Config, Simulator
from tests.chaos.ask import ask
from tests.chaos.members import Cluster, Producing, Replica, TimedAccounting
from tests.chaos.network import Network
from tests.support.clients import unique, until

PARTITIONS, REPLICAS = 6, 3
SESSION_S, REQUEST_TIMEOUT_S, DRAIN_S, COMMIT_S = 6.0, 5.0, 10.0, 0.5
IN_FLIGHT, BATCH, UNCOMMITTED = 4, 100, 500
AEP = ("aep",)


@dataclass(slots=True)
class Window:
    """One fault: when it began and was over, and how many copies it may cause. Seconds since the epoch."""

    kind: str
    start: float
    end: float = math.inf
    repeats: int = 0
    """The most copies that it explains; 0 for a fault that must not cause any."""
    detail: dict[str, Any] = field(default_factory=dict)
    copies: int = 0
    """Copies of events that this window explains."""
    letter_copies: int = 0
    """Copies of dead letters that this window explains."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a campaign is. `fault_s` are seconds of a fault that lasts, `outage_s` those of an outage."""

    seed: int
    minutes: float = 0.0
    """How long faults go on; 0 for each kind once."""
    fault_s: float = 5.0
    outage_s: float = 10.0
    per_s: float = 300.0
    size: int = 400
    settle_s: float = 90.0
    """What may pass between the last fault and the last record's settling."""


class Stage:
    """Cluster, gateways, AEP, replicas, producer: running inside the context. One campaign for each stage."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        # What is tested stays the same from the first replica to the last, whoever edits the tree meanwhile.
        shutil.copytree(Path(bridge.__file__).parent, self.folder / "code" / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
        self.rng = random.Random(plan.seed)
        self.topic, self.group = unique("chaos"), unique("group")
        self.dead_letter_topic = f"{self.topic}.dlq"
        self.partitions = PARTITIONS
        self.windows: list[Window] = []
        self.lock = threading.RLock()
        self.replicas: list[Replica] = []
        self.every: list[Replica] = []
        self.wanted = REPLICAS
        self.problems: list[str] = []
        self.commits: dict[int, int] = {}
        self.behind = 0
        """The lag where waiting for its end was given up."""
        self.began = time.time()
        self._timeline = (folder / "timeline.jsonl").open("w")
        self._over = threading.Event()
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            exits.callback(self._timeline.close)
            self.network = exits.enter_context(Network(lambda: {replica.pid for replica in list(self.replicas)}))
            self.kafka = Cluster()
            self.kafka.gateways = {node: self.network.add(f"broker-{node}", self.kafka.port(node)).port for node in range(1, 4)}
            exits.enter_context(self.kafka)
            self._create(self.topic, min_insync_replicas="2")
            self._create(self.dead_letter_topic, min_insync_replicas="2", retention_ms="-1", max_message_bytes=str(2 << 20))
            self.secret = self.folder / "client-secret"
            self.secret.write_text("the-first-secret\n")
            self.sim = Simulator(Config(require_auth=True, client_secrets=["the-first-secret"], latency_ms=20, jitter_ms=20, keep_bytes=False))
            self.accounting = self.sim.accounting = TimedAccounting()
            self.sim.tokens._accounting = self.accounting
            self.sim._build()
            exits.enter_context(self.sim)
            gateway = self.network.add("aep", self.sim.port)
            self.address = f"http://127.0.0.1:{gateway.port}"
            self.producing = Producing(self.kafka.properties(), self.topic, self.sim.config.org, self.plan.per_s, self.plan.size, self.plan.seed)
            exits.callback(self._end_replicas)
            self.scale(REPLICAS)
            for replica in self.replicas:
                until(lambda each=replica: each.ready() or not each.alive, 60, f"{replica.name} is not ready: see {replica.log}")
                assert replica.alive, f"{replica.name} ended at its start:\n{replica.log.read_text()[-3000:]}"
            self.producing.start()
            exits.callback(self.producing.stop)
            exits.callback(self._over.set)
            for work in (self._supervise, self._watch_commits):
                threading.Thread(target=work, name=work.__name__, daemon=True).start()
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _create(self, topic: str, **config: str) -> None:
        """A topic with three replicas; a cluster that has just begun may answer late, and have made it all the same."""
        for _ in range(3):
            with suppress(KafkaException):
                self.kafka.clients.create_topic(topic, PARTITIONS, 3, **config)
                return
            if topic in AdminClient(self.kafka.properties()).list_topics(timeout=10).topics:
                return
        raise RuntimeError(f"{topic} could not be created:\n{self.kafka.tail()}")

    @property
    def brokers(self) -> tuple[str, ...]:
        """The gateways to the brokers."""
        return tuple(f"broker-{node}" for node in range(1, 4))

    @property
    def config(self) -> dict[str, Any]:
        """What every replica is configured with."""
        properties = {
            "session.timeout.ms": int(SESSION_S * 1000),
            "heartbeat.interval.ms": 2000,
            "topic.metadata.refresh.interval.ms": 3000,
            "reconnect.backoff.max.ms": 1000,
        }
        auth = {"token_url": f"{self.address}/ims/token/v3", "client_id": self.sim.config.client_id, "client_secret_file": str(self.secret), "scope": "openid"}
        return {
            "kafka": {"bootstrap_servers": self.kafka.proxied, "group_id": self.group, "properties": properties},
            "aep": {"inlet_url": f"{self.address}/collection/{self.sim.inlet}", "ims_org_id": self.sim.config.org, "auth": auth},
            "topics": [{"topic": self.topic}],
            "batch": {"linger_ms": 100, "max_messages": BATCH},
            "delivery": {
                "max_in_flight": IN_FLIGHT,
                "max_uncommitted_records": UNCOMMITTED,
                "request_timeout_s": REQUEST_TIMEOUT_S,
                "drain_timeout_s": DRAIN_S,
                "revoke_timeout_s": 5,
                "backoff_max_s": 2,
            },
            "logging": {"format": "json"},
        }

    def ask(self, *request: str) -> str:
        """An administrative request to the cluster, past the gateways."""
        return ask(self.kafka.bootstrap(), *request)

    # -- the timeline ---------------------------------------------------------------

    def note(self, event: str, **fields: Any) -> None:
        """One line of the timeline."""
        with self.lock:
            entry = {"at_s": round(time.time() - self.began, 2), "event": event, **fields}
            self._timeline.write(json.dumps(entry) + "\n")
            self._timeline.flush()

    @contextmanager
    def fault(self, kind: str, *, repeats: int = 0, **detail: Any) -> Iterator[Window]:
        """A fault begins, and is over at the end of the block."""
        window = Window(kind, time.time(), repeats=repeats, detail=detail)
        with self.lock:
            self.windows.append(window)
        self.note("fault.begins", kind=kind, **detail)
        print(f"  {time.time() - self.began:6.1f} s  {kind:<24} {' '.join(f'{key}={value}' for key, value in detail.items())}", flush=True)
        try:
            yield window
        finally:
            window.end = time.time()
            self.note("fault.over", kind=kind, seconds=round(window.end - window.start, 2), **window.detail)

    def problem(self, text: str) -> None:
        """Something that must not be."""
        self.problems.append(text)
        self.note("problem", text=text)
        print(f"  PROBLEM: {text}", flush=True)

    # -- replicas ---------------------------------------------------------------------

    def start_replica(self) -> Replica:
        """One more."""
        with self.lock:
            replica = Replica(len(self.every) + 1, self.config, self.folder)
            self.every.append(replica)
            self.replicas.append(replica)
        self.note("replica.started", name=replica.name, pid=replica.pid)
        return replica

    def pick(self) -> Replica:
        """A running one, at random."""
        with self.lock:
            return self.rng.choice([replica for replica in self.replicas if replica.alive and not replica.stopped])

    def scale(self, wanted: int) -> None:
        """Starts or ends (by SIGTERM, all at once) as many as it takes."""
        with self.lock:
            self.wanted = wanted
            surplus = self.replicas[wanted:]
            del self.replicas[wanted:]
        for replica in surplus:
            if replica.alive:
                replica.signal(signal.SIGTERM)
        for replica in surplus:
            self.ended(replica, replica.end(DRAIN_S + 20), asked=True)
        while len(self.replicas) < wanted:
            self.start_replica()

    def remove(self, replica: Replica) -> None:
        """It is no longer one of the replicas; the supervisor starts another."""
        with self.lock:
            if replica in self.replicas:
                self.replicas.remove(replica)

    def ended(self, replica: Replica, code: int, *, asked: bool) -> None:
        """Notes how a replica ended; one that was asked to must have drained, in time and without a watchdog."""
        abandoned = replica.abandoned
        self.note("replica.ended", name=replica.name, code=code, abandoned_records=abandoned)
        if abandoned:  # a named cause of copies: the drain's deadline passed with requests open
            now = time.time()
            with self.lock:
                self.windows.append(Window("drain cut off", now - DRAIN_S, now, self.repeats(self.partitions), {"name": replica.name}))
        if asked and code != 0 and not (code == -signal.SIGTERM and not replica.begun):
            self.problem(f"{replica.name} was asked to end and ended with {code}: see {replica.log.name}")

    def lanes(self, replica: Replica) -> int:
        """How many partitions it has; all of them where it does not say."""
        try:
            return len(httpx.get(f"http://127.0.0.1:{replica.port}/api/status", timeout=1).json()["partitions"]) or self.partitions
        except (httpx.HTTPError, ValueError, KeyError):
            return self.partitions

    def repeats(self, lanes: int) -> int:
        """What the contract allows when lanes are lost: `max_uncommitted_records` each, and what one commit interval had settled."""
        return lanes * UNCOMMITTED + math.ceil(self.plan.per_s * COMMIT_S)

    def _supervise(self) -> None:
        """Starts what is missing, as a cluster does, and looks at what runs."""
        while not self._over.wait(0.5):
            for replica in list(self.replicas):
                if replica.alive:
                    replica.inspect()
                elif not replica.stopped:
                    self.problem(f"{replica.name} ended by itself with {replica.process.returncode}: see {replica.log.name}")
                    self.remove(replica)
            with self.lock:
                missing = self.wanted - len(self.replicas)
            for _ in range(missing):
                self.start_replica()

    def _end_replicas(self) -> None:
        for replica in self.every:
            if replica.alive:
                replica.signal(signal.SIGCONT)
                replica.signal(signal.SIGTERM)
        for replica in self.every:
            replica.end(DRAIN_S + 20)

    # -- what the group has committed -------------------------------------------------------

    def _watch_commits(self) -> None:
        """Committed offsets never go back, whoever wakes up."""
        consumer = Consumer({**self.kafka.properties(), "group.id": self.group, "log_level": 0})
        while not self._over.wait(0.5):
            self.look(consumer)
        consumer.close()

    def look(self, consumer: Consumer) -> bool:
        """Reads the committed offsets; whether that worked."""
        try:
            found = consumer.committed([Position(self.topic, number) for number in range(self.partitions)], 5)
        except KafkaException:
            return False
        for each in found:
            before = self.commits.get(each.partition, -1)
            if each.error is None and each.offset >= 0:
                if each.offset < before:
                    self.problem(f"partition {each.partition}: the committed offset went back from {before} to {each.offset}")
                self.commits[each.partition] = each.offset
        return True

    def lag(self) -> int:
        """Records behind; -1 where the brokers don't say."""
        consumer = Consumer({**self.kafka.properties(), "group.id": self.group, "log_level": 0})
        try:
            done = consumer.committed([Position(self.topic, number) for number in range(self.partitions)], 10)
            ends = [consumer.get_watermark_offsets(Position(self.topic, each.partition), 10)[1] for each in done]
            return sum(end - max(each.offset, 0) for each, end in zip(done, ends, strict=True))
        except KafkaException:
            return -1
        finally:
            consumer.close()

    def finish(self) -> float:
        """Ends the producer, and waits until everything is settled and committed. The seconds since the last fault; raises no error."""
        over = max((window.end for window in self.windows), default=time.time())
        self.producing.stop()
        self.note("producer.stopped", acknowledged=len(self.producing.acknowledged))
        while (lag := self.lag()) != 0:
            if time.time() - over > self.plan.settle_s:
                self.behind = lag
                self.problem(f"the lag is {lag} {self.plan.settle_s:.0f} s after the last fault")
                break
            time.sleep(0.2)
        seconds = time.time() - over
        self.note("lag.gone", seconds=round(seconds, 1))
        self._over.set()
        for replica in list(self.replicas):
            replica.inspect()
        for replica in list(self.replicas):
            self.ended(replica, replica.end(DRAIN_S + 20), asked=True)
        return seconds

    def plan_fields(self) -> dict[str, Any]:
        """The plan, for the report."""
        return asdict(self.plan)
