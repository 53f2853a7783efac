"""A whole bridge process empties a filled topic into a sink: its speed, its CPU and its memory.

Beside it, the reference lines read the same topic, and the sink is measured: it must not be the bottleneck.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.environment.lab import Lab
from bench.environment.process import ChildProcess
from bench.environment.process_usage import peak_memory_mb
from bench.environment.sink_process import SinkProcess
from bench.programs.sink_load import MESSAGES

TAIL = 1000
"""Messages of the last batch at most. It is not full and waits for `linger_ms`, so that the speed is
measured without it."""


@dataclass(frozen=True, slots=True)
class Load:
    """A filled topic, and how the sink answers it."""

    topic: str
    count: int
    size: int
    """Bytes of each event, as it is sent."""
    latency_ms: float = 0
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What differs from the defaults in the configuration file."""
    route: Mapping[str, str] = field(default_factory=dict)
    """What the topic's entry in the configuration file says."""


def throughput(
    lab: Lab, sink: SinkProcess, load: Load, *, module: str = "bridge", wrapper: Sequence[str] = ()
) -> dict[str, Any]:
    """Start a bridge, let it empty the topic, stop it, and return what that cost.

    CPU is counted from the first request to the last 207. Before the first request the client may have
    fetched up to its 10 MB, which is 2% of half a gigabyte; `start_cpu_s` is all CPU until then. `split_us`
    is the same CPU in µs per event by kind of thread. `ceiling_mb` is the bound of its memory that the
    process printed. `first_s` and `last_s` are on the clock of `time.monotonic`. `wrapper`: a command that
    runs the process.
    """
    path = lab.write_config(load.topic, sink.url, "throughput", load.route, **load.sections)
    log = lab.folder / f"throughput-{uuid.uuid4().hex[:8]}.log"
    with ChildProcess([module, "run", "--config", str(path)], log, wrapper=wrapper) as bridge:
        pid = bridge.wrapped_pid() if wrapper else bridge.pid
        sink.start_run(load.count, load.size, tail=TAIL, pids=[pid], latency_ms=load.latency_ms)
        result = sink.result(unless_ended=[bridge])
        peak_mb = peak_memory_mb(pid)
        bridge.stop_cleanly(pid=pid)
        if result["messages"] != load.count:
            raise RuntimeError(f"{result['messages']} of {load.count} messages came:\n{bridge.log_tail()}")
    speed = result["without_tail"]
    events_per_s = speed["messages"] / speed["seconds"]
    [(cpu_before, cpu_after)], [(threads_before, threads_after)] = result["cpu"], result["threads"]
    split = {kind: threads_after[kind] - before for kind, before in threads_before.items()}
    return {
        "events_per_s": events_per_s,
        "mb_per_s": events_per_s * result["bytes"] / load.count / 1e6,
        "cpu_s_per_million": (cpu_after - cpu_before) / load.count * 1e6,
        "split_us": {kind: cpu_s / load.count * 1e6 for kind, cpu_s in split.items()},
        "start_cpu_s": cpu_before,
        "peak_mb": peak_mb,
        "ceiling_mb": _ceiling_mb(log),
        "requests": result["requests"],
        "most_in_flight": result["most_in_flight"],
        "sink_cores": speed["sink_cpu_s"] / speed["seconds"],
        "first_s": result["started_at"],
        "last_s": result["started_at"] + result["seconds"],
    }


def _ceiling_mb(log: Path) -> float | None:
    """Return MB of 1,000,000 bytes, from the line that a bridge logs at start; None where it logs nothing."""
    for line in log.read_text(errors="replace").splitlines():
        if "memory.ceiling" in line:
            return float(json.loads(line)["bytes"]) / 1e6
    return None


def reference(lab: Lab, kind: str, topic: str, count: int) -> dict[str, Any]:
    """Measure the reference line `read` or `prepare`."""
    arguments = ["bench.programs.reference_consumer", kind, lab.kafka.bootstrap(), topic, str(count)]
    with ChildProcess(arguments, lab.folder / "reference.log", pipes=True) as child:
        result = json.loads(child.read_line())
        if code := child.process.wait(60):
            raise RuntimeError(f"exit code {code}:\n{child.log_tail()}")
    events = result["events"]
    return {
        "events_per_s": events / result["seconds"],
        "cpu_s_per_million": result["cpu_s"] / events * 1e6,
        "split_us": {kind: cpu_s / events * 1e6 for kind, cpu_s in result["threads"].items()},
    }


def sink_capacity(lab: Lab, sink: SinkProcess, *, requests: int) -> dict[str, Any]:
    """Measure what the sink takes of a load that costs nothing to make: the same request again and again."""
    arguments = ["bench.programs.sink_load", str(sink.port), str(lab.ca) if sink.tls else "-", str(requests)]
    with ChildProcess(arguments, lab.folder / "sink_load.log") as child:
        sink.start_run(requests * MESSAGES, 1024)
        result = sink.result()
        if code := child.process.wait(60):
            raise RuntimeError(f"exit code {code}:\n{child.log_tail()}")
    speed = result["without_tail"]
    return {
        "events_per_s": speed["messages"] / speed["seconds"],
        "sink_cores": speed["sink_cpu_s"] / speed["seconds"],
    }
