"""From the producer's clock to the 207: 1,000 events a second into an idle bridge, at several lingers."""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any

from confluent_kafka import Producer

from bench.drain import url_of
from bench.events import event
from bench.machine import PARTITIONS, Lab
from bench.process import Child

PER_S = 1000
_WARM_S = 3


def percentile(values: list[float], share: float) -> float:
    """Of a sorted list."""
    return values[min(len(values) - 1, int(len(values) * share))]


def latency(lab: Lab, sink: Child, *, linger_ms: int, seconds: int) -> dict[str, Any]:
    """Percentiles in milliseconds; the first seconds don't count."""
    topic = lab.topic()
    path = lab.config(topic, url_of(sink, tls=False), "latency", batch={"linger_ms": linger_ms})
    template = event(0, 1024, Random(1)).replace(b'"eventType":"web.webpagedetails.pageViews"', b'"sent_ns":%019d')
    producer = Producer({**lab.kafka.properties(), "linger.ms": 0, "acks": "1"})
    with Child(["bridge", "run", "--config", str(path)], lab.folder / "bridge.log") as bridge:
        sink.ask(json.dumps({"expect": 1, "size": 1, "stamps": True}))
        producer.produce(topic, template % time.time_ns(), partition=0)
        producer.flush()
        sink.hear(unless_ended=bridge)
        count = PER_S * (seconds + _WARM_S)
        sink.ask(json.dumps({"expect": count, "size": 1, "stamps": True, "pids": [bridge.pid]}))
        start = time.perf_counter()
        for number in range(count):
            ahead = start + number / PER_S - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            producer.produce(topic, template % time.time_ns(), partition=number % PARTITIONS)
            producer.poll(0)
        producer.flush()
        result = json.loads(sink.hear(unless_ended=bridge))
        bridge.stop()
    took = sorted(result["took_ms"][PER_S * _WARM_S :])
    return {"p50": percentile(took, 0.5), "p99": percentile(took, 0.99), "p999": percentile(took, 0.999), "events": len(took), "requests": result["requests"]}
