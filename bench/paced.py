"""What a bridge at its defaults costs while events come at an even rate, far below what it could do: the CPU of a pod, its idle loop included."""

from __future__ import annotations

import time
from typing import Any

from bench.events import events
from bench.farend import FarEnd
from bench.machine import Lab
from bench.pace import produce
from bench.process import Child, cpu_s
from bench.scenarios import GULPS

LATENCY_MS, LINGER_MS = 30, 5
"""The far end's time to an answer; and how long the producer waits for more events to send together, which is the Kafka clients' own default."""
WARM_S = 2


def paced(lab: Lab, sink: FarEnd, *, per_s: int, seconds: int, gulps: bool) -> dict[str, Any]:
    """`cpu_m`: thousandths of a core while events come, the first `WARM_S` seconds left out. `gulps`: with the consumer's properties of `GULPS`."""
    topic = lab.topic()
    path = lab.config(topic, sink.url, "paced", kafka={"properties": GULPS} if gulps else {})
    values, count = list(events(1000, 1024)), per_s * (WARM_S + seconds)
    marks: list[tuple[float, float]] = []
    with Child(["bridge", "run", "--config", str(path)], lab.folder / "bridge.log") as bridge:

        def value(number: int) -> bytes:
            if number in (per_s * WARM_S, count - 1):
                marks.append((time.perf_counter(), cpu_s(bridge.pid)))
            return values[number % 1000]

        sink.expect(1, 1024)
        produce(lab, topic, lambda _: values[0], per_s=per_s, seconds=1 / per_s)
        sink.result(unless_ended=[bridge])
        sink.expect(count, 1024, latency_ms=LATENCY_MS)
        kept = produce(lab, topic, value, per_s=per_s, seconds=WARM_S + seconds, linger_ms=LINGER_MS)
        result = sink.result(unless_ended=[bridge])
        bridge.stop_well()
    (began, first), (ended, last) = marks
    return {
        "cpu_m": (last - first) / (ended - began) * 1000,
        "events_per_s": kept,
        "requests": result["requests"],
    }
