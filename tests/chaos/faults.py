"""The faults of replicas and of the cluster: each a function of the stage that begins one, waits until it has hit something, and heals it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from tests.chaos.ask import Refused
from tests.chaos.copies import SESSION_S
from tests.chaos.fleet import END_S
from tests.chaos.members import Replica
from tests.chaos.stage import REPLICAS, Stage
from tests.chaos.timeline import Window

Fault = Callable[[Stage], Window]


def killed(stage: Stage) -> Window:
    """SIGKILL of a replica; another one is started."""
    replica = stage.pick()
    with stage.fault("replica killed", lanes=True, replica=replica.name, hits=len(replica.held)) as window:
        replica.signal(signal.SIGKILL)
        replica.process.wait(30)
        stage.fleet.remove(replica)
        time.sleep(SESSION_S)  # so long its partitions are nobody's
    return window


def terminated(stage: Stage) -> Window:
    """SIGTERM of a replica; another one is started. It drains: no repeats."""
    replica = stage.pick()
    with stage.fault("replica terminated", detail={"name": replica.name}, hits=len(replica.held)) as window:
        stage.fleet.ended(replica, replica.end(END_S))
        stage.fleet.remove(replica)
        if stage.alone:
            stage.calm()
    return window


def zombie(stage: Stage) -> Window:
    """SIGSTOP for longer than the session time-out, then SIGCONT: it wakes up with answers for partitions that others have."""
    replica = stage.pick()
    with stage.fault(
        "zombie", lanes=True, answers=True, replica=replica.name, repeats=stage.under_way(0, 1)
    ) as window:
        replica.signal(signal.SIGSTOP)
        before = replica.held

        def taken() -> int:
            others = frozenset[int]().union(
                *(each.held for each in stage.fleet.living if each is not replica)
            )
            return _stopped(replica) * len(before & others)

        window.hits = stage.last(SESSION_S + 3, taken)
        replica.signal(signal.SIGCONT)
        time.sleep(1)
    return window


def _stopped(replica: Replica) -> bool:
    return Path(f"/proc/{replica.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def scaled(stage: Stage) -> Window:
    """1, 6, 2 replicas and back to three."""
    with stage.fault("scaled 1-6-2") as window:
        for wanted in (1, 6, 2):
            stage.fleet.scale(wanted)
            window.hits += _ready(stage)
            time.sleep(1)
        stage.fleet.scale(REPLICAS)
        if stage.alone:
            stage.calm()
    return window


def _ready(stage: Stage) -> bool:
    """Whether as many replicas as there should be came to be ready."""

    def ready() -> bool:
        living = stage.fleet.living
        return len(living) == stage.fleet.wanted and all(replica.ready() for replica in living)

    return bool(stage.last(0, ready))


def partition_added(stage: Stage) -> Window:
    """The topic gets one more partition, and a replica finds it."""
    number = stage.partitions
    with stage.fault("partition added", detail={"partitions": number + 1}) as window:
        stage.ask("partitions", stage.topic, str(number + 1))
        stage.partitions += 1
        window.hits = stage.last(1, lambda: sum(number in replica.held for replica in stage.fleet.living))
        if stage.alone:
            stage.calm()
    return window


def _node_down(
    stage: Stage,
    kind: str,
    node: int,
    *,
    kill: bool = True,
    seconds: float | None = None,
    evidence: Callable[[], int] | None = None,
) -> Window:
    """A node goes and returns. `evidence`: what it hit; connections of the bridge, where nothing else is given."""
    gateway = stage.network.gateways[f"broker-{node}"]
    with stage.fault(kind, lanes=True, commits=True, letters=True, detail={"node": node}) as window:
        before = set(gateway.connections)
        (stage.kafka.kill if kill else stage.kafka.terminate)(node)
        window.hits = stage.last(
            stage.plan.fault_s if seconds is None else seconds,
            evidence or (lambda: len(before - gateway.connections)),
        )
        stage.kafka.restart(node)
        time.sleep(1)
    return window


def broker_killed(stage: Stage) -> Window:
    """SIGKILL of a node that replicas are connected to, and its return. After other faults one may lead nothing, or nobody may have come back to it yet."""
    first = stage.rng.randint(0, 2)
    nodes = [(first + step) % 3 + 1 for step in range(3)]
    node = stage.last(
        0, lambda: next((node for node in nodes if stage.network.gateways[f"broker-{node}"].connections), 0)
    )
    return _node_down(stage, "broker killed", node or nodes[0])


def coordinator_killed(stage: Stage) -> Window:
    """SIGKILL of the node that coordinates the group; another one takes that over."""
    node = int(stage.ask("coordinator", stage.group))

    def moved() -> int:
        with suppress(Refused):
            return int(int(stage.ask("coordinator", stage.group)) != node)
        return 0

    return _node_down(stage, "coordinator killed", node, evidence=moved)


def leader_moved(stage: Stage) -> Window:
    """A controlled shutdown moves the leaders of some partitions; after the return, the preferred leaders are elected again."""
    leaders = json.loads(stage.ask("leaders", stage.topic))
    node = next(leader for leader in leaders.values() if leader > 0)

    def moved() -> int:
        with suppress(Refused):
            now = json.loads(stage.ask("leaders", stage.topic))
            return sum(leader == node and now[number] not in (node, -1) for number, leader in leaders.items())
        return 0

    window = _node_down(stage, "leader moved", node, kill=False, seconds=1, evidence=moved)
    stage.ask("elect")
    return window


def all_brokers(stage: Stage) -> Window:
    """All nodes at once, by SIGKILL, and their return."""
    with stage.fault("all brokers restarted", lanes=True, commits=True, letters=True) as window:
        window.hits = stage.network.connections(*stage.brokers)
        for node in (1, 2, 3):
            stage.kafka.kill(node)
        for node in (1, 2, 3):
            stage.kafka.start(node)
        stage.kafka.wait_ready()
        time.sleep(2)
    return window


def too_few_replicas(stage: Stage) -> Window:
    """The dead-letter topic asks for three replicas in sync and has two: no letter is taken, although there are records to dead-letter.

    Asking for more replicas than there are would change nothing: Kafka then asks for all that there are.
    """
    stage.ask("replicas", stage.dead_letter_topic, "3")
    letters, refusable = -1, 0

    def waiting() -> int:
        nonlocal letters, refusable
        before, letters = letters, stage.letters()
        if before != letters or letters < 0:
            refusable = stage.producing.bad
        return stage.producing.bad - refusable

    window = _node_down(
        stage, "too few in-sync replicas", stage.rng.randint(1, 3), kill=False, evidence=waiting
    )
    stage.ask("replicas", stage.dead_letter_topic, "2")
    return window


PROCESSES: Mapping[str, Fault] = MappingProxyType(
    {
        "killed": killed, "terminated": terminated, "zombie": zombie, "scaled": scaled, "partition_added": partition_added,
        "broker_killed": broker_killed, "coordinator_killed": coordinator_killed, "leader_moved": leader_moved, "all_brokers": all_brokers,
        "too_few_replicas": too_few_replicas,
    }
)  # fmt: skip
"""Faults of replicas and of the cluster: one at a time."""
