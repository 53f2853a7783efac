"""The faults, each a function of the stage: it begins one, waits, and heals it. `PROCESSES` and `NEIGHBOURS` run side by side."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bridge.simulator import Rule
from tests.chaos.network import Cut
from tests.chaos.stage import AEP, BATCH, IN_FLIGHT, REPLICAS, REQUEST_TIMEOUT_S, SESSION_S, Stage, Window

Fault = Callable[[Stage], None]


# -- replicas -----------------------------------------------------------------------


def killed(stage: Stage) -> None:
    """SIGKILL of a replica; another one is started."""
    replica = stage.pick()
    with stage.fault("replica killed", repeats=stage.repeats(stage.lanes(replica)), name=replica.name):
        replica.signal(signal.SIGKILL)
        replica.process.wait(30)
        stage.remove(replica)
        time.sleep(SESSION_S)  # so long its partitions are nobody's


def terminated(stage: Stage) -> None:
    """SIGTERM of a replica; another one is started. It drains: no repeats."""
    replica = stage.pick()
    with stage.fault("replica terminated", name=replica.name):
        stage.ended(replica, _ended(replica), asked=True)
        stage.remove(replica)


def _ended(replica: Any) -> int:
    return int(replica.end(40))


def zombie(stage: Stage) -> None:
    """SIGSTOP for longer than the session time-out, then SIGCONT: it wakes up with answers for partitions that others have."""
    replica = stage.pick()
    with stage.fault("zombie", repeats=stage.repeats(stage.lanes(replica)), name=replica.name):
        replica.signal(signal.SIGSTOP)
        time.sleep(SESSION_S + 3)
        replica.signal(signal.SIGCONT)
        time.sleep(1)


def scaled(stage: Stage) -> None:
    """1, 6, 2 replicas and back to three."""
    with stage.fault("scaled 1-6-2"):
        for wanted in (1, 6, 2):
            stage.scale(wanted)
            _wait_ready(stage)
            time.sleep(1)
        stage.scale(REPLICAS)


def _wait_ready(stage: Stage) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and not all(replica.ready() for replica in list(stage.replicas) if not replica.stopped):
        time.sleep(0.1)


def partition_added(stage: Stage) -> None:
    """The topic gets one more partition."""
    with stage.fault("partition added", partitions=stage.partitions + 1):
        stage.ask("partitions", stage.topic, str(stage.partitions + 1))
        stage.partitions += 1
        time.sleep(1)


# -- the cluster -----------------------------------------------------------------------


def _node_down(stage: Stage, kind: str, node: int, *, kill: bool = True, seconds: float | None = None) -> None:
    with stage.fault(kind, repeats=stage.repeats(stage.partitions), node=node):
        (stage.kafka.kill if kill else stage.kafka.terminate)(node)
        time.sleep(stage.plan.fault_s if seconds is None else seconds)
        stage.kafka.restart(node)
        time.sleep(1)


def broker_killed(stage: Stage) -> None:
    """SIGKILL of a node, and its return."""
    _node_down(stage, "broker killed", stage.rng.randint(1, 3))


def coordinator_killed(stage: Stage) -> None:
    """SIGKILL of the node that coordinates the group."""
    node = int(stage.ask("coordinator", stage.group))
    _node_down(stage, "coordinator killed", node)


def leader_moved(stage: Stage) -> None:
    """A controlled shutdown moves a partition's leader; after the return, the preferred leader is elected again."""
    node = int(stage.ask("leader", stage.topic))
    _node_down(stage, "leader moved", node, kill=False, seconds=1)
    stage.ask("elect")


def all_brokers(stage: Stage) -> None:
    """All nodes at once, by SIGKILL, and their return."""
    with stage.fault("all brokers restarted", repeats=stage.repeats(stage.partitions)):
        for node in (1, 2, 3):
            stage.kafka.kill(node)
        for node in (1, 2, 3):
            stage.kafka.start(node)
        stage.kafka.wait_ready()
        time.sleep(2)


def too_few_replicas(stage: Stage) -> None:
    """The dead-letter topic asks for more replicas in sync than there are."""
    with stage.fault("too few in-sync replicas", topic=stage.dead_letter_topic):
        stage.ask("replicas", stage.dead_letter_topic, "4")
        time.sleep(stage.plan.fault_s)
        stage.ask("replicas", stage.dead_letter_topic, "2")


# -- AEP ----------------------------------------------------------------------------------


def _rule(stage: Stage, kind: str, rule: Rule, seconds: float | None = None) -> None:
    """A rule for a while. What it makes AEP accept without a good answer may be repeated: each of these messages once."""
    with stage.fault(kind) as window:
        number = stage.sim.fault(rule)
        time.sleep(stage.plan.fault_s if seconds is None else seconds)
        stage.sim.faults.clear(number)
    window.detail["requests"] = sum(seen.rule == number for seen in stage.accounting.seen)
    if rule.accepts:
        window.repeats = sum(seen.messages for seen in stage.accounting.seen if seen.rule == number)


def ruled(kind: str, **fields: Any) -> Fault:
    """A fault made of one rule."""

    def fault(stage: Stage) -> None:
        _rule(stage, kind, Rule(**fields))

    fault.__doc__ = f"{kind}: {fields}"
    return fault


def outage(stage: Stage) -> None:
    """Nothing listens where AEP was."""
    with stage.fault("AEP outage", repeats=_under_way(0)):
        stage.sim.stop()
        time.sleep(stage.plan.outage_s)
        stage.sim.start()


