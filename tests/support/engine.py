"""The engine's rooms without the loop: records, batches and answers to make, and a driver that plays deliveries of one inlet against a scripted AEP.

Time is a number here: the driver jumps to the next thing that happens.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, TypeVar

from bridge.codec.request import body_size
from bridge.codec.routes import Route, routes_by_topic
from bridge.engine.batch import Batch, Key
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.effects import Settled
from bridge.engine.engine import Engine, EngineSettings
from bridge.engine.events import HOOKS, BatchWaits, Observer, Observers
from bridge.engine.inlet import Inlet, Policy
from bridge.engine.offsets import Lane
from bridge.engine.task import Task
from bridge.model import (
    BatchRequest,
    BatchResponse,
    DeadLetter,
    Fault,
    Format,
    PublishResult,
    Refusal,
    Slice,
    TopicPartition,
)
from tests.support.memory import MemoryRecord

T = TypeVar("T")

SOURCE = TopicPartition("t", 0)


def record(offset: int, value: bytes | None = b"{}", source: TopicPartition = SOURCE) -> MemoryRecord:
    """A record, as the client would hand it over."""
    return MemoryRecord(source, offset, value, b"key-%d" % offset, [("h", b"1")])


def lane(topic: str = "t", partition: int = 0) -> Lane:
    """A lane that was just assigned."""
    return Lane(TopicPartition(topic, partition), 0.0)


def inlet(name: str = "inlet", seed: int = 1, **policy: Any) -> Inlet:
    """An inlet with a seeded jitter."""
    return Inlet(name, f"{name}-id", Policy(**policy), Random(seed))


def batch(
    pieces: Sequence[bytes],
    lanes: Sequence[Lane] | None = None,
    *,
    name: str = "b-1",
    dataset: str | None = "ds",
    first: int = 0,
) -> Batch:
    """A batch ready to be sent; the records go to the lanes by turns, with their pieces as values."""
    lanes = lanes or [lane()]
    records = [record(first + at, piece, lanes[at % len(lanes)].source) for at, piece in enumerate(pieces)]
    counts: dict[Lane, int] = {}
    for at in range(len(pieces)):
        counts[lanes[at % len(lanes)]] = counts.get(lanes[at % len(lanes)], 0) + 1
    return Batch(
        name,
        Key("inlet", dataset),
        0.0,
        records=list(records),
        pieces=list(pieces),
        lanes=counts,
        size=body_size(pieces),
    )


def checked(
    refusals: Sequence[Refusal], home: Lane | None = None, *, name: str = "b-1", route: str = "t"
) -> Batch:
    """A batch of records that were refused before sending."""
    home = home or lane()
    records = [record(at, b"x", home.source) for at in range(len(refusals))]
    return Batch(
        name,
        Key("inlet", "ds", None, route),
        0.0,
        refusals=list(refusals),
        records=list(records),
        lanes={home: len(records)},
        size=0,
    )


def pieces(number: int, bad: Iterable[int] = (), name: str = "") -> list[bytes]:
    """Messages that a scripted AEP can tell apart."""
    wrong = set(bad)
    return [
        b'{"%s":"%s%d"}' % (b"bad" if at in wrong else b"good", name.encode(), at) for at in range(number)
    ]


# -- what AEP says ------------------------------------------------------------------


def multi(
    *entries: dict[str, object], status: int = 207, headers: dict[str, str] | None = None
) -> BatchResponse:
    """A multi-status answer with these entries."""
    return BatchResponse(
        status, headers or {}, json.dumps({"inletId": "i", "batchId": "1:2:3", "responses": entries}).encode()
    )


def yes(at: int) -> dict[str, object]:
    """Accepted."""
    return {"xactionId": f"1:2:3:{at}"}


def no(status: int = 400, message: str = "Message has unknown xdm format") -> dict[str, object]:
    """One message refused."""
    return {"statusCode": status, "message": message}


def accepted(number: int) -> BatchResponse:
    """Everything accepted."""
    return multi(*map(yes, range(number)))


def whole(status: int, message: str = "no", **headers: str) -> BatchResponse:
    """The whole request refused."""
    return BatchResponse(
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps({"status": status, "message": message}).encode(),
    )


def broken(fault: Fault = Fault.TIMEOUT) -> BatchResponse:
    """No answer."""
    return BatchResponse(fault=fault, error=f"it was a {fault.value}")


Aep = Callable[[BatchRequest, float], BatchResponse]
Silent = Callable[[BatchRequest, float], BatchResponse | None]


def sound(post: BatchRequest, _: float = 0.0) -> BatchResponse:
    """AEP on a good day: a bad message is refused for itself."""
    return multi(*(no() if b"bad" in piece else yes(at) for at, piece in enumerate(post.pieces)))


def strict(status: int = 400) -> Aep:
    """An AEP that refuses a whole request for one bad message."""
    return lambda post, _: (
        whole(status) if any(b"bad" in piece for piece in post.pieces) else accepted(len(post.pieces))
    )


def script(*answers: BatchResponse | Callable[[BatchRequest], BatchResponse], then: Aep = sound) -> Aep:
    """These answers, one for each request, and then as `then` says."""
    left = list(answers)

    def aep(post: BatchRequest, now: float) -> BatchResponse:
        if not left:
            return then(post, now)
        answer = left.pop(0)
        return answer if isinstance(answer, BatchResponse) else answer(post)

    return aep


# -- the driver -----------------------------------------------------------------------


@dataclass(eq=False)
class Life:
    """One batch that the driver was given."""

    batch: Batch
    done: bool = False


@dataclass(frozen=True)
class SentRequest:
    """One request of the log."""

    at: float
    batch: str
    pieces: tuple[bytes, ...]
    timeout_s: float
    answer: BatchResponse


@dataclass
class Driver:
    """Drives the engine's dispatcher against a scripted AEP: the deliveries of one inlet, without a loop around them."""

    aep: Aep
    inlet: Inlet = field(default_factory=inlet)
    publish: Callable[[Sequence[DeadLetter], float], PublishResult] = lambda letters, now: PublishResult()
    latency: float = 0.05
    now: float = 0.0
    log: list[SentRequest] = field(default_factory=list)
    settled: list[tuple[str, Settled]] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)

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

    def start(self, batch: Batch) -> Life:
        """Start a delivery."""
        life = Life(batch)
        self.lives.append(life)
        self.dispatcher.add(batch)
        return life

    def at(self, when: float, what: Callable[[], object]) -> None:
        """Have something happen later."""
        heapq.heappush(self._due, (when, next(self._seq), what))

    def run(self, until: float = 1e6, requests: int = 100_000) -> Driver:
        """Go on until everything is settled, or until this time, or until so many requests went out."""
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

    def look_again(self, life: Life) -> None:
        """Have a delivery that waits look at what changed: lanes that ended, orders to skip."""
        task = self.dispatcher.task_of(life.batch)
        assert task is not None
        self.dispatcher.look_again(task)

    def records_settled(self, batch: Batch, settled: Settled) -> None:
        self.settled.append((batch.id, settled))

    def batch_finished(self, batch: Batch) -> None:
        for life in self.lives:
            life.done |= life.batch is batch

    @property
    def accepted(self) -> int:
        return sum(sum(settled.accepted.values()) for _, settled in self.settled)

    @property
    def letters(self) -> list[DeadLetter]:
        return [letter for _, settled in self.settled for letter in settled.dead_letters]

    @property
    def dead_lettered(self) -> list[bytes]:
        return [letter.record.value() or b"" for letter in self.letters]

    @property
    def open(self) -> list[Life]:
        return [life for life in self.lives if not life.done]

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
        answer = driver.aep(request, driver.now)
        sent = SentRequest(driver.now, ticket.batch.id, tuple(request.pieces), request.timeout_s, answer)
        driver.log.append(sent)
        driver.at(driver.now + driver.latency, lambda: driver.dispatcher.complete(ticket, answer))


