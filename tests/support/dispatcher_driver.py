"""Drives the engine's dispatcher against a scripted AEP: deliveries of one inlet, without a loop.

Time is a number here: the driver jumps to the next thing that happens.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bridge.engine.batch import Batch
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.effects import Settled
from bridge.engine.events import BatchWaits, Observers
from bridge.engine.inlet import Inlet
from bridge.engine.task import Task
from bridge.model import (
    BatchRequest,
    BatchResponse,
    DeadLetter,
    PublishResult,
)
from tests.support.engine_values import batch, inlet, pieces
from tests.support.recording_observer import RecordingObserver
from tests.support.scripted_aep import Aep


@dataclass(eq=False)
class StartedBatch:
    """One batch whose delivery the driver started."""

    batch: Batch
    done: bool = False


@dataclass(frozen=True)
class SentRequest:
    """A request that the scripted AEP got, and its response."""

    at: float
    batch: str
    pieces: tuple[bytes, ...]
    timeout_s: float
    response: BatchResponse


@dataclass
class Driver:
    """Delivers batches of one inlet. It is the dispatcher's clock, settlement and ports."""

    aep: Aep
    inlet: Inlet = field(default_factory=inlet)
    publish: Callable[[Sequence[DeadLetter], float], PublishResult] = lambda dead_letters, now: (
        PublishResult()
    )
    latency: float = 0.05
    now: float = 0.0
    log: list[SentRequest] = field(default_factory=list)
    settled: list[tuple[str, Settled]] = field(default_factory=list)
    started: list[StartedBatch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events = RecordingObserver()
        self._seq = count()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self.dispatcher = Dispatcher(
            inlets={self.inlet.name: self.inlet},
            sender=_DriverSender(self),
            dead_letters=_DriverDeadLetters(self),
            dead_letter_topic="{}.dlq".format,
            settlement=self,
            observer=Observers([self.events]),
            clock=lambda: self.now,
        )

    def start(self, batch: Batch) -> StartedBatch:
        """Start a delivery."""
        started = StartedBatch(batch)
        self.started.append(started)
        self.dispatcher.add(batch)
        return started

    def at(self, when: float, what: Callable[[], object]) -> None:
        """Have this called at that time."""
        heapq.heappush(self._due, (when, next(self._seq), what))

    def run(self, until: float = 1e6, requests: int = 100_000) -> Driver:
        """Go on until nothing more is due, or until this time, or until so many requests went out."""
        while len(self.log) < requests:
            self.dispatcher.advance()
            coming = min(self._due[0][0] if self._due else math.inf, self.dispatcher.next_timer())
            if coming == math.inf:
                return self
            if coming > until:
                self.now = until
                return self
            self.now = max(self.now, coming)
            while self._due and self._due[0][0] <= self.now:
                heapq.heappop(self._due)[2]()
        return self

    def look_again(self, started: StartedBatch) -> None:
        """Have a waiting delivery look at what changed: lanes that ended, orders to skip."""
        task = self.dispatcher.task_of(started.batch)
        assert task is not None
        self.dispatcher.look_again(task)

    def records_settled(self, batch: Batch, settled: Settled) -> None:
        self.settled.append((batch.id, settled))

    def batch_finished(self, batch: Batch) -> None:
        for started in self.started:
            started.done |= started.batch is batch

    def batch_dropped(self, batch: Batch) -> None:
        self.batch_finished(batch)

    @property
    def accepted(self) -> int:
        return sum(sum(settled.accepted.values()) for _, settled in self.settled)

    @property
    def dead_letters(self) -> list[DeadLetter]:
        return [dead_letter for _, settled in self.settled for dead_letter in settled.dead_letters]

    @property
    def dead_lettered(self) -> list[bytes]:
        return [dead_letter.record.value() or b"" for dead_letter in self.dead_letters]

    @property
    def open(self) -> list[StartedBatch]:
        return [started for started in self.started if not started.done]

    @property
    def sizes(self) -> list[int]:
        return [len(request.pieces) for request in self.log]

    @property
    def waits(self) -> list[BatchWaits]:
        return self.events.of(BatchWaits)

    def reasons(self) -> set[str]:
        return {wait.reason for wait in self.waits}


class _DriverSender:
    """Asks the driver's AEP, and has the response come back after the latency."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def send(self, ticket: object, request: BatchRequest) -> None:
        driver = self._driver
        assert isinstance(ticket, Task)
        response = driver.aep(request, driver.now)
        sent = SentRequest(driver.now, ticket.batch.id, tuple(request.pieces), request.timeout_s, response)
        driver.log.append(sent)
        driver.at(driver.now + driver.latency, lambda: driver.dispatcher.complete(ticket, response))


class _DriverDeadLetters:
    """Asks the driver's `publish`, and has its result come back after the latency."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def publish(self, ticket: object, dead_letters: Sequence[DeadLetter]) -> None:
        driver = self._driver
        assert isinstance(ticket, Task)
        result = driver.publish(dead_letters, driver.now)
        driver.at(driver.now + driver.latency, lambda: driver.dispatcher.complete(ticket, result))


def play(aep: Aep, *batches: list[bytes], until: float = 1e6, **policy: Any) -> Driver:
    """Deliver these batches against an AEP, from the beginning to the end or until a time."""
    driver = Driver(aep, inlet(**policy))
    for number, content in enumerate(batches):
        driver.start(batch(content, name=f"b-{number}"))
    return driver.run(until)


def add_other_batches(driver: Driver, until: float, every: float = 5.0, number: int = 1) -> None:
    """Start another batch of the same inlet every few seconds."""
    for at in range(int(until / every)):
        content = pieces(number, name=f"other-{at}-")
        driver.at(at * every, lambda content=content, at=at: driver.start(batch(content, name=f"other-{at}")))
