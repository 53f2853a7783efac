"""Where the CPU goes: the timed parts of the bridge, and `perf`'s samples by thread and library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from bench.environment.lab import Lab
from bench.environment.sink_process import SinkProcess
from bench.measurements.throughput import Load, throughput

LIBRARIES = (
    ("kernel", ("[kernel", "[vdso]")),
    ("OpenSSL", ("libcrypto", "libssl", "_ssl.")),
    ("Kafka's client", ("librdkafka", "cimpl.")),
    ("msgspec", ("_core.",)),
    ("libc: copies, allocation, locks", ("libc.so", "libc-", "libpthread")),
    ("Python", ("python",)),
)
"""What a library is called in the table, and what the names of its files contain. The first match counts."""
_SAMPLES_PER_S = 499


def timed_parts(lab: Lab, sink: SinkProcess, load: Load) -> dict[str, Any]:
    """Return µs per record by part, beside what the whole process used."""
    path = lab.folder / "times.json"
    os.environ["BENCH_TIMES"] = str(path)
    cost = throughput(lab, sink, load, module="bench.programs.bridge_with_timers")
    parts_us = {part: us / load.count for part, us in json.loads(path.read_text()).items()}
    return {"parts_us": parts_us, "split_us": cost["split_us"], "cpu_us": cost["cpu_s_per_million"]}


def perf_samples(lab: Lab, sink: SinkProcess, load: Load) -> dict[str, Any]:
    """Return µs per record by kind of thread and library, from samples.

    Samples count between the first request and the last 207. Where perf is not installed or not allowed
    there are none, and the result is empty.
    """
    path = lab.folder / "perf.data"
    if not _perf_works(path):
        return {}
    record = ["perf", "record", "--quiet", "--clockid", "mono", "--freq", str(_SAMPLES_PER_S)]
    cost = throughput(lab, sink, load, wrapper=[*record, "--output", str(path), "--"])
    script = ["perf", "script", "--input", str(path), "--fields", "comm,pid,tid,time,ip,sym,dso"]
    lines = subprocess.run(
        script, capture_output=True, text=True, errors="replace", check=True, timeout=120
    ).stdout
    counts = count_samples(lines, cost["first_s"], cost["last_s"])
    cpu_us, samples = cost["cpu_s_per_million"], sum(counts.values())
    libraries_us = {
        f"{kind}/{library}": cpu_us * number / samples for (kind, library), number in counts.items()
    }
    return {"libraries_us": libraries_us, "samples": samples, "cpu_us": cpu_us}


def _perf_works(path: Path) -> bool:
    if shutil.which("perf") is None:
        return False
    trial = ["perf", "record", "--quiet", "--output", str(path), "true"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def count_samples(script: str, first_s: float, last_s: float) -> Counter[tuple[str, str]]:
    """Count samples by kind of thread and library, within a span of time.

    A sample is a line such as `python 123/124 15634.376247: 7f30 memmove (/usr/lib/libc.so.6)`.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for line in script.splitlines():
        head, _, place = line.partition(": ")
        words = head.split()
        try:
            at, ids, thread = float(words[-1]), words[-2], " ".join(words[:-2])
        except (IndexError, ValueError):
            continue
        if first_s <= at <= last_s:
            counts[_kind_of_thread(thread, ids), _library(place)] += 1
    return counts


def _kind_of_thread(name: str, ids: str) -> str:
    pid, _, tid = ids.partition("/")
    if name.startswith("rdk:"):
        return "client"
    return "main" if pid == tid else "others"


def _library(place: str) -> str:
    file = place.rpartition("(")[2].rpartition(")")[0].rpartition("/")[2]
    for library, marks in LIBRARIES:
        if any(mark in file for mark in marks):
            return library
    return "other"
