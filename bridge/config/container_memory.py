"""How much memory the container may use, read from its control groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_NO_LIMIT = 1 << 60
"""cgroup v1 writes a huge number where there is no limit."""


def container_limit(root: Path = Path("/")) -> int | None:
    """Return the container's memory limit in bytes, or None if there is none or it can't be read.

    The lowest limit on the way up counts, in cgroup v2 and v1.
    """
    limits = (_number(file) for file in _limit_files(root))
    return min((limit for limit in limits if limit is not None), default=None)


def _limit_files(root: Path) -> Iterator[Path]:
    mount = root / "sys/fs/cgroup"
    yield from (mount / "memory.max", mount / "memory/memory.limit_in_bytes")
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
        for length in range(len(parts), 0, -1):
            group = Path(*parts[:length])
            if not controllers:
                yield mount / group / "memory.max"
            elif "memory" in controllers.split(","):
                yield mount / "memory" / group / "memory.limit_in_bytes"


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() and 0 < int(text) < _NO_LIMIT else None
