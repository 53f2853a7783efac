"""A producer that keeps a rate: so many events a second, each on its time."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import Producer

from bench.events import PARTITIONS
from bench.machine import Lab

_TICK_S = 0.002
"""What is due within so short a time goes out together: to sleep for each of 10,000 a second would cost more than to produce them."""


def produce(
    lab: Lab, topic: str, value: Callable[[int], bytes], *, per_s: int, seconds: float, linger_ms: int = 0
) -> float:
    """Over the partitions in turn, each event by itself unless `linger_ms` lets some go together. The rate that was kept, in events a second; returns when the broker has them all."""
    producer = Producer({**lab.kafka.properties(), "linger.ms": linger_ms, "acks": "1"})
    count, start = int(per_s * seconds), time.perf_counter()
    tick = _TICK_S if per_s * _TICK_S > 2 else 0.0
    for number in range(count):
        ahead = start + number / per_s - time.perf_counter()
        if ahead > tick or (ahead > 0 and not tick):
            time.sleep(ahead)
        producer.produce(topic, value(number), partition=number % PARTITIONS)
        producer.poll(0)
    took = time.perf_counter() - start
    producer.flush()
    return count / took
