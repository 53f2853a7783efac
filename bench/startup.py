"""From the start of the process to its first 207, the group join included."""

from __future__ import annotations

import time

from bench.farend import FarEnd
from bench.machine import Lab
from bench.process import Child

DELAY_MS = 3000
"""Kafka's default of `group.initial.rebalance.delay.ms`: so long an empty group waits for more members before the first one may begin."""


def startup(lab: Lab, sink: FarEnd, topic: str) -> dict[str, float]:
    """`s`: seconds. The topic is filled, so that no linger is waited for."""
    path = lab.config(topic, sink.url, "startup")
    sink.expect(1, 1024)
    began = time.time()
    with Child(["bridge", "run", "--config", str(path)], lab.folder / "bridge.log") as bridge:
        took = float(sink.result(unless_ended=[bridge])["at"]) - began
        bridge.stop_well()
    return {"s": took}


def delayed(sink: FarEnd, events: int) -> dict[str, float]:
    """The same on a broker of its own that waits as Kafka does by default. The first group is not looked at: for it the broker makes its topic of offsets."""
    with Lab({"group.initial.rebalance.delay.ms": str(DELAY_MS)}) as lab:
        topic = lab.filled(events, 1024)
        startup(lab, sink, topic)
        return startup(lab, sink, topic)
