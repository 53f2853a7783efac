"""How much memory the settings allow, how much the container has, and how much is used."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

from bridge.config import librdkafka
from bridge.config.kafka_clients import CONSUMER, PRODUCER
from bridge.config.settings import Settings

BASELINE = 90 << 20
"""Bytes of the process itself, idle: Python, the clients, their threads."""
ANSWER = 4 << 20
"""Bytes that one answer may have before it is given up."""
COPIES = 2
"""Times that a request's bytes exist while it is sent, beside the records in the window: the joined body, and TLS's share."""
_NO_LIMIT = 1 << 60
"""cgroup v1 writes a huge number where there is no limit."""


def ceiling(settings: Settings) -> tuple[int, str]:
    """The most bytes that the process is meant to use, and what they are made of, in one line.

    Counts one broker for each name in `kafka.bootstrap_servers`: a larger cluster can have more fetch answers under way.
    """
    delivery, kafka = settings.delivery, settings.kafka
    inlets = len({settings.inlet_for(entry).identity for entry in settings.topics})
    brokers = kafka.bootstrap_servers.count(",") + 1
    prefetch = (
        kafka.number(
            "queued.max.messages.kbytes",
            int(CONSUMER.defaults["queued.max.messages.kbytes"]),
        )
        << 10
    )
    largest_message = kafka.number("message.max.bytes", librdkafka.OWN_DEFAULTS["message.max.bytes"])
    # librdkafka lowers its own default to the prefetch, and raises it to the largest message.
    fetch_default = max(min(librdkafka.OWN_DEFAULTS["fetch.max.bytes"], prefetch), largest_message)
    fetch = brokers * kafka.number("fetch.max.bytes", fetch_default)
    window = inlets * delivery.window_bytes
    requests = inlets * delivery.max_in_flight * (COPIES * settings.batch.max_bytes + ANSWER)
    letters = (
        kafka.number(
            "queue.buffering.max.kbytes",
            int(PRODUCER.defaults["queue.buffering.max.kbytes"]),
        )
        << 10
    )
    total = BASELINE + prefetch + fetch + window + requests + letters
    text = (
        f"{_mib(total)} = process {_mib(BASELINE)} + prefetch {_mib(prefetch)} + fetch answers {_mib(fetch)} ({brokers} × fetch.max.bytes) "
        f"+ window {_mib(window)} ({inlets} × delivery.window_bytes) "
        f"+ requests {_mib(requests)} ({inlets} × delivery.max_in_flight {delivery.max_in_flight}) + dead letters {_mib(letters)}"
    )
    return total, text


def used(root: Path = Path("/")) -> tuple[int | None, int]:
    """Bytes that this process has in memory now, and the most it ever had. Now is None where no /proc tells."""
    try:
        lines = dict(
            line.split(":", 1) for line in (root / "proc/self/status").read_text().splitlines() if ":" in line
        )
        now, peak = (int(lines[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
    except (OSError, KeyError, ValueError, IndexError):
        return None, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return now, max(now, peak)


def container_limit(root: Path = Path("/")) -> int | None:
    """The container's memory limit in bytes, of cgroup v2 or v1, whichever is the lowest on the way up; None if there is none or it can't be read."""
    return min((limit for file in _limit_files(root) if (limit := _number(file)) is not None), default=None)


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
            below = Path(*parts[:length])
            if not controllers:
                yield mount / below / "memory.max"
            elif "memory" in controllers.split(","):
                yield mount / "memory" / below / "memory.limit_in_bytes"


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() and 0 < int(text) < _NO_LIMIT else None


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
