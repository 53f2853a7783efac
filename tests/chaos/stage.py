"""Everything that a campaign runs, put together, and the clean-up after it."""

from __future__ import annotations

import json
import math
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

import bridge
from bridge.simulator import Config, Simulator
from tests.chaos.ask import ask
from tests.chaos.copies import DRAIN_S, REQUEST_TIMEOUT_S, SESSION_S, UNCOMMITTED
from tests.chaos.fleet import REVOKE_S, Fleet
from tests.chaos.members import Cluster, Producing, Replica, TimedAccounting
from tests.chaos.network import Network
from tests.chaos.offsets import Offsets
from tests.chaos.timeline import Window
from tests.support.clients import unique, until

PARTITIONS, REPLICAS = 6, 3
IN_FLIGHT, BATCH = 4, 100
HIT_S, CALM_S = 40.0, 90.0
AEP = ("aep",)


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a campaign is. `fault_s` are seconds of a fault that lasts, `outage_s` those of an outage."""

    seed: int
    minutes: float = 0.0
    """How long faults go on; 0 for each kind once."""
    fault_s: float = 4.0
    outage_s: float = 8.0
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
        shutil.copytree(
            Path(bridge.__file__).parent,
            self.folder / "code" / "bridge",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        self.rng = random.Random(plan.seed)
        self.topic, self.group = unique("chaos"), unique("group")
        self.dead_letter_topic = f"{self.topic}.dlq"
        self.partitions = PARTITIONS
        self.windows: list[Window] = []
        self.lock = threading.RLock()
        self.fleet = Fleet(
            lambda number: Replica(number, self.config, self.folder), self.rng, self.note, self.problem
        )
        self.problems: list[str] = []
        self.alone = False
        """Whether faults come one by one now, with calm between them."""
        self.revoked = 0.0
        """When tokens were revoked last. The bridge drops a good token at most once in ten seconds."""
        self.hits: dict[str, int] = {}
        """By fault: how often it has hit something."""
        self.behind = 0
        """The lag where waiting for its end was given up."""
        self.began = time.time()
        self._timeline = (folder / "timeline.jsonl").open("w")
        self._over = threading.Event()
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            exits.callback(self._timeline.close)
            self.network = exits.enter_context(
                Network(lambda: {replica.pid for replica in list(self.fleet.running)})
            )
            self.kafka = Cluster()
            self.kafka.gateways = {
                node: self.network.add(f"broker-{node}", self.kafka.port(node)).port for node in range(1, 4)
            }
            exits.enter_context(self.kafka)
            self.offsets = Offsets(self.kafka.properties(), self.group, self.topic, lambda: self.partitions)
            self._create(self.topic, min_insync_replicas="2")
            self._create(
                self.dead_letter_topic,
                min_insync_replicas="2",
                retention_ms="-1",
                max_message_bytes=str(2 << 20),
            )
            self.secret = self.folder / "client-secret"
            self.secret.write_text("the-first-secret\n")
            self.sim = Simulator(
                Config(
                    require_auth=True,
                    client_secrets=["the-first-secret"],
                    latency_ms=20,
                    jitter_ms=20,
                    keep_bytes=False,
                )
            )
            self.accounting = self.sim.accounting = TimedAccounting()
            self.sim.tokens._accounting = self.accounting
            self.sim._build()
            exits.enter_context(self.sim)
            gateway = self.network.add("aep", self.sim.port)
            self.address = f"http://127.0.0.1:{gateway.port}"
            self.producing = Producing(
                self.kafka.properties(),
                self.topic,
                self.sim.config.org,
                self.plan.per_s,
                self.plan.size,
                self.plan.seed,
            )
            exits.callback(self.fleet.close)
            self.fleet.scale(REPLICAS)
            for replica in self.fleet.running:
                until(
                    lambda each=replica: each.ready() or not each.alive,
                    60,
                    f"{replica.name} is not ready: see {replica.log}",
                )
                assert replica.alive, f"{replica.name} ended at its start:\n{replica.log.read_text()[-3000:]}"
            self.producing.start()
            exits.callback(self.producing.stop)
            exits.callback(self._over.set)
            threading.Thread(
                target=self.fleet.supervise, args=(self._over,), name="supervisor", daemon=True
            ).start()
            threading.Thread(
                target=self.offsets.watch, args=(self._over,), name="offsets", daemon=True
            ).start()
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
        auth = {
            "token_url": f"{self.address}/ims/token/v3",
            "client_id": self.sim.config.client_id,
            "client_secret_file": str(self.secret),
            "scope": "openid",
        }
        return {
            "kafka": {
                "bootstrap_servers": self.kafka.proxied,
                "group_id": self.group,
                "properties": properties,
            },
            "aep": {
                "inlet_url": f"{self.address}/collection/{self.sim.inlet}",
                "ims_org_id": self.sim.config.org,
                "auth": auth,
            },
            "topics": [{"topic": self.topic}],
            "batch": {"linger_ms": 100, "max_messages": BATCH},
            "delivery": {
                "max_in_flight": IN_FLIGHT,
                "max_uncommitted_records": UNCOMMITTED,
                "request_timeout_s": REQUEST_TIMEOUT_S,
                "drain_timeout_s": DRAIN_S,
                "revoke_timeout_s": REVOKE_S,
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
    def fault(self, kind: str, **fields: Any) -> Iterator[Window]:
        """A fault begins, and is over at the end of the block. `fields` are those of the window."""
        window = Window(kind, time.time(), alone=self.alone, **fields)
        detail = window.detail
        with self.lock:
            self.windows.append(window)
        if window.replica:
            detail["name"] = window.replica
        self.note("fault.begins", kind=kind, alone=window.alone, **detail)
        print(
            f"  {time.time() - self.began:6.1f} s  {kind:<24} {' '.join(f'{key}={value}' for key, value in detail.items())}",
            flush=True,
        )
        try:
            yield window
        finally:
            window.end = time.time()
            self.note(
                "fault.over",
                kind=kind,
                seconds=round(window.end - window.start, 2),
                hits=window.hits,
                **window.detail,
            )

    @staticmethod
    def last(seconds: float, hits: Callable[[], int]) -> int:
        """Lets a fault go on for so long, and then until it has hit something. How often it did; 0 where nothing came along in `HIT_S`."""
        began = time.monotonic()
        time.sleep(seconds)
        while not (found := hits()) and time.monotonic() < began + seconds + HIT_S:
            time.sleep(0.1)
        return found

    @staticmethod
    def under_way(seconds: float, replicas: int) -> int:
        """Messages whose answers may be lost when connections break: everything under way, once for each time-out that fits in."""
        return replicas * IN_FLIGHT * BATCH * (1 + math.ceil(seconds / REQUEST_TIMEOUT_S))

    def revoke(self) -> None:
        """Every token is refused from now on."""
        self.revoked = time.time()
        self.sim.tokens.revoke()

    def tokens(self, what: str) -> int:
        """How often the token endpoint `issued` or `refused` one."""
        return int(self.sim.stats["tokens"].get(what, 0))

    def letters(self) -> int:
        """How many there are in the dead-letter topic; -1 where the brokers don't say."""
        return self.offsets.size(self.dead_letter_topic, PARTITIONS)

    def calm(self) -> None:
        """Waits until every partition has an owner and everything produced so far is settled and committed; no earlier fault explains anything from then on."""
        deadline = time.monotonic() + CALM_S
        while not self.fleet.settled(self.partitions) and time.monotonic() < deadline:
            time.sleep(0.1)
        ends = self.offsets.ends(deadline)
        while not self.offsets.reached(ends):
            if time.monotonic() > deadline:
                self.problem(
                    f"no calm within {CALM_S:.0f} s: {self.offsets.lag()} records behind what is asked for, {ends}"
                )
                break
            time.sleep(0.1)
        now = time.time()
        for window in self.windows:
            window.over(now)
        self.note("calm")

    def problem(self, text: str) -> None:
        """Something that must not be."""
        self.problems.append(text)
        self.note("problem", text=text)
        print(f"  PROBLEM: {text}", flush=True)

    def pick(self) -> Replica:
        """A replica that has partitions, at random."""
        return self.fleet.pick(HIT_S)

    # -- the end ------------------------------------------------------------------------------

    def finish(self) -> float:
        """Ends the producer, and waits until everything is settled and committed. The seconds since the last fault; raises no error."""
        over = max((window.end for window in self.windows), default=time.time())
        self.producing.stop()
        self.note("producer.stopped", acknowledged=len(self.producing.acknowledged))
        while (lag := self.offsets.lag()) != 0:
            if time.time() - over > self.plan.settle_s:
                self.behind = lag
                self.problem(f"the lag is {lag} {self.plan.settle_s:.0f} s after the last fault")
                break
            time.sleep(0.2)
        seconds = time.time() - over
        self.note("lag.gone", seconds=round(seconds, 1))
        self._over.set()
        for replica in list(self.fleet.running):
            replica.inspect()
        self.fleet.end(list(self.fleet.running))
        return seconds
