"""What a bridge costs while events come at an even rate, far below what it could do: the CPU of a pod.

The CPU of its idle loop is included.
"""

from __future__ import annotations

import time
from typing import Any

from bench.environment.events import PARTITIONS, events
from bench.environment.lab import Lab
from bench.environment.process_usage import cpu_s
from bench.environment.producer import produce_at_rate
from bench.environment.sink_process import SinkProcess
from bench.measurements.large_fetches import LARGE_FETCHES

RESPONSE_MS = 30
"""How long the sink takes to answer."""
PRODUCER_LINGER_MS = 5
"""How long the producer waits for more events to send together: the default of Kafka's clients."""
WARM_UP_S = 2


def steady_rate(
    lab: Lab, sink: SinkProcess, *, per_s: int, seconds: int, large_fetches: bool
) -> dict[str, Any]:
    """Return the CPU in thousandths of a core (`cpu_m`), without the first `WARM_UP_S` seconds."""
    topic = lab.create_topic()
    kafka = {"properties": LARGE_FETCHES} if large_fetches else {}
    path = lab.write_config(topic, sink.url, "steady", kafka=kafka)
    values, count = list(events(1000, 1024)), per_s * (WARM_UP_S + seconds)
    usage: list[tuple[float, float]] = []
    with lab.start_bridge(path) as bridge:

        def value(number: int) -> bytes:
            if number in (per_s * WARM_UP_S, count - 1):
                usage.append((time.perf_counter(), cpu_s(bridge.pid)))
            return values[number % 1000]

        properties = lab.kafka.properties()
        sink.start_run(1, 1024)
        produce_at_rate(
            properties, topic, lambda _: values[0], per_s=per_s, seconds=1 / per_s, partitions=PARTITIONS
        )
        sink.result(unless_ended=[bridge])
        sink.start_run(count, 1024, latency_ms=RESPONSE_MS)
        events_per_s = produce_at_rate(
            properties,
            topic,
            value,
            per_s=per_s,
            seconds=WARM_UP_S + seconds,
            partitions=PARTITIONS,
            linger_ms=PRODUCER_LINGER_MS,
        )
        result = sink.result(unless_ended=[bridge])
        bridge.stop_cleanly()
    (started, cpu_before), (ended, cpu_after) = usage
    return {
        "cpu_m": (cpu_after - cpu_before) / (ended - started) * 1000,
        "events_per_s": events_per_s,
        "requests": result["requests"],
    }
