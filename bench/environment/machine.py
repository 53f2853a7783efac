"""Describe the machine, the versions and the moment of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import confluent_kafka


def describe() -> dict[str, Any]:
    """Return the description.

    A revision with a `+` has changes in `bridge/` or `bench/` that are not committed.
    """
    changed = _git("status", "--porcelain", "--", "bridge", "bench")
    client = confluent_kafka.version()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "confluent_kafka": client[0] if isinstance(client, tuple) else client,
        "librdkafka": confluent_kafka.libversion()[0],
        "revision": _git("rev-parse", "--short", "HEAD") + ("+" if changed else ""),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()
