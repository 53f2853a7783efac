"""The reference lines: what reading alone costs, and what reading, validating and building bodies cost.

    python -m bench.programs.reference_consumer read|prepare BOOTSTRAP TOPIC COUNT

writes one line of JSON.

`read` consumes records and drops them. `prepare` also takes the values out, validates them with the
bridge's own code, and builds request bodies of up to a megabyte, which it drops: no offsets, no weights, no
metrics, nothing is sent. The process has the bridge's consumer settings and its tuning of allocator and
garbage collector. CPU is counted from the first record on, without the imports and the group join.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from confluent_kafka import Consumer, Message

from bench.environment.process_usage import cpu_s, cpu_s_by_thread
from bridge.app.service import STATISTICS_MS
from bridge.codec.request import FRAME_BYTES, body
from bridge.codec.routes import Route
from bridge.codec.validation import group_records
from bridge.config.settings_kafka import KafkaSettings
from bridge.model import Format
from bridge.ops import tuning

_READ_AT_ONCE = 500
MAX_BYTES, MAX_MESSAGES = 1_000_000, 1000
"""The bridge's defaults for a batch."""


def consumer_settings(bootstrap: str) -> dict[str, Any]:
    """Return the settings of a bridge at its defaults, but for the marks at the ends of partitions.

    To tell those marks from records is work of the bridge's, which a plain consumer does not have.
    """
    configured = KafkaSettings(
        bootstrap_servers=bootstrap, group_id=f"bench-{uuid.uuid4().hex[:8]}"
    ).consumer_properties()
    statistics = {"statistics.interval.ms": STATISTICS_MS, "stats_cb": lambda _: None}
    return {**statistics, **configured, "enable.partition.eof": False}


class Bodies:
    """Cut messages into request bodies, by slices as the bridge's batcher does.

    A loop over single records would make the reference line dearer than it has to be.
    """

    def __init__(self, max_bytes: int = MAX_BYTES, max_messages: int = MAX_MESSAGES) -> None:
        self._max_bytes, self._max_messages = max_bytes, max_messages
        self._open: list[bytes] = []
        self._size = FRAME_BYTES - 1

    def add(self, pieces: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Add messages, and yield those of each body that is full."""
        ends, start = list(accumulate(map(len, pieces))), 0
        while start < len(pieces):
            base, room = ends[start - 1] if start else 0, self._max_bytes - self._size
            fits = min(
                len(pieces) - start,
                self._max_messages - len(self._open),
                bisect_right(ends, base + room, start) - start,
            )
            while fits and ends[start + fits - 1] - base + fits > room:  # each message needs a comma, too
                fits -= 1
            if not fits and not self._open:  # a message may be larger than a body: it goes alone
                fits = 1
            if fits:
                self._open += pieces[start : start + fits]
                self._size += ends[start + fits - 1] - base + fits
                start += fits
            if start < len(pieces) or len(self._open) >= self._max_messages:
                yield self._open
                self._open, self._size = [], FRAME_BYTES - 1


def main(arguments: list[str]) -> None:
    """Consume COUNT records, and write what that cost."""
    tuning.tune_allocator()
    kind, bootstrap, topic, wanted = arguments[0], arguments[1], arguments[2], int(arguments[3])
    consumer = Consumer(consumer_settings(bootstrap))
    consumer.subscribe([topic])
    route = Route(topic, Format.ENVELOPE, "bench", None)
    bodies, body_count, record_count = Bodies(), 0, 0
    cpu_before = started = 0.0
    threads_before: dict[str, float] = {}
    tuning.tune_garbage_collector()
    while record_count < wanted:
        messages = consumer.consume(_READ_AT_ONCE, 0.02)
        if not messages:
            continue
        if not record_count:
            cpu_before, threads_before = cpu_s(), cpu_s_by_thread(os.getpid())
            started = time.perf_counter()
        record_count += len(messages)
        if kind == "read":
            continue
        for run in group_records(route, list(map(Message.value, messages))):
            for pieces in bodies.add(run.pieces):
                body(pieces)
                body_count += 1
    seconds, threads_after = time.perf_counter() - started, cpu_s_by_thread(os.getpid())
    result = {
        "seconds": seconds,
        "cpu_s": cpu_s() - cpu_before,
        "threads": {name: threads_after[name] - before for name, before in threads_before.items()},
        "events": record_count,
        "bodies": body_count,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
