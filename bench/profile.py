"""Where the CPU goes: the doors of `seams`, timed in the running process, and `perf`'s samples by thread and library where perf is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from typing import Any

from bench.drain import Load, drain
from bench.farend import FarEnd
from bench.machine import Lab

LIBRARIES = (
    ("kernel", ("[kernel", "[vdso]")),
    ("OpenSSL", ("libcrypto", "libssl", "_ssl.")),
    ("Kafka's client", ("librdkafka", "cimpl.")),
    ("msgspec", ("_core.",)),
    ("libc: copies, allocation, locks", ("libc.so", "libc-", "libpthread")),
    ("Python", ("python",)),
)
_PER_S = 499


def seams(lab: Lab, sink: FarEnd, load: Load) -> dict[str, Any]:
    """µs a record by part, beside what the whole process used."""
    path = lab.folder / "seams.json"
    os.environ["BENCH_SEAMS"] = str(path)
    found = drain(lab, sink, load, module="bench.seams")
    parts = {part: us / load.count for part, us in json.loads(path.read_text()).items()}
    return {"parts_us": parts, "split_us": found["split_us"], "cpu_us": found["cpu_s_per_million"]}


def sampled(lab: Lab, sink: FarEnd, load: Load) -> dict[str, Any]:
    """µs a record by kind of thread and library, out of perf's samples between the first request and the last 207. Empty where perf is not there, or not allowed."""
    path = lab.folder / "perf.data"
    if (
        shutil.which("perf") is None
        or subprocess.run(
            ["perf", "record", "--quiet", "--output", str(path), "true"], capture_output=True, check=False
        ).returncode
    ):
        return {}
    record = [
        "perf",
        "record",
        "--quiet",
        "--clockid",
        "mono",
        "--freq",
        str(_PER_S),
        "--output",
        str(path),
        "--",
    ]
    found = drain(lab, sink, load, before=record)
    script = ["perf", "script", "--input", str(path), "--fields", "comm,pid,tid,time,ip,sym,dso"]
    said = subprocess.run(
        script, capture_output=True, text=True, errors="replace", check=True, timeout=120
    ).stdout
    counted = count(said, found["first_s"], found["last_s"])
    samples = sum(counted.values())
    cells = (
        {
            f"{kind}/{library}": found["cpu_s_per_million"] * number / samples
            for (kind, library), number in counted.items()
        }
        if samples
        else {}
    )
    return {"libraries_us": cells, "samples": samples, "cpu_us": found["cpu_s_per_million"]}


def count(script: str, first_s: float, last_s: float) -> Counter[tuple[str, str]]:
    """Samples by kind of thread and library, out of lines of perf's, such as `python 123/124 15634.376247: 7f30 memmove (/usr/lib/libc.so.6)`."""
    found: Counter[tuple[str, str]] = Counter()
    for line in script.splitlines():
        head, _, place = line.partition(": ")
        words = head.split()
        try:
            at, ids, name = float(words[-1]), words[-2], " ".join(words[:-2])
        except (IndexError, ValueError):
            continue
        if not first_s <= at <= last_s:
            continue
        pid, _, tid = ids.partition("/")
        kind = "client" if name.startswith("rdk:") else "main" if pid == tid else "others"
        library = place.rpartition("(")[2].rpartition(")")[0].rpartition("/")[2]
        found[
            kind,
            next((label for label, marks in LIBRARIES if any(mark in library for mark in marks)), "other"),
        ] += 1
    return found
