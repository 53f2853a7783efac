"""For each alert, the series that make it fire and those that must not: one value a minute, for an hour.

The values are in promtool's notation: `0+100x60` is 0, 100, 200 and so on for 60 minutes, `_x20` is no value
for twenty.
"""

from __future__ import annotations

from typing import Final

POD: Final = "r-aep-bridge-6d5f9c7b8d-x2k7p"
AT: Final = f"namespace='default',pod='{POD}'"
SECOND_POD: Final = "namespace='default',pod='r-aep-bridge-6d5f9c7b8d-m4qzt'"
"""Another pod of the same release."""
OTHER_RELEASES: Final = (
    "namespace='default',pod='r-aep-bridge-eu-6d5f9c7b8d-x2k7p'",
    "namespace='default',pod='r-aep-bridge-eu-0'",
    "namespace='default',pod='r-aep-bridge-0'",
    f"namespace='another',pod='{POD}'",
)
"""Pods of other releases.

Two have a longer name, of a Deployment and of a StatefulSet; two the same name, of a StatefulSet and in
another namespace.
"""

Series = dict[str, str]
"""By series its values. `AT` in the name of a series stands for the labels of the pods under test."""
Cases = dict[str, Series]
"""By description."""

LAG = "aep_bridge_consumer_lag"
OLDEST = "aep_bridge_oldest_unsettled_seconds"
AGE = "aep_bridge_watermark_age_seconds"
FAILS_EVERY_TWO_MINUTES = "1 1 " + " ".join(f"{number} {number}" for number in range(2, 16))
"""A count of failures at the longest back-off."""
REQUESTS_429 = "aep_bridge_requests_total{inlet='i',status='429',AT}"
REQUESTS_207 = "aep_bridge_requests_total{inlet='i',status='207',AT}"
DEAD_LETTERED = "aep_bridge_records_dead_lettered_total{topic='t',reason='refused',AT}"
POSSIBLE_LOSS = "aep_bridge_possible_loss_total{topic='t',AT}"
REWINDS = "aep_bridge_rewinds_total{topic='t',AT}"
STARTED = "process_start_time_seconds{AT}"
RESTARTS = "kube_pod_container_status_restarts_total{container='aep-bridge',AT}"


def partition(at: str, lag: str, oldest: str, age: str = "0x60") -> Series:
    """Return what a pod exports about one partition."""
    return {
        f"{LAG}{{{at},AT}}": lag,
        f"{OLDEST}{{{at},AT}}": oldest,
        f"{AGE}{{{at},AT}}": age,
    }


def counter(name: str, labels: str, values: str, start: int = 40) -> Cases:
    """Return a counter that is there from the start, and one that appears with its first event."""
    series = f"aep_bridge_{name}_total{{{labels},AT}}"
    return {
        f"{name} counts": {series: f"0x{start - 1} {values}"},
        f"{name} appears": {series: f"_x{start} {values}"},
    }


BUSY = partition("topic='u',partition='0'", "40 90 5 60x57", "0.4 0.7x59") | {
    "aep_bridge_in_flight{inlet='i',AT}": "3x60",
    REQUESTS_207: "0+600x60",
}

