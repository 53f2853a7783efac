"""For each alert, the series that make it fire and those that must not: one value a minute, for up to an hour."""

from __future__ import annotations

from typing import Final

POD: Final = "r-aep-bridge-6d5f9c7b8d-x2k7p"
AT: Final = f"namespace='default',pod='{POD}'"
ANOTHER: Final = "namespace='default',pod='r-aep-bridge-6d5f9c7b8d-m4qzt'"
"""A second pod of the same release."""
NEIGHBOURS: Final = (
    "namespace='default',pod='r-aep-bridge-eu-6d5f9c7b8d-x2k7p'",
    "namespace='default',pod='r-aep-bridge-eu-0'",
    "namespace='default',pod='r-aep-bridge-0'",
    f"namespace='another',pod='{POD}'",
)
"""Pods of other releases: a longer name, as a Deployment and as a StatefulSet; the same name, as a StatefulSet and in another namespace."""

Series = dict[str, str]

LAG, OLDEST, AGE = (
    "aep_bridge_consumer_lag",
    "aep_bridge_oldest_unsettled_seconds",
    "aep_bridge_watermark_age_seconds",
)
TRIED_AGAIN = "1 1 " + " ".join(f"{number} {number}" for number in range(2, 16))
"""Counts one failure every two minutes: the rarest that attempts come at."""


def partition(at: str, lag: str, oldest: str, age: str = "0x60") -> Series:
    """What a pod tells of one partition."""
    return {f"{name}{{{at},AT}}": values for name, values in ((LAG, lag), (OLDEST, oldest), (AGE, age))}


def counted(name: str, labels: str, values: str, start: int = 40) -> dict[str, Series]:
    """A counter that is there from the start, and one that appears with its first event."""
    series = f"aep_bridge_{name}_total{{{labels},AT}}"
    return {
        f"{name} counts": {series: f"0x{start - 1} {values}"},
        f"{name} appears": {series: f"_x{start} {values}"},
    }


BUSY = partition("topic='u',partition='0'", "40 90 5 60x57", "0.4 0.7x59") | {
    "aep_bridge_in_flight{inlet='i',AT}": "3x60",
    "aep_bridge_requests_total{inlet='i',status='207',AT}": "0+600x60",
}

CASES: Final[dict[str, tuple[dict[str, Series], dict[str, Series]]]] = {
    # alert: what it fires for, once, at minute 45; what it fires for at no time
    "AepBridgeLagGrowsIdle": (
        {
            "nobody reads": partition("topic='t',partition='0'", "0+100x60", "0x60"),
            "nobody reads two partitions beside busy ones": BUSY
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
            "ends with the mark of a transaction": partition("topic='t',partition='0'", "1x60", "0x60"),
            "catches up": partition("topic='t',partition='0'", "6100-100x60", "0x60"),
            "an outage of AEP, whose records fill the window": partition(
                "topic='t',partition='0'", "1+100x60", "0+60x60", "0+60x60"
            )
            | partition("topic='t',partition='1'", "1+100x60", "0x60")
            | partition("topic='u',partition='0'", "1+100x60", "0x60"),
        },
    ),
    "AepBridgeDeliveryStalled": (
        {"stands": {f"{AGE}{{topic='t',partition='0',AT}}": "0+60x60"}},
        {"moves every four minutes": {f"{AGE}{{topic='t',partition='0',AT}}": "0 60 120 180 240 " * 12}},
    ),
    "AepBridgeInletHeld": (
        {"held": {"aep_bridge_inlet_held{inlet='i',reason='credentials',AT}": "1x60"}},
        {
            "free": {"aep_bridge_inlet_held{inlet='i',reason='none',AT}": "0x60"},
            "held for a minute": {"aep_bridge_inlet_held{inlet='i',reason='credentials',AT}": "_x20 1 stale"},
        },
    ),
    "AepBridgeDeadLetters": (
        counted("records_dead_lettered", "topic='t',reason='refused'", "1x20"),
        {"none": {"aep_bridge_records_dead_lettered_total{topic='t',reason='refused',AT}": "0x60"}},
    ),
    "AepBridgeDeadLetterTopicUnwritable": (
        counted("dead_letter_failures", "topic='t'", TRIED_AGAIN),
        counted("dead_letter_failures", "topic='t'", "1x30", start=20),
    ),
    "AepBridgeThrottled": (
        {
            "30%": {
                "aep_bridge_requests_total{inlet='i',status='429',AT}": "0+30x60",
                "aep_bridge_requests_total{inlet='i',status='207',AT}": "0+70x60",
            }
        },
        {
            "5%": {
                "aep_bridge_requests_total{inlet='i',status='429',AT}": "0+5x60",
                "aep_bridge_requests_total{inlet='i',status='207',AT}": "0+95x60",
            }
        },
    ),
    "AepBridgeTokenRefreshFails": (
        counted("token_refresh_failures", "inlet='i'", TRIED_AGAIN),
        counted("token_refresh_failures", "inlet='i'", "1x30", start=20),
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
            "starts anew three times": {"process_start_time_seconds{AT}": "100x20 200x5 300x5 400x30"},
            "ends before it is scraped, beside a pod that is well": {
                f"process_start_time_seconds{{{ANOTHER}}}": "100x60",
                "kube_pod_container_status_restarts_total{container='aep-bridge',AT}": "_x36 0 1 2 3 3 3 4 4 4 4 5x20",
            },
            "both know of it": {
                "process_start_time_seconds{AT}": "100x20 200x5 300x5 400x30",
                "kube_pod_container_status_restarts_total{container='aep-bridge',AT}": "0x20 1x5 2x5 3x30",
            },
        },
        {
            "one crash": {
                "process_start_time_seconds{AT}": "100x30 200x30",
                "kube_pod_container_status_restarts_total{container='aep-bridge',AT}": "0x30 1x30",
            },
            "a container beside it": {
                "kube_pod_container_status_restarts_total{container='proxy',AT}": "0+1x60"
            },
        },
    ),
    "AepBridgePossibleLoss": (
        counted("possible_loss", "topic='t'", "1x20") | counted("rewinds", "topic='t'", "1x20"),
        {
            "none": {
                "aep_bridge_possible_loss_total{topic='t',AT}": "0x60",
                "aep_bridge_rewinds_total{topic='t',AT}": "0x60",
            }
        },
    ),
    "AepBridgeAbsent": (
        {"none at all": {}}
        | {
            f"only {other}": {f"aep_bridge_build_info{{version='1',{other}}}": "1x60"} for other in NEIGHBOURS
        },
        {
            "one": {"aep_bridge_build_info{version='1',AT}": "1x60"},
            "its pod is replaced": {
                "aep_bridge_build_info{version='1',AT}": "1x30 stale",
                f"aep_bridge_build_info{{version='1',{ANOTHER}}}": "_x33 1x27",
            },
        },
    ),
}

ENDS: Final[dict[str, tuple[Series, str, str]]] = {
    # what tells of an event: when it fires, and when it is over
    "AepBridgeDeadLetters": (
        {"aep_bridge_records_dead_lettered_total{topic='t',reason='refused',AT}": "_x20 3x40"},
        "25m",
        "40m",
    ),
    "AepBridgePossibleLoss": (
        {
            "aep_bridge_possible_loss_total{topic='t',AT}": "_x10 1x50",
            "aep_bridge_rewinds_total{topic='t',AT}": "0x9 1x50",
        },
        "35m",
        "55m",
    ),
    "AepBridgeRestarts": ({"process_start_time_seconds{AT}": "100x5 200x1 300x1 400x60"}, "20m", "50m"),
}
