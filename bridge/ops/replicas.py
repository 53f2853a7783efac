"""The status of several running bridges at once, with the rate at which each partition's watermark moves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from bridge.ops.admin_client import NoResponse, fetch_status


class Replicas:
    """Running bridges, by their admin addresses. Use it as a context manager, and call `fetch` repeatedly."""

    def __init__(self, addresses: Sequence[str]) -> None:
        """Take `http` for addresses without a scheme."""
        self._addresses = [address if "://" in address else f"http://{address}" for address in addresses]
        self._pool = ThreadPoolExecutor(len(self._addresses))
        self._watermarks: dict[tuple[str, str, int], tuple[float, int]] = {}
        """The time of the last fetch and the watermark, by replica, topic and partition."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def fetch(self) -> list[dict[str, Any]]:
        """Return the status of each replica, or its `admin` address and an `error`.

        A partition's `per_s` is None until its watermark was fetched twice.
        """
        statuses = list(self._pool.map(_status, self._addresses))
        for status in statuses:
            for partition in status.get("partitions", []):
                partition["per_s"] = self._rate(status["admin"], partition)
        return statuses

    def _rate(self, address: str, partition: dict[str, Any]) -> float | None:
        """Return the records a second that were settled since the last fetch."""
        watermark: int | None = partition["watermark"]
        if watermark is None:
            return None
        now = time.monotonic()
        key = address, partition["topic"], partition["partition"]
        before = self._watermarks.get(key)
        self._watermarks[key] = now, watermark
        if before is None or watermark < before[1]:  # the topic was created again
            return None
        return round((watermark - before[1]) / max(0.001, now - before[0]), 1)


def _status(address: str) -> dict[str, Any]:
    try:
        return {"admin": address, **fetch_status(address)}
    except NoResponse as error:
        return {"admin": address, "error": str(error)}
