"""Everything that a campaign runs, started in the right order and cleaned up at the end."""

from __future__ import annotations

import math
import random
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

import bridge
from bridge.simulator import Config, Simulator
from tests.chaos.accounting import TimedAccounting
from tests.chaos.cluster import PROXIED, GatewayCluster
from tests.chaos.cluster_admin import admin_request
from tests.chaos.group_offsets import GroupOffsets
from tests.chaos.journal import Journal
from tests.chaos.network import Network
from tests.chaos.producer import EventProducer
from tests.chaos.replica import Replica
from tests.chaos.replica_config import BATCH_MESSAGES, MAX_IN_FLIGHT, REQUEST_TIMEOUT_S, replica_config
from tests.chaos.replica_set import ReplicaSet
from tests.chaos.timeline import FaultWindow
from tests.support.clients import unique, until

PARTITIONS, REPLICAS = 6, 3
AEP = "aep"
"""The name of the gateway to AEP."""
BROKERS = ("broker-1", "broker-2", "broker-3")
"""The names of the gateways to the brokers."""
HIT_TIMEOUT_S = 40.0
"""How much longer a fault goes on until it has hit something."""
CALM_TIMEOUT_S = 90.0
_FIRST_SECRET = "the-first-secret"


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a campaign is."""

    seed: int
    minutes: float = 0.0
    """How long faults go on; 0 if each kind comes once."""
    fault_s: float = 4.0
    """Seconds that a lasting fault lasts."""
    outage_s: float = 8.0
    """Seconds of an AEP outage."""
    per_s: float = 300.0
    """Events produced per second."""
    size: int = 400
    """Bytes of an event."""
    settle_s: float = 90.0
    """Seconds from the last fault until everything has to be settled."""


class Harness:
    """Cluster, gateways, AEP, replicas and producer, which run inside the context. It serves one campaign."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        # The code under test stays the same for all replicas, even if the tree is edited meanwhile.
        code, no_caches = self.folder / "code" / "bridge", shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(bridge.__file__).parent, code, ignore=no_caches)
        self.rng = random.Random(plan.seed)
        self.topic, self.group = unique("chaos"), unique("group")
        self.dead_letter_topic = f"{self.topic}.dlq"
        self.partitions = PARTITIONS
        self.journal = Journal(folder)
        self.replicas = ReplicaSet(self._make_replica, self.rng, self.journal)
        self.tokens_revoked_at = 0.0
        """When tokens were last revoked. The bridge drops a good token at most once in ten seconds."""
        self.hits: dict[str, int] = {}
        """By name of the fault: how often it has hit something."""
        self.remaining_lag = 0
        """The lag at which the campaign gave up waiting for its end."""
        self._over = threading.Event()
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            exits.callback(self.journal.close)
            self._start_cluster(exits)
            self._start_aep(exits)
            self.producer = EventProducer(
                self.cluster.properties(),
                self.topic,
                self.simulator.config.org,
                self.plan.per_s,
                self.plan.size,
                self.plan.seed,
            )
            exits.callback(self.replicas.close)
            self._start_replicas()
            self.producer.start()
            exits.callback(self.producer.stop)
            exits.callback(self._over.set)
            for name, work in (("supervisor", self.replicas.supervise), ("offsets", self.offsets.watch)):
                threading.Thread(target=work, args=(self._over,), name=name, daemon=True).start()
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _start_cluster(self, exits: ExitStack) -> None:
        self.network = exits.enter_context(
            Network(lambda: {each.pid for each in list(self.replicas.current)})
        )
        self.cluster = GatewayCluster()
        self.cluster.gateways = {
            node: self.network.add(name, self.cluster.port(node, PROXIED)).port
            for node, name in enumerate(BROKERS, 1)
        }
        exits.enter_context(self.cluster)
        self.offsets = GroupOffsets(
            self.cluster.properties(), self.group, self.topic, lambda: self.partitions
        )
        self._create_topic(self.topic, min_insync_replicas="2")
        keep_letters = {"retention_ms": "-1", "max_message_bytes": str(2 << 20)}
        self._create_topic(self.dead_letter_topic, min_insync_replicas="2", **keep_letters)

    def _create_topic(self, topic: str, **config: str) -> None:
        """Create a topic with three replicas. A cluster that has just begun may create it and answer late."""
        for _ in range(3):
            with suppress(KafkaException):
                self.cluster.clients.create_topic(topic, PARTITIONS, 3, **config)
                return
            if topic in AdminClient(self.cluster.properties()).list_topics(timeout=10).topics:
                return
        raise RuntimeError(f"{topic} could not be created:\n{self.cluster.tail()}")

    def _start_aep(self, exits: ExitStack) -> None:
        self.secret = self.folder / "client-secret"
        self.secret.write_text(f"{_FIRST_SECRET}\n")
        config = Config(
            require_auth=True,
            client_secrets=(_FIRST_SECRET,),
            latency_ms=20,
            jitter_ms=20,
            keep_bytes=False,
        )
        self.accounting = TimedAccounting()
        self.simulator = Simulator(config, self.accounting)
        exits.enter_context(self.simulator)
        gateway = self.network.add(AEP, self.simulator.port)
        self.aep_url = f"http://127.0.0.1:{gateway.port}"

    def _start_replicas(self) -> None:
        self.replicas.scale(REPLICAS)
        for replica in self.replicas.current:
            message = f"{replica.name} is not ready: see {replica.log}"
            until(lambda each=replica: each.ready() or not each.alive, 60, message)
            assert replica.alive, f"{replica.name} ended at its start:\n{replica.log.read_text()[-3000:]}"

    def _make_replica(self, number: int) -> Replica:
        config = replica_config(
            bootstrap_servers=self.cluster.proxied,
            group=self.group,
            topic=self.topic,
            aep_url=self.aep_url,
            inlet=self.simulator.inlet,
            org=self.simulator.config.org,
            client_id=self.simulator.config.client_id,
            secret=self.secret,
        )
        return Replica(number, config, self.folder)

    # -- what faults use -----------------------------------------------------------------------

    @staticmethod
    def wait_for_hit(seconds: float, count_hits: Callable[[], int]) -> int:
        """Let a fault go on for so many seconds, and then until it has hit something.

        Return how often it did; 0 if it hit nothing in `HIT_TIMEOUT_S`.
        """
        began = time.monotonic()
        time.sleep(seconds)
        while not (hits := count_hits()) and time.monotonic() < began + seconds + HIT_TIMEOUT_S:
            time.sleep(0.1)
        return hits

    @staticmethod
    def max_lost_responses(seconds: float, replicas: int) -> int:
        """Return for how many messages the responses may be lost when connections break for so many seconds.

        That is everything in flight, once, and once more for each request time-out that fits into the time.
        """
        return replicas * MAX_IN_FLIGHT * BATCH_MESSAGES * (1 + math.ceil(seconds / REQUEST_TIMEOUT_S))

    def pick_replica(self) -> Replica:
        """Return a replica that has partitions, at random."""
        return self.replicas.pick(HIT_TIMEOUT_S)

    def admin_request(self, *request: str) -> str:
        """Make an administrative request to the cluster, past the gateways."""
        return admin_request(self.cluster.bootstrap(), *request)

    def revoke_tokens(self) -> None:
        """Refuse every token that was issued so far."""
        self.tokens_revoked_at = time.time()
        self.simulator.tokens.revoke()

    def token_count(self, outcome: str) -> int:
        """Return how often the token endpoint `issued` a token or `refused` one."""
        return int(self.simulator.stats["tokens"].get(outcome, 0))

    def dead_letter_count(self) -> int:
        """Return how many records the dead-letter topic has; -1 where the brokers don't say."""
        return self.offsets.size(self.dead_letter_topic, PARTITIONS)

    def wait_until_calm(self) -> None:
        """Wait until every partition has an owner and everything produced so far is settled and committed.

        No earlier fault explains anything from then on.
        """
        deadline = time.monotonic() + CALM_TIMEOUT_S
        while not self.replicas.complete(self.partitions) and time.monotonic() < deadline:
            time.sleep(0.1)
        ends = self.offsets.ends(deadline)
        while not self.offsets.committed_up_to(ends):
            if time.monotonic() > deadline:
                lag = self.offsets.lag()
                self.journal.report_problem(
                    f"no calm within {CALM_TIMEOUT_S:.0f} s: the lag is {lag}, the ends were {ends}"
                )
                break
            time.sleep(0.1)
        self.journal.forget_older_faults()

    def finish(self) -> float:
        """Stop the producer, and wait until everything is settled and committed.

        Return the seconds since the last fault. Raises no error: a lag that stays is reported as a problem.
        """
        over = max((window.end for window in self.journal.windows), default=time.time())
        self.producer.stop()
        self.journal.note("producer.stopped", acknowledged=len(self.producer.acknowledged))
        while (lag := self.offsets.lag()) != 0:
            if time.time() - over > self.plan.settle_s:
                self.remaining_lag = lag
                self.journal.report_problem(
                    f"the lag is {lag} {self.plan.settle_s:.0f} s after the last fault"
                )
                break
            time.sleep(0.2)
        seconds = time.time() - over
        self.journal.note("lag.gone", seconds=round(seconds, 1))
        self._over.set()
        for replica in list(self.replicas.current):
            replica.inspect()
        self.replicas.end(list(self.replicas.current))
        return seconds


Fault = Callable[[Harness], FaultWindow]
"""A function that begins a fault, waits until it has hit something, and heals it."""
