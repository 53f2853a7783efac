"""Which request of an inlet goes out next."""

from __future__ import annotations

import heapq

from bridge.engine.task import Task


class ReadyQueue:
    """Requests of one inlet that wait for their turn: those of tasks that brought something first, the
    oldest first.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[int, int], Task]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, task: Task) -> None:
        heapq.heappush(self._heap, (_priority(task), task))

    def pop(self) -> Task:
        return heapq.heappop(self._heap)[1]

    def remove(self, task: Task) -> None:
        self._heap = [entry for entry in self._heap if entry[1] is not task]
        heapq.heapify(self._heap)

    def reorder(self) -> None:
        """Priorities have changed."""
        self._heap = [(_priority(task), task) for _, task in self._heap]
        heapq.heapify(self._heap)


def _priority(task: Task) -> tuple[int, int]:
    return task.fruitless_requests, task.number
