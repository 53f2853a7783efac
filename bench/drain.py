"""One run: a bridge process empties a filled topic into a sink, and what that cost. The reference lines run over the same topic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from bench.machine import Lab
from bench.process import Child, peak_mb

INLET = "0123456789abcdef" * 4


def url_of(sink: Child, *, tls: bool) -> str:
    """The inlet's address at a sink."""
    return f"http{'s' if tls else ''}://127.0.0.1:{cast('Any', sink).port}/collection/{INLET}"


def drain(
    lab: Lab,
    sink: Child,
    topic: str,
    *,
    count: int,
    size: int,
    tls: bool,
    latency_ms: float = 0,
    bare: bool = False,
    cwd: Path | None = None,
    **sections: dict[str, Any],
) -> dict[str, Any]:
    """The whole process is started, empties the topic, and is stopped. CPU is counted from the first request to the last 207.

    Beforehand the client may have fetched up to its 16 MB, which is 3% of half a gigabyte; `process_cpu_s` is everything, start and end included.
    """
    path = lab.config(topic, url_of(sink, tls=tls), "drain", **sections)
    with Child(["bench.bare" if bare else "bridge", "run", "--config", str(path)], lab.folder / "bridge.log", cwd=cwd) as bridge:
        sink.ask(json.dumps({"expect": count, "size": size, "pids": [bridge.pid], "latency_ms": latency_ms}))
        result = json.loads(sink.hear())
        before, after = result["cpu"][0]
        peak = peak_mb(bridge.pid)
        code = bridge.stop()
        if code != 0 or result["messages"] != count:
            raise RuntimeError(f"exit code {code}, {result['messages']} of {count} messages:\n{bridge.tail()}")
    seconds = result["s"]
    return {
        "events_per_s": count / seconds,
        "mb_per_s": result["bytes"] / seconds / 1e6,
        "cpu_s_per_million": (after - before) / count * 1e6,
        "start_cpu_s": before,
        "peak_mb": peak,
        "requests": result["requests"],
        "busiest": result["busiest"],
        "sink_load": result["sink_cpu_s"] / seconds,
    }


def reference(lab: Lab, kind: str, topic: str, count: int) -> dict[str, Any]:
    """`read` or `prepare`."""
    with Child(["bench.reference", kind, lab.kafka.bootstrap(), topic, str(count)], lab.folder / "reference.log", pipes=True) as child:
        result = json.loads(child.hear())
        child.process.wait(60)
    return {"events_per_s": result["events"] / result["s"], "cpu_s_per_million": result["cpu_s"] / result["events"] * 1e6}
