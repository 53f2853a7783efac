"""Faults of the replicas and of the cluster's nodes."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from tests.chaos.cluster_admin import AdminRequestFailed
from tests.chaos.harness import BROKERS, REPLICAS, Fault, Harness
from tests.chaos.replica import Replica
from tests.chaos.replica_config import END_TIMEOUT_S, SESSION_TIMEOUT_S
from tests.chaos.timeline import FaultWindow

NODES = (1, 2, 3)


def killed(harness: Harness) -> FaultWindow:
    """Kill a replica with SIGKILL; another one is started."""
    replica = harness.pick_replica()
    hits = len(replica.partitions)
    with harness.journal.fault_window(
        "replica killed", moves_partitions=True, replica=replica.name, hits=hits
    ) as window:
        replica.signal(signal.SIGKILL)
        replica.process.wait(30)
        harness.replicas.remove(replica)
        time.sleep(SESSION_TIMEOUT_S)  # until then its partitions belong to nobody
    return window


def terminated(harness: Harness) -> FaultWindow:
    """End a replica with SIGTERM; another one is started. The replica drains, so nothing is repeated."""
    replica = harness.pick_replica()
    hits, detail = len(replica.partitions), {"name": replica.name}
    with harness.journal.fault_window("replica terminated", detail=detail, hits=hits) as window:
        harness.replicas.note_end(replica, replica.end(END_TIMEOUT_S))
        harness.replicas.remove(replica)
        if window.alone:
            harness.wait_until_calm()
    return window


def zombie(harness: Harness) -> FaultWindow:
    """Stop a replica with SIGSTOP for longer than the session time-out, then continue it with SIGCONT.

    It then reads responses for partitions that other replicas have.
    """
    replica = harness.pick_replica()
    with harness.journal.fault_window(
        "zombie",
        moves_partitions=True,
        loses_responses=True,
        replica=replica.name,
        allowed_duplicates=harness.max_lost_responses(0, 1),
    ) as window:
        replica.signal(signal.SIGSTOP)
        before = replica.partitions

        def partitions_taken() -> int:
            others = [each.partitions for each in harness.replicas.living if each is not replica]
            return _is_stopped(replica) * len(before & frozenset[int]().union(*others))

        window.hits = harness.wait_for_hit(SESSION_TIMEOUT_S + 3, partitions_taken)
        replica.signal(signal.SIGCONT)
        time.sleep(1)
    return window


def _is_stopped(replica: Replica) -> bool:
    return Path(f"/proc/{replica.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def scaled(harness: Harness) -> FaultWindow:
    """Scale to 1, 6, 2 replicas, and back to three."""
    with harness.journal.fault_window("scaled 1-6-2") as window:
        for wanted in (1, 6, 2):
            harness.replicas.scale(wanted)
            window.hits += _became_ready(harness)
            time.sleep(1)
        harness.replicas.scale(REPLICAS)
        if window.alone:
            harness.wait_until_calm()
    return window


def _became_ready(harness: Harness) -> bool:
    """Wait for as many ready replicas as wanted, and say whether it came to that."""

    def all_ready() -> bool:
        living = harness.replicas.living
        return len(living) == harness.replicas.wanted and all(replica.ready() for replica in living)

    return bool(harness.wait_for_hit(0, all_ready))


def partition_added(harness: Harness) -> FaultWindow:
    """Give the topic one more partition, which a replica is then assigned."""
    added = harness.partitions
    with harness.journal.fault_window("partition added", detail={"partitions": added + 1}) as window:
        harness.admin_request("partitions", harness.topic, str(added + 1))
        harness.partitions += 1

        def owners() -> int:
            return sum(added in replica.partitions for replica in harness.replicas.living)

        window.hits = harness.wait_for_hit(1, owners)
        if window.alone:
            harness.wait_until_calm()
    return window


def _node_down(
    harness: Harness,
    kind: str,
    node: int,
    *,
    kill: bool = True,
    seconds: float | None = None,
    count_hits: Callable[[], int] | None = None,
) -> FaultWindow:
    """Stop a node and start it again. Without `count_hits`, ended connections of the bridge are the hits."""
    gateway = harness.network.gateways[f"broker-{node}"]
    with harness.journal.fault_window(
        kind, moves_partitions=True, blocks_commits=True, loses_acknowledgements=True, detail={"node": node}
    ) as window:
        before = set(gateway.connections)
        (harness.cluster.kill if kill else harness.cluster.terminate)(node)
        window.hits = harness.wait_for_hit(
            harness.plan.fault_s if seconds is None else seconds,
            count_hits or (lambda: len(before - gateway.connections)),
        )
        harness.cluster.restart(node)
        time.sleep(1)
    return window


def broker_killed(harness: Harness) -> FaultWindow:
    """Kill a node that replicas are connected to, and start it again.

    After other faults a node may lead nothing, or no replica may have connected to it again yet.
    """
    first = harness.rng.randint(0, 2)
    nodes = [(first + step) % 3 + 1 for step in range(3)]

    def connected_node() -> int:
        gateways = harness.network.gateways
        return next((node for node in nodes if gateways[f"broker-{node}"].connections), 0)

    return _node_down(harness, "broker killed", harness.wait_for_hit(0, connected_node) or nodes[0])


def coordinator_killed(harness: Harness) -> FaultWindow:
    """Kill the node that coordinates the group, so that another one takes over."""
    node = int(harness.admin_request("coordinator", harness.group))

    def coordinator_moved() -> int:
        with suppress(AdminRequestFailed):
            return int(int(harness.admin_request("coordinator", harness.group)) != node)
        return 0

    return _node_down(harness, "coordinator killed", node, count_hits=coordinator_moved)


def leader_moved(harness: Harness) -> FaultWindow:
    """Move the leaders of some partitions by a controlled shutdown, and elect the preferred leaders again."""
    leaders = json.loads(harness.admin_request("leaders", harness.topic))
    node = next(leader for leader in leaders.values() if leader > 0)
    led = [number for number, leader in leaders.items() if leader == node]

    def leaders_moved() -> int:
        with suppress(AdminRequestFailed):
            now = json.loads(harness.admin_request("leaders", harness.topic))
            return sum(now[number] not in (node, -1) for number in led)
        return 0

    window = _node_down(harness, "leader moved", node, kill=False, seconds=1, count_hits=leaders_moved)
    harness.admin_request("elect")
    return window


def all_brokers(harness: Harness) -> FaultWindow:
    """Kill all nodes at once, and start them again."""
    with harness.journal.fault_window(
        "all brokers restarted", moves_partitions=True, blocks_commits=True, loses_acknowledgements=True
    ) as window:
        window.hits = harness.network.connections(*BROKERS)
        for node in NODES:
            harness.cluster.kill(node)
        for node in NODES:
            harness.cluster.start(node)
        harness.cluster.wait_ready()
        time.sleep(2)
    return window


def too_few_replicas(harness: Harness) -> FaultWindow:
    """Let the dead-letter topic demand three replicas in sync while it has two.

    No dead letter is taken then, although there are records to dead-letter. To demand more replicas than
    there are would change nothing: Kafka then demands all that there are.
    """
    harness.admin_request("replicas", harness.dead_letter_topic, "3")
    written, bad_when_written = -1, 0

    def bad_events_waiting() -> int:
        nonlocal written, bad_when_written
        before, written = written, harness.dead_letter_count()
        if before != written or written < 0:
            bad_when_written = harness.producer.bad_acknowledged
        return harness.producer.bad_acknowledged - bad_when_written

    node = harness.rng.randint(1, 3)
    window = _node_down(harness, "too few in-sync replicas", node, kill=False, count_hits=bad_events_waiting)
    harness.admin_request("replicas", harness.dead_letter_topic, "2")
    return window


PROCESS_FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "killed": killed,
        "terminated": terminated,
        "zombie": zombie,
        "scaled": scaled,
        "partition_added": partition_added,
        "broker_killed": broker_killed,
        "coordinator_killed": coordinator_killed,
        "leader_moved": leader_moved,
        "all_brokers": all_brokers,
        "too_few_replicas": too_few_replicas,
    }
)
"""Faults of replicas and cluster, one at a time. The schedule of a seed depends on this order."""