CASES: Final[dict[str, tuple[Cases, Cases]]] = {
    # By alert: what it fires for, once, at minute 45; what it never fires for.
    "AepBridgeLagGrowsIdle": (
        {
            "nothing is read": partition("topic='t',partition='0'", "0+100x60", "0x60"),
            "two partitions are not read beside busy ones": BUSY
            | partition("topic='t',partition='0'", "0+100x60", "0x60")
            | partition("topic='t',partition='1'", "0+100x60", "0x60")
            | partition("topic='t',partition='2'", "30+1x60", "0.4x60"),
            "records come once an hour": partition("topic='t',partition='0'", "100x37 200x22", "0x60"),
        },
        {
            "busy, with more and more to do": partition("topic='t',partition='0'", "10+1x60", "0.4x60"),
            "a slow trickle": partition("topic='t',partition='0'", "0 1 " * 30, "0x60"),
            "a burst that is read in eight minutes": partition(
                "topic='t',partition='0'", "0x19 0+10x8 0x40", "0x60"
            ),
            "the last offset is the marker of a transaction": partition(
                "topic='t',partition='0'", "1x60", "0x60"
            ),
            "the lag sinks": partition("topic='t',partition='0'", "6100-100x60", "0x60"),
            "an outage of AEP, whose records fill the window": partition(
                "topic='t',partition='0'", "1+100x60", "0+60x60", "0+60x60"
            )
            | partition("topic='t',partition='1'", "1+100x60", "0x60")
            | partition("topic='u',partition='0'", "1+100x60", "0x60"),
        },
    ),
    "AepBridgeDeliveryStalled": (
        {"the watermark stands": {f"{AGE}{{topic='t',partition='0',AT}}": "0+60x60"}},
        {
            "the watermark moves every four minutes": {
                f"{AGE}{{topic='t',partition='0',AT}}": "0 60 120 180 240 " * 12
            }
        },
    ),
    "AepBridgeInletHeld": (
        {"held": {"aep_bridge_inlet_held{inlet='i',reason='credentials',AT}": "1x60"}},
        {
            "not held": {"aep_bridge_inlet_held{inlet='i',reason='none',AT}": "0x60"},
            "held for a minute": {"aep_bridge_inlet_held{inlet='i',reason='credentials',AT}": "_x20 1 stale"},
        },
    ),
    "AepBridgeDeadLetters": (
        counter("records_dead_lettered", "topic='t',reason='refused'", "1x20"),
        {"none": {DEAD_LETTERED: "0x60"}},
    ),
    "AepBridgeDeadLetterTopicUnwritable": (
        counter("dead_letter_failures", "topic='t'", FAILS_EVERY_TWO_MINUTES),
        counter("dead_letter_failures", "topic='t'", "1x30", start=20),
    ),
    "AepBridgeThrottled": (
        {"30%": {REQUESTS_429: "0+30x60", REQUESTS_207: "0+70x60"}},
        {"5%": {REQUESTS_429: "0+5x60", REQUESTS_207: "0+95x60"}},
    ),
    "AepBridgeTokenRefreshFails": (
        counter("token_refresh_failures", "inlet='i'", FAILS_EVERY_TWO_MINUTES),
        counter("token_refresh_failures", "inlet='i'", "1x30", start=20),
    ),
    "AepBridgeCommitsFail": (
        {"none for half an hour": {"aep_bridge_commit_age_seconds{AT}": "0x30 0+60x30"}},
        {"one fails": {"aep_bridge_commit_age_seconds{AT}": "0 0.4 0.1 0x20 30 90 0x40"}},
    ),
    "AepBridgeRebalanceStorm": (
        {"two a minute": {"aep_bridge_rebalances_total{kind='revoked',AT}": "0+2x60"}},
        {
            "a rolling restart": {
                "aep_bridge_rebalances_total{kind='revoked',AT}": "0x30 1 2 3x30",
                "aep_bridge_rebalances_total{kind='assigned',AT}": "0+5x60",
            }
        },
    ),
    "AepBridgePodWithoutPartitions": (
        {"none": {"aep_bridge_assigned_partitions{AT}": "0x60"}},
        {"none for ten minutes": {"aep_bridge_assigned_partitions{AT}": "4x20 0x9 4x40"}},
    ),
    "AepBridgeRestarts": (
        {
            "starts again three times": {STARTED: "100x20 200x5 300x5 400x30"},
            "ends before it is scraped, beside a pod that is well": {
                f"process_start_time_seconds{{{SECOND_POD}}}": "100x60",
                RESTARTS: "_x36 0 1 2 3 3 3 4 4 4 4 5x20",
            },
            "both metrics show it": {
                STARTED: "100x20 200x5 300x5 400x30",
                RESTARTS: "0x20 1x5 2x5 3x30",
            },
        },
        {
            "one crash": {STARTED: "100x30 200x30", RESTARTS: "0x30 1x30"},
            "a container beside it": {
                "kube_pod_container_status_restarts_total{container='proxy',AT}": "0+1x60"
            },
        },
    ),
    "AepBridgePossibleLoss": (
        counter("possible_loss", "topic='t'", "1x20") | counter("rewinds", "topic='t'", "1x20"),
        {"none": {POSSIBLE_LOSS: "0x60", REWINDS: "0x60"}},
    ),
    "AepBridgeAbsent": (
        {"none at all": {}}
        | {
            f"only {other}": {f"aep_bridge_build_info{{version='1',{other}}}": "1x60"}
            for other in OTHER_RELEASES
        },
        {
            "one": {"aep_bridge_build_info{version='1',AT}": "1x60"},
            "its pod is replaced": {
                "aep_bridge_build_info{version='1',AT}": "1x30 stale",
                f"aep_bridge_build_info{{version='1',{SECOND_POD}}}": "_x33 1x27",
            },
        },
    ),
}

RESOLVED: Final[dict[str, tuple[Series, str, str]]] = {
    # By alert about a single event: its series, when it fires, and when it is over.
    "AepBridgeDeadLetters": ({DEAD_LETTERED: "_x20 3x40"}, "25m", "40m"),
    "AepBridgePossibleLoss": ({POSSIBLE_LOSS: "_x10 1x50", REWINDS: "0x9 1x50"}, "35m", "55m"),
    "AepBridgeRestarts": ({STARTED: "100x5 200x1 300x1 400x60"}, "20m", "50m"),
}
