"""How much memory this process uses now, and the most that it ever used."""

from __future__ import annotations

import resource
from pathlib import Path


def memory_used(root: Path = Path("/")) -> tuple[int | None, int]:
    """Return the bytes that this process has in memory now, and the most that it ever had.

    The first is None where there is no /proc.
    """
    try:
        lines = (root / "proc/self/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        now, peak = (int(fields[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
    except (OSError, KeyError, ValueError, IndexError):
        return None, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return now, max(now, peak)
