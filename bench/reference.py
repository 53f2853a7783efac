"""The reference lines, each a process of its own over the bridge's own consumer settings: `reference read|prepare <bootstrap> <topic> <count>`.

`read` consumes and drops. `prepare` also takes the values out, checks each (the bridge's own check) and splices bodies of up to a megabyte, which it
drops. No ledger, no weights, no metrics, nothing sent. CPU is counted from the first record on, imports and the group join are not.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid

from confluent_kafka import Consumer, Message

from bench.process import cpu_s, threads_s
from bridge.model import Format
from bridge.payload import FRAME, body
from bridge.routing import Route, sort
from bridge.source import DEFAULTS

_AT_ONCE = 500


def main(arguments: list[str]) -> None:
    """Prints one line of JSON."""
    kind, bootstrap, topic, wanted = arguments[0], arguments[1], arguments[2], int(arguments[3])
    ours = {"bootstrap.servers": bootstrap, "group.id": f"bench-{uuid.uuid4().hex[:8]}", "enable.auto.commit": False}
    consumer = Consumer({**DEFAULTS, **ours})
    consumer.subscribe([topic])
    route = Route(topic, Format.ENVELOPE, "bench", None)
    pieces: list[bytes] = []
    size, bodies, seen = FRAME, 0, 0
    cpu = at = 0.0
    threads: dict[str, float] = {}
    while seen < wanted:
        messages = consumer.consume(_AT_ONCE, 0.02)
        if not messages:
            continue
        if not seen:
            cpu, threads, at = cpu_s(), threads_s(os.getpid()), time.perf_counter()
        seen += len(messages)
        if kind == "read":
            continue
        for run in sort(route, list(map(Message.value, messages))):
            for piece in run.pieces:
                if size + len(piece) + 1 > 1_000_000 or len(pieces) == 1000:
                    body(pieces)
                    bodies += 1
                    pieces, size = [], FRAME
                pieces.append(piece)
                size += len(piece) + 1
    seconds, after = time.perf_counter() - at, threads_s(os.getpid())
    used = {kind: after[kind] - before for kind, before in threads.items()}
    print(json.dumps({"s": seconds, "cpu_s": cpu_s() - cpu, "threads": used, "events": seen, "bodies": bodies}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
