"""One run: a bridge process empties a filled topic into a sink, and what that cost. The reference lines run over the same topic."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.farend import FarEnd
from bench.flood import MESSAGES
from bench.machine import Lab
from bench.process import Child, peak_mb

TAIL = 1000
"""Messages of the last batch, which is not full: it waits for `linger_ms`, and is left out of what was done in a second."""


@dataclass(frozen=True, slots=True)
class Load:
    """A filled topic, and how the sink takes it."""

    topic: str
    count: int
    size: int
    """Bytes of each event, as it is sent."""
    latency_ms: float = 0
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What differs from the defaults in the configuration file."""
    route: Mapping[str, str] = field(default_factory=dict)
    """What its mapping says of the topic."""


def drain(
    lab: Lab, sink: FarEnd, load: Load, *, module: str = "bridge", before: Sequence[str] = ()
) -> dict[str, Any]:
    """The whole process is started, empties the topic, and is stopped. CPU is counted from the first request to the last 207.

    Beforehand the client may have fetched up to its 10 MB, which is 2% of half a gigabyte; `start_cpu_s` is all that was used until then. `split_us` is
    the same CPU in µs an event by kind of thread; `ceiling_mb` is what the process printed as its memory's bound; `first_s` and `last_s` are on the
    clock of `time.monotonic`. `before`: a command that runs it.
    """
    path = lab.config(load.topic, sink.url, "drain", load.route, **load.sections)
    log = lab.folder / f"drain-{uuid.uuid4().hex[:8]}.log"
    with Child([module, "run", "--config", str(path)], log, before=before) as bridge:
        pid = bridge.inner() if before else bridge.pid
        sink.expect(load.count, load.size, tail=TAIL, pids=[pid], latency_ms=load.latency_ms)
        result = sink.result(unless_ended=[bridge])
        peak = peak_mb(pid)
        bridge.stop_well(pid=pid)
        if result["messages"] != load.count:
            raise RuntimeError(f"{result['messages']} of {load.count} messages:\n{bridge.tail()}")
    count = load.count
    full_s, full, sink_cpu_s = result["full"]
    (first, last), (threads, threads_after) = result["cpu"][0], result["threads"][0]
    return {
        "events_per_s": full / full_s,
        "mb_per_s": full / full_s * result["bytes"] / count / 1e6,
        "cpu_s_per_million": (last - first) / count * 1e6,
        "split_us": {kind: (threads_after[kind] - threads[kind]) / count * 1e6 for kind in threads},
        "start_cpu_s": first,
        "peak_mb": peak,
        "ceiling_mb": _ceiling_mb(log),
        "requests": result["requests"],
        "busiest": result["busiest"],
        "sink_load": sink_cpu_s / full_s,
        "first_s": result["first_s"],
        "last_s": result["first_s"] + result["s"],
    }


def _ceiling_mb(log: Path) -> float | None:
    """MB of 1,000,000 bytes, out of the line that every start prints; a process without logging prints none."""
    line = next(
        (line for line in log.read_text(errors="replace").splitlines() if "memory.ceiling" in line), None
    )
    return None if line is None else float(json.loads(line)["bytes"]) / 1e6


def reference(lab: Lab, kind: str, topic: str, count: int) -> dict[str, Any]:
    """`read` or `prepare`."""
    with Child(
        ["bench.reference", kind, lab.kafka.bootstrap(), topic, str(count)],
        lab.folder / "reference.log",
        pipes=True,
    ) as child:
        result = json.loads(child.hear())
        if code := child.process.wait(60):
            raise RuntimeError(f"exit code {code}:\n{child.tail()}")
    return {
        "events_per_s": result["events"] / result["s"],
        "cpu_s_per_million": result["cpu_s"] / result["events"] * 1e6,
        "split_us": {kind: value / result["events"] * 1e6 for kind, value in result["threads"].items()},
    }


def flood(lab: Lab, sink: FarEnd, *, requests: int) -> dict[str, Any]:
    """What the sink takes when nobody has to make the requests: the same megabyte again and again, over as many connections as the bridge has."""
    arguments = ["bench.flood", str(sink.port), str(lab.ca) if sink.tls else "-", str(requests)]
    with Child(arguments, lab.folder / "flood.log") as child:
        sink.expect(requests * MESSAGES, 1024)
        result = sink.result()
        if code := child.process.wait(60):
            raise RuntimeError(f"exit code {code}:\n{child.tail()}")
    seconds, messages, cpu = result["full"]
    return {"events_per_s": messages / seconds, "sink_load": cpu / seconds}
