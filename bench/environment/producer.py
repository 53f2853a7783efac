"""Produce events to a topic: all at once, or at an even rate, each at its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import Producer

_TICK_S = 0.002
"""Events that are due within so short a time go out together: to sleep before each of 10,000 events per
second would cost more than to produce them."""


def produce_all(
    properties: Mapping[str, Any], topic: str, values: Iterable[bytes], *, partitions: int
) -> None:
    """Produce the values to the topic's partitions in turn, as fast as possible.

    Raise RuntimeError if some are left.
    """
    producer = Producer({**properties, "linger.ms": 50, "queue.buffering.max.kbytes": 262_144, "acks": "1"})
    for number, value in enumerate(values):
        while True:
            try:
                producer.produce(topic, value, partition=number % partitions)
                break
            except BufferError:  # the queue is full: let the client send
                producer.poll(0.05)
    if left := producer.flush(120):
        raise RuntimeError(f"the broker did not take {left} events for {topic}")


def produce_at_rate(
    properties: Mapping[str, Any],
    topic: str,
    value: Callable[[int], bytes],
    *,
    per_s: int,
    seconds: float,
    partitions: int,
    linger_ms: int = 0,
) -> float:
    """Produce `value(number)` for each number to the partitions in turn, and return the rate that was kept.

    Each event goes out by itself, unless `linger_ms` lets some go together. The broker has all of them at the
    end. The rate is in events per second.
    """
    producer = Producer({**properties, "linger.ms": linger_ms, "acks": "1"})
    count, start = int(per_s * seconds), time.perf_counter()
    tick = _TICK_S if per_s * _TICK_S > 2 else 0.0
    for number in range(count):
        ahead = start + number / per_s - time.perf_counter()
        if ahead > tick or (ahead > 0 and not tick):
            time.sleep(ahead)
        producer.produce(topic, value(number), partition=number % partitions)
        producer.poll(0)
    seconds_taken = time.perf_counter() - start
    producer.flush()
    return count / seconds_taken