class _DriverDeadLetters:
    """Asks the driver's `publish`, and has its result come back after the latency."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def publish(self, ticket: object, letters: Sequence[DeadLetter]) -> None:
        driver = self._driver
        assert isinstance(ticket, Task)
        result = driver.publish(letters, driver.now)
        driver.at(driver.now + driver.latency, lambda: driver.dispatcher.complete(ticket, result))


# -- the engine's ports -------------------------------------------------------------------


class Hand:
    """The clock and the completions in one: what is promised for later arrives when the pump has waited so long."""

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
        found = []
        while self._due and self._due[0][0] <= self.now:
            _, _, ticket, reply = heapq.heappop(self._due)
            found.append((ticket, reply))
        return found


class ScriptedSender:
    """Asks a scripted AEP; where that says None the request stays open until `answer`."""

    def __init__(
        self, hand: Hand, aep: Callable[[BatchRequest, float], BatchResponse | None], latency: float = 0.05
    ) -> None:
        self.hand, self.aep, self.latency = hand, aep, latency
        self.posts: list[BatchRequest] = []
        self.open: list[tuple[object, BatchRequest]] = []

    def send(self, ticket: object, post: BatchRequest) -> None:
        self.posts.append(post)
        answer = self.aep(post, self.hand.now)
        if answer is None:
            self.open.append((ticket, post))
        else:
            self.hand.later(self.latency, ticket, answer)

    def answer(self, at: int = 0, answer: BatchResponse | None = None) -> None:
        ticket, post = self.open.pop(at)
        self.hand.put(ticket, answer or sound(post))


class ScriptedLetters:
    """A dead-letter topic that acknowledges at once, unless `refuse` says why not."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.letters: list[DeadLetter] = []
        self.refuse: Callable[[DeadLetter], str] = lambda _: ""

    def publish(self, ticket: object, letters: Sequence[DeadLetter]) -> None:
        errors = [self.refuse(letter) for letter in letters]
        self.letters += [letter for letter, error in zip(letters, errors, strict=True) if not error]
        failed = [at for at, error in enumerate(errors) if error]
        self.hand.later(0.01, ticket, PublishResult(failed, errors[failed[0]] if failed else ""))


