"""The engine's ports, scripted: its time and completions, the sender, dead letters and the source."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count

from bridge.model import (
    BatchRequest,
    BatchResponse,
    DeadLetter,
    PublishResult,
    Slice,
    TopicPartition,
)
from tests.support.scripted_aep import SilentAep, healthy_aep


class VirtualTime:
    """A clock that jumps, and the completions that come at its times: waiting for them moves the clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._seq = count()
        self._due: list[tuple[float, int, object, object]] = []

    def __call__(self) -> float:
        return self.now

    def put(self, ticket: object, reply: object) -> None:
        self.later(0.0, ticket, reply)

    def later(self, seconds: float, ticket: object, reply: object) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._seq), ticket, reply))

    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        if timeout_s > 0 and not (self._due and self._due[0][0] <= self.now):
            self.now = min(
                self.now + timeout_s, max(self.now, self._due[0][0]) if self._due else float("inf")
            )
        due = []
        while self._due and self._due[0][0] <= self.now:
            _, _, ticket, reply = heapq.heappop(self._due)
            due.append((ticket, reply))
        return due


class ScriptedSender:
    """Asks a scripted AEP. Where that returns None, the request stays open until `respond` is called."""

    def __init__(self, time: VirtualTime, aep: SilentAep, latency: float = 0.05) -> None:
        self.time, self.aep, self.latency = time, aep, latency
        self.requests: list[BatchRequest] = []
        self.open: list[tuple[object, BatchRequest]] = []

    def send(self, ticket: object, request: BatchRequest) -> None:
        self.requests.append(request)
        response = self.aep(request, self.time.now)
        if response is None:
            self.open.append((ticket, request))
        else:
            self.time.later(self.latency, ticket, response)

    def respond(self, at: int = 0, response: BatchResponse | None = None) -> None:
        ticket, request = self.open.pop(at)
        self.time.put(ticket, response or healthy_aep(request))


class ScriptedDeadLetters:
    """A dead-letter topic that acknowledges at once, unless `refuse` returns an error for a dead letter."""

    def __init__(self, time: VirtualTime) -> None:
        self.time = time
        self.published: list[DeadLetter] = []
        self.refuse: Callable[[DeadLetter], str] = lambda _: ""

    def publish(self, ticket: object, dead_letters: Sequence[DeadLetter]) -> None:
        errors = [self.refuse(dead_letter) for dead_letter in dead_letters]
        self.published += [
            dead_letter for dead_letter, error in zip(dead_letters, errors, strict=True) if not error
        ]
        failed = [at for at, error in enumerate(errors) if error]
        self.time.later(0.01, ticket, PublishResult(failed, errors[failed[0]] if failed else ""))


class ScriptedSource:
    """Returns the slices that a test feeds it. A function in `feed` is called inside `read`, like a callback
    of a rebalance.
    """

    def __init__(self, time: VirtualTime) -> None:
        self.time = time
        self.feed: list[list[Slice] | Callable[[], object]] = []
        self.stored: dict[TopicPartition, int] = {}
        self.history: list[tuple[TopicPartition, int]] = []
        self.paused: set[TopicPartition] = set()
        self.reads = 0
        self.stride = 1.0
        """How many times longer than asked an empty read takes, so that long histories need fewer turns."""
        self.closed = False

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
        self.reads += 1
        if not self.feed:
            self.time.now += timeout_s * self.stride
            return ()
        item = self.feed.pop(0)
        if isinstance(item, list):
            return item
        item()
        return ()

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.stored.update(offsets)
        self.history += offsets.items()

    def uncommitted(self) -> int:
        return 0

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused.difference_update(partitions)

    def close(self) -> None:
        self.closed = True
