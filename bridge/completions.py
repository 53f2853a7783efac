"""The queue where workers' replies reach the pump's thread."""

from __future__ import annotations

import queue
from collections.abc import Sequence


class CompletionQueue:
    """`ports.Completions` over a C queue: putting never blocks and never takes a Python lock."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[object, object]] = queue.SimpleQueue()

    def put(self, ticket: object, reply: object) -> None:
        """Hands a reply over. Any thread."""
        self._queue.put((ticket, reply))

    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        """Everything that has arrived; waits up to `timeout_s` for a first one."""
        found: list[tuple[object, object]] = []
        try:
            if timeout_s > 0:
                found.append(self._queue.get(timeout=timeout_s))
            while True:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            return found