class ScriptedSource:
    """Hands over what a test feeds it: slices, or something to do inside `read`, as a rebalance does."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.feed: list[list[Slice] | Callable[[], object]] = []
        self.stored: dict[TopicPartition, int] = {}
        self.history: list[tuple[TopicPartition, int]] = []
        self.paused: set[TopicPartition] = set()
        self.reads = 0
        self.stride = 1.0
        """How many times longer than asked an empty read takes: long histories in fewer turns."""
        self.closed = False

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
        self.reads += 1
        if not self.feed:
            self.hand.now += timeout_s * self.stride
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


class RecordingObserver(Observer):
    """Remembers every event of the engine."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        for name in HOOKS:
            setattr(self, name, self.log.append)

    def of(self, kind: type[T]) -> list[T]:
        """The events of one kind, in the order in which they happened."""
        return [event for event in self.log if isinstance(event, kind)]


def cut(
    start: int,
    values: Sequence[bytes | None],
    source: TopicPartition = SOURCE,
    *,
    next_offset: int | None = None,
) -> Slice:
    """A slice of consecutive offsets."""
    records = [record(start + at, value, source) for at, value in enumerate(values)]
    return Slice(
        source,
        records,
        list(values),
        start + len(values) if next_offset is None else next_offset,
        sum(len(value or b"") + 600 for value in values),
    )


class Bench:
    """An engine with scripted ports."""

    def __init__(
        self,
        aep: Callable[[BatchRequest, float], BatchResponse | None] = sound,
        *,
        routes: Sequence[Route] = (Route("t", Format.RAW, "inlet", "ds"),),
        partitions: int = 1,
        policy: Mapping[str, Any] | None = None,
        observers: Sequence[Observer] = (),
        **settings: Any,
    ) -> None:
        self.hand, self.events = Hand(), RecordingObserver()
        self.sender, self.letters, self.source = (
            ScriptedSender(self.hand, aep),
            ScriptedLetters(self.hand),
            ScriptedSource(self.hand),
        )
        self.inlets = {
            name: inlet(name, **(policy or {})) for name in dict.fromkeys(route.inlet for route in routes)
        }
        self.engine = Engine(
            route_of=routes_by_topic(routes),
            inlets=self.inlets,
            sender=self.sender,
            dead_letters=self.letters,
            completions=self.hand,
            clock=self.hand,
            settings=EngineSettings(**settings),
            observers=[self.events, *observers],
        )
        self.engine.loop.attach(self.source)
        self.assign(*(TopicPartition(route.name, at) for route in routes for at in range(partitions)))

    def assign(self, *sources: TopicPartition) -> None:
        """As the source does: what the engine returns starts paused, the rest doesn't."""
        paused = set(self.engine.assigned(dict.fromkeys(sources)))
        self.source.paused -= set(sources)
        self.source.paused |= paused

    def read(self, *slices: Slice) -> Bench:
        self.source.feed.append([*slices])
        return self.turn()

    def turn(self, number: int = 1) -> Bench:
        for _ in range(number):
            self.engine.loop.turn(self.source)
        return self

    def settle(self, seconds: float = 60.0) -> Bench:
        """Turns until so much time has gone by, or nothing is under way."""
        end = self.hand.now + seconds
        self.source.stride = 20.0 if seconds > 300 else 1.0
        while self.hand.now < end and (not self.engine.view.is_idle or self.source.feed):
            self.turn()
        return self.turn()

    @property
    def used(self) -> float:
        return sum(window.used for window in self.engine.view.windows.values())
