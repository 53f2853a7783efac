"""The reference lines, each a process of its own that is tuned as the bridge tunes itself, with its consumer's settings: `reference read|prepare <bootstrap> <topic> <count>`.

`read` consumes and drops. `prepare` also takes the values out, checks each (the bridge's own check) and splices bodies of up to a megabyte, which it
drops. No ledger, no weights, no metrics, nothing sent. CPU is counted from the first record on, imports and the group join are not.
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

from bench.process import cpu_s, threads_s
from bridge.app.service import STATISTICS_MS
from bridge.codec.request import FRAME_BYTES, body
from bridge.codec.routes import Route
from bridge.codec.validation import group_records
from bridge.config.settings_kafka import KafkaSettings
from bridge.model import Format
from bridge.ops import tuning

_AT_ONCE = 500
MAX_BYTES, MAX_MESSAGES = 1_000_000, 1000
"""The bridge's defaults for a batch."""


def consumer_settings(bootstrap: str) -> dict[str, Any]:
    """Those of a bridge at its defaults. Without the marks at the ends of partitions: telling them from records would be work of the bridge's."""
    given = KafkaSettings(
        bootstrap_servers=bootstrap, group_id=f"bench-{uuid.uuid4().hex[:8]}"
    ).consumer_properties()
    statistics = {"statistics.interval.ms": STATISTICS_MS, "stats_cb": lambda _: None}
    return {**statistics, **given, "enable.partition.eof": False}


class Bodies:
    """Pieces to the pieces of one body each. By slices, as `bridge.batcher` takes them: a loop over records would make this line dearer than it has to be."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_messages: int = MAX_MESSAGES) -> None:
        self._max_bytes, self._max_messages = max_bytes, max_messages
        self._open: list[bytes] = []
        self._size = FRAME_BYTES - 1

    def add(self, pieces: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Yields what is full."""
        ends, start = list(accumulate(map(len, pieces))), 0
        while start < len(pieces):
            base, room = ends[start - 1] if start else 0, self._max_bytes - self._size
            fits = min(
                len(pieces) - start,
                self._max_messages - len(self._open),
                bisect_right(ends, base + room, start) - start,
            )
            while fits and ends[start + fits - 1] - base + fits > room:  # with a comma for each
                fits -= 1
            if not fits and not self._open:
                fits = 1
            if fits:
                self._open += pieces[start : start + fits]
                self._size += ends[start + fits - 1] - base + fits
                start += fits
            if start < len(pieces) or len(self._open) >= self._max_messages:
                yield self._open
                self._open, self._size = [], FRAME_BYTES - 1


def main(arguments: list[str]) -> None:
    """Prints one line of JSON."""
    tuning.allocator()
    kind, bootstrap, topic, wanted = arguments[0], arguments[1], arguments[2], int(arguments[3])
    consumer = Consumer(consumer_settings(bootstrap))
    consumer.subscribe([topic])
    route = Route(topic, Format.ENVELOPE, "bench", None)
    bodies, made, seen = Bodies(), 0, 0
    cpu = at = 0.0
    threads: dict[str, float] = {}
    tuning.collector()
    while seen < wanted:
        messages = consumer.consume(_AT_ONCE, 0.02)
        if not messages:
            continue
        if not seen:
            cpu, threads, at = cpu_s(), threads_s(os.getpid()), time.perf_counter()
        seen += len(messages)
        if kind == "read":
            continue
        for run in group_records(route, list(map(Message.value, messages))):
            for full in bodies.add(run.pieces):
                body(full)
                made += 1
    seconds, after = time.perf_counter() - at, threads_s(os.getpid())
    used = {kind: after[kind] - before for kind, before in threads.items()}
    print(
        json.dumps({"s": seconds, "cpu_s": cpu_s() - cpu, "threads": used, "events": seen, "bodies": made}),
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
