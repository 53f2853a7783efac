"""Latency of an idle bridge at 1,000 events per second, from the producer to the sink."""

from __future__ import annotations

import time
from random import Random
from typing import Any

from bench.environment.events import PARTITIONS, event
from bench.environment.lab import Lab
from bench.environment.producer import produce_at_rate
from bench.environment.sink_process import SinkProcess

PER_S = 1000
WARM_UP_S = 3


def percentile(values: list[float], share: float) -> float:
    """Return a percentile of a sorted list."""
    return values[min(len(values) - 1, int(len(values) * share))]


def latency(lab: Lab, sink: SinkProcess, *, linger_ms: int, seconds: int) -> dict[str, Any]:
    """Return percentiles in milliseconds, and the rate that was kept, without the first `WARM_UP_S` seconds.

    Each event holds the time at which it was produced; the clock stops when the whole request has come.
    """
    topic = lab.create_topic()
    path = lab.write_config(topic, sink.url, "latency", batch={"linger_ms": linger_ms})
    template = event(0, 1024, Random(1)).replace(
        b'"eventType":"web.webpagedetails.pageViews"', b'"sent_ns":%019d'
    )

    def produce(duration_s: float) -> float:
        return produce_at_rate(
            lab.kafka.properties(),
            topic,
            lambda _: template % time.time_ns(),
            per_s=PER_S,
            seconds=duration_s,
            partitions=PARTITIONS,
        )

    with lab.start_bridge(path) as bridge:
        sink.start_run(1, 1, stamps=True)
        produce(1 / PER_S)
        sink.result(unless_ended=[bridge])
        sink.start_run(PER_S * (seconds + WARM_UP_S), 1, stamps=True)
        events_per_s = produce(seconds + WARM_UP_S)
        result = sink.result(unless_ended=[bridge])
        bridge.stop_cleanly()
    latencies = sorted(result["latencies_ms"][PER_S * WARM_UP_S :])
    return {
        "p50": percentile(latencies, 0.5),
        "p99": percentile(latencies, 0.99),
        "p999": percentile(latencies, 0.999),
        "events": len(latencies),
        "events_per_s": events_per_s,
        "requests": result["requests"],
    }
