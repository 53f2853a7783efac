"""From the producer's clock to the whole request at the far end: 1,000 events a second into an idle bridge, at several lingers."""

from __future__ import annotations

import time
from random import Random
from typing import Any

from bench.events import event
from bench.farend import FarEnd
from bench.machine import Lab
from bench.pace import produce
from bench.process import Child

PER_S = 1000
WARM_S = 3


def percentile(values: list[float], share: float) -> float:
    """Of a sorted list."""
    return values[min(len(values) - 1, int(len(values) * share))]


def latency(lab: Lab, sink: FarEnd, *, linger_ms: int, seconds: int) -> dict[str, Any]:
    """Percentiles in milliseconds, and the rate that was kept; the first `WARM_S` seconds don't count. The clock stops when a request's body has come."""
    topic = lab.topic()
    path = lab.config(topic, sink.url, "latency", batch={"linger_ms": linger_ms})
    template = event(0, 1024, Random(1)).replace(
        b'"eventType":"web.webpagedetails.pageViews"', b'"sent_ns":%019d'
    )
    with Child(["bridge", "run", "--config", str(path)], lab.folder / "bridge.log") as bridge:
        sink.expect(1, 1, stamps=True)
        produce(lab, topic, lambda _: template % time.time_ns(), per_s=PER_S, seconds=1 / PER_S)
        sink.result(unless_ended=[bridge])
        sink.expect(PER_S * (seconds + WARM_S), 1, stamps=True)
        kept = produce(lab, topic, lambda _: template % time.time_ns(), per_s=PER_S, seconds=seconds + WARM_S)
        result = sink.result(unless_ended=[bridge])
        bridge.stop_well()
    took = sorted(result["took_ms"][PER_S * WARM_S :])
    percentiles = {
        name: percentile(took, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }
    return {**percentiles, "events": len(took), "events_per_s": kept, "requests": result["requests"]}