def _under_way(seconds: float) -> int:
    """Messages whose answers may be lost when connections break: everything under way, once for each time-out that fits in."""
    return REPLICAS * 2 * IN_FLIGHT * BATCH * (1 + math.ceil(seconds / REQUEST_TIMEOUT_S))


def lower_limit(stage: Stage) -> None:
    """413 below our own limit. The bridge learns it for the life of the process."""
    _rule(stage, "lower size limit", Rule(action="limit", max_bytes=20_000), 3)


def token_revoked(stage: Stage) -> None:
    """Every token is refused from now on; new ones are issued."""
    with stage.fault("token revoked"):
        stage.sim.tokens.revoke()
        time.sleep(1)


def tokens_down(stage: Stage) -> None:
    """Every token is refused and the token endpoint is down."""
    with stage.fault("token endpoint down"):
        number = stage.sim.fault(Rule(action="status", status=503, endpoint="token"))
        stage.sim.tokens.revoke()
        time.sleep(stage.plan.fault_s)
        stage.sim.faults.clear(number)


def secret_rotated(stage: Stage) -> None:
    """A new client secret; the old one and all tokens are refused a moment before the mounted file changes."""
    secret = f"secret-{stage.rng.randrange(1 << 30):x}"
    with stage.fault("secret rotated"):
        stage.sim.configure({"client_secrets": [secret]})
        stage.sim.tokens.revoke()
        time.sleep(1)
        stage.secret.write_text(secret + "\n")
        time.sleep(1)


# -- the network ------------------------------------------------------------------------------


def cut(kind: str, how: Cut, side: str) -> Fault:
    """The network between the replicas and AEP or the brokers."""

    def fault(stage: Stage) -> None:
        names = AEP if side == "aep" else stage.brokers
        seconds = 0.5 if how == "reset" else stage.plan.fault_s + (SESSION_S if how == "freeze" and side != "aep" else 0)
        repeats = _under_way(seconds) if side == "aep" else stage.repeats(stage.partitions)
        with stage.fault(kind, repeats=repeats):
            stage.network.cut(how, *names)
            time.sleep(seconds)
            stage.network.heal(*names)
            time.sleep(0.5)

    fault.__doc__ = f"{how} of every connection to {side}"
    return fault


def one_broker_cut(stage: Stage) -> None:
    """One broker can't be reached, though the cluster has it."""
    name = stage.rng.choice(stage.brokers)
    with stage.fault("one broker out of reach", repeats=stage.repeats(stage.partitions), broker=name):
        stage.network.cut("freeze", name)
        time.sleep(stage.plan.fault_s)
        stage.network.heal(name)


def isolated(stage: Stage) -> None:
    """One replica is cut off from all brokers for longer than the session time-out, and goes on delivering to AEP."""
    replica = stage.pick()
    with stage.fault("replica isolated", repeats=stage.repeats(stage.lanes(replica)), name=replica.name):
        stage.network.isolate(replica.pid, *stage.brokers)
        time.sleep(SESSION_S + 3)
        stage.network.heal(*stage.brokers)
        time.sleep(0.5)


PROCESSES: Mapping[str, Fault] = MappingProxyType(
    {
        "killed": killed, "terminated": terminated, "zombie": zombie, "scaled": scaled, "partition_added": partition_added,
        "broker_killed": broker_killed, "coordinator_killed": coordinator_killed, "leader_moved": leader_moved, "all_brokers": all_brokers,
        "too_few_replicas": too_few_replicas,
    }
)  # fmt: skip
"""Faults of replicas and of the cluster: one at a time."""

NEIGHBOURS: Mapping[str, Fault] = MappingProxyType(
    {
        "outage": outage,
        "throttled": ruled("429 storm", action="status", status=429, retry_after_s=2),
        "unavailable": ruled("503 for everything", action="status", status=503),
        "refusing": ruled("400 for everything", action="status", status=400),
        "hang": ruled("hang", action="hang"),
        "reset_before": ruled("reset before acceptance", action="reset"),
        "reset_after": ruled("reset after acceptance", action="reset", accepted=True, every=3),
        "gateway": ruled("504 after acceptance", action="status", status=504, accepted=True, every=3),
        "half": ruled("half an answer", action="half", every=3),
        "not_json": ruled("answer without JSON", action="not_json", every=3),
        "garbage": ruled("garbage", action="garbage"),
        "drip": ruled("slow drip", action="drip", bytes_per_s=10, every=2),
        "messages": ruled("503 for single messages", action="messages", status=503, share=0.2),
        "lower_limit": lower_limit,
        "token_revoked": token_revoked,
        "tokens_down": tokens_down,
        "secret_rotated": secret_rotated,
        "aep_frozen": cut("AEP frozen", "freeze", "aep"),
        "aep_refused": cut("AEP refused", "refuse", "aep"),
        "aep_reset": cut("AEP connections reset", "reset", "aep"),
        "brokers_frozen": cut("brokers frozen", "freeze", "brokers"),
        "brokers_refused": cut("brokers refused", "refuse", "brokers"),
        "brokers_reset": cut("broker connections reset", "reset", "brokers"),
        "one_broker_cut": one_broker_cut,
        "isolated": isolated,
    }
)
"""Faults of AEP and of the network: one at a time, beside those of `PROCESSES`."""

__all__ = ["NEIGHBOURS", "PROCESSES", "Fault", "Window"]
