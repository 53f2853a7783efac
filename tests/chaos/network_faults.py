"""Faults of the network: connections to AEP, to the brokers, to one broker or of one replica are cut."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

from tests.chaos.harness import AEP, BROKERS, REPLICAS, Fault, Harness
from tests.chaos.network import Cut
from tests.chaos.replica_config import SESSION_TIMEOUT_S
from tests.chaos.timeline import FaultWindow

RESET_S = 0.5
HEALED_S = 0.5
"""Seconds that the window of a fault stays open after its gateways are healed."""


def cut_aep(kind: str, how: Cut) -> Fault:
    """Return a fault that cuts the connections between the replicas and AEP."""

    def fault(harness: Harness) -> FaultWindow:
        seconds = RESET_S if how == "reset" else harness.plan.fault_s
        with harness.journal.fault_window(kind, loses_responses=True) as window:
            _cut(harness, window, how, (AEP,), seconds)
        window.allowed_duplicates = harness.max_lost_responses(window.end - window.start, 2 * REPLICAS)
        return window

    fault.__doc__ = f"{how} of every connection to AEP"
    return fault


def cut_brokers(kind: str, how: Cut) -> Fault:
    """Return a fault that cuts the connections between the replicas and all brokers."""

    def fault(harness: Harness) -> FaultWindow:
        seconds = RESET_S if how == "reset" else harness.plan.fault_s
        if how == "freeze":
            seconds += SESSION_TIMEOUT_S
        with harness.journal.fault_window(
            kind, moves_partitions=True, blocks_commits=True, loses_acknowledgements=True
        ) as window:
            _cut(harness, window, how, BROKERS, seconds)
        return window

    fault.__doc__ = f"{how} of every connection to the brokers"
    return fault


def _cut(harness: Harness, window: FaultWindow, how: Cut, names: tuple[str, ...], seconds: float) -> None:
    network = harness.network
    window.detail["connections"] = harness.wait_for_hit(0, lambda: network.connections(*names))
    before = network.hits(*names)
    network.cut(how, *names)
    window.hits = harness.wait_for_hit(seconds, lambda: network.hits(*names) - before)
    network.heal(*names)
    time.sleep(HEALED_S)


def one_broker_cut(harness: Harness) -> FaultWindow:
    """Freeze the connections to one broker, which the cluster still reaches."""
    name = harness.rng.choice(BROKERS)
    with harness.journal.fault_window(
        "one broker out of reach",
        moves_partitions=True,
        blocks_commits=True,
        loses_acknowledgements=True,
        detail={"broker": name},
    ) as window:
        before = harness.network.hits(name)
        harness.network.cut("freeze", name)
        window.hits = harness.wait_for_hit(harness.plan.fault_s, lambda: harness.network.hits(name) - before)
        harness.network.heal(name)
    return window


def isolated(harness: Harness) -> FaultWindow:
    """Cut one replica off from all brokers for longer than the session time-out; it still reaches AEP."""
    replica = harness.pick_replica()
    with harness.journal.fault_window(
        "replica isolated",
        moves_partitions=True,
        blocks_commits=True,
        loses_acknowledgements=True,
        replica=replica.name,
    ) as window:
        before = harness.network.hits(*BROKERS)
        harness.network.isolate(replica.pid, *BROKERS)
        seconds = SESSION_TIMEOUT_S + 3
        window.hits = harness.wait_for_hit(seconds, lambda: harness.network.hits(*BROKERS) - before)
        harness.network.heal(*BROKERS)
        time.sleep(HEALED_S)
    return window


NETWORK_FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "aep_frozen": cut_aep("AEP frozen", "freeze"),
        "aep_refused": cut_aep("AEP refused", "refuse"),
        "aep_reset": cut_aep("AEP connections reset", "reset"),
        "brokers_frozen": cut_brokers("brokers frozen", "freeze"),
        "brokers_refused": cut_brokers("brokers refused", "refuse"),
        "brokers_reset": cut_brokers("broker connections reset", "reset"),
        "one_broker_cut": one_broker_cut,
        "isolated": isolated,
    }
)
"""Faults of the network, on the track of those of AEP. The schedule of a seed depends on this order."""
