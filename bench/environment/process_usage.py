"""What a process has used so far, read from the kernel: CPU seconds by kind of thread, and peak memory."""

from __future__ import annotations

import time
from pathlib import Path

_CPU_CLOCK = 2
"""CPUCLOCK_SCHED, the kernel's clock of CPU time in nanoseconds; `/proc/*/stat` counts ticks of 10 ms."""


def cpu_s(pid: int | None = None) -> float:
    """Return user and system seconds of all threads of a process, those that have ended included.

    Without `pid`, of this process. The resolution is a nanosecond.
    """
    return time.process_time() if pid is None else time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def cpu_s_by_thread(pid: int) -> dict[str, float]:
    """Return the same seconds by kind of thread.

    `client`: librdkafka's own threads. `main`: the first thread of the process, which runs the bridge's loop.
    `others`: threads that connect, the admin port, and all that have ended.
    """
    client = main = 0.0
    for folder in Path(f"/proc/{pid}/task").iterdir():
        try:
            used = int((folder / "schedstat").read_text().split()[0]) / 1e9
            if folder.name == str(pid):
                main += used
            elif (folder / "comm").read_text().startswith("rdk:"):
                client += used
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended since the folder was listed
            continue
    return {"client": client, "main": main, "others": max(0.0, cpu_s(pid) - client - main)}


def peak_memory_mb(pid: int) -> float:
    """Return the most memory that the process ever held, in MB of 1,000,000 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
