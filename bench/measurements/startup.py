"""How long a bridge takes from the start of its process to its first 207, the group join included."""

from __future__ import annotations

import time

from bench.environment.lab import Lab
from bench.environment.sink_process import SinkProcess

DEFAULT_DELAY_MS = 3000
"""Kafka's default of `group.initial.rebalance.delay.ms`: how long an empty group waits for more members."""


def startup(lab: Lab, sink: SinkProcess, topic: str) -> dict[str, float]:
    """Return the seconds (`s`). The topic is filled, so that no batch has to linger."""
    path = lab.write_config(topic, sink.url, "startup")
    sink.start_run(1, 1024)
    started = time.time()
    with lab.start_bridge(path) as bridge:
        seconds = float(sink.result(unless_ended=[bridge])["ended_at"]) - started
        bridge.stop_cleanly()
    return {"s": seconds}


def startup_with_default_delay(sink: SinkProcess, events: int) -> dict[str, float]:
    """Return the same for a broker that delays a group's first rebalance as Kafka does by default.

    The first group is not measured: the broker creates its topic of offsets for it.
    """
    with Lab({"group.initial.rebalance.delay.ms": str(DEFAULT_DELAY_MS)}) as lab:
        topic = lab.create_filled_topic(events, 1024)
        startup(lab, sink, topic)
        return startup(lab, sink, topic)
