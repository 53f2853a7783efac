"""The engine's rooms without the loop: records, batches and answers to make, and a driver that plays deliveries of one inlet against a scripted AEP.

Time is a number here: the driver jumps to the next thing that happens.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, TypeVar

from bridge.codec.request import body_size
from bridge.codec.routes import Route, routes_by_topic
from bridge.engine.batcher import Batch, Key
from bridge.engine.delivery import Delivery, Effect, EffectResult, PublishDeadLetters, Settled, Wait, deliver
from bridge.engine.events import HOOKS, Observer
from bridge.engine.inlet import Inlet, Policy
from bridge.engine.loop import Engine, EngineSettings
from bridge.engine.offsets import Lane
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
        name, Key("inlet", dataset), 0.0, list(records), list(pieces), counts, size=body_size(pieces)
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
        list(records),
        [],
        {home: len(records)},
        size=0,
        refusals=list(refusals),
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
    """One delivery, and what became of it."""

    seq: int
    batch: Batch
    delivery: Delivery
    effect: Effect | None = None
    sent: int = 0
    evidence: int = -1
    done: bool = False
    in_vain: int = 0

    def __lt__(self, other: Life) -> bool:
        return (self.in_vain, self.seq) < (other.in_vain, other.seq)


@dataclass(frozen=True)
class Request:
    """One request of the log."""

    at: float
    batch: str
    pieces: tuple[bytes, ...]
    timeout_s: float
    answer: BatchResponse


@dataclass
class Driver:
    """Plays the part of the pump for the deliveries of one inlet."""

    aep: Aep
    inlet: Inlet = field(default_factory=inlet)
    publish: Callable[[Sequence[DeadLetter], float], PublishResult] = lambda letters, now: PublishResult()
    latency: float = 0.05
    now: float = 0.0
    log: list[Request] = field(default_factory=list)
    waits: list[tuple[float, Wait]] = field(default_factory=list)
    settled: list[tuple[str, Settled]] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seq = count()
        self._ready: list[Life] = []
        self._events: list[tuple[float, int, Callable[[], object]]] = []

    def start(self, batch: Batch, topics: Sequence[str] | None = None) -> Life:
        """Starts a delivery."""
        life = Life(
            next(self._seq),
            batch,
            deliver(batch, self.inlet, topics or ["t.dlq"] * len(batch.records), self.now),
        )
        self.lives.append(life)
        self._step(life, None)
        return life

    def at(self, when: float, what: Callable[[], object]) -> None:
        """Something to happen later."""
        heapq.heappush(self._events, (when, next(self._seq), what))

    def run(self, until: float = 1e6, requests: int = 100_000) -> Driver:
        """Until everything is settled, or this time, or so many requests."""
        while True:
            while self._ready and len(self.log) < requests and self.inlet.ready_at(self.now) <= self.now:
                self._send(heapq.heappop(self._ready))
            times = [self._events[0][0]] if self._events else []
            if self._ready and (ready := self.inlet.ready_at(self.now)) != float("inf"):
                times.append(ready)
            if not times or len(self.log) >= requests:
                return self
            if min(times) > until:
                self.now = until
                return self
            self.now = max(self.now, min(times))
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()

    def look_again(self, life: Life) -> None:
        """As after a change of lanes or skips, for a delivery that waits."""
        if life in self._ready:
            self._ready.remove(life)
            heapq.heapify(self._ready)
        self._step(life, EffectResult(self.now))

    @property
    def accepted(self) -> int:
        return sum(sum(settled.accepted.values()) for _, settled in self.settled)

    @property
    def letters(self) -> list[DeadLetter]:
        return [letter for _, settled in self.settled for letter in settled.buried]

    @property
    def buried(self) -> list[bytes]:
        return [letter.record.value() or b"" for letter in self.letters]

    @property
    def open(self) -> list[Life]:
        return [life for life in self.lives if not life.done]

    @property
    def sizes(self) -> list[int]:
        return [len(request.pieces) for request in self.log]

    def reasons(self) -> set[str]:
        return {wait.reason for _, wait in self.waits}

    def _send(self, life: Life) -> None:
        post = life.effect
        assert isinstance(post, BatchRequest)
        if self.inlet.fits(len(post.pieces)) < len(post.pieces):
            self._step(life, EffectResult(self.now))
            return
        life.evidence = self.inlet.accepted_sent
        life.sent = self.inlet.sent(len(post.pieces), self.now)
        answer = self.aep(post, self.now)
        self.log.append(Request(self.now, life.batch.id, tuple(post.pieces), post.timeout_s, answer))
        self.at(self.now + self.latency, lambda: self._came_back(life, answer))

    def _came_back(self, life: Life, answer: BatchResponse) -> None:
        self.inlet.returned()
        acceptances = self.inlet.acceptances
        self._step(life, EffectResult(self.now, answer, life.sent, life.evidence))
        if acceptances != self.inlet.acceptances:
            for each in self.lives:
                each.in_vain = 0
        elif answer.status != 429:
            life.in_vain += 1
        heapq.heapify(self._ready)
        if self.inlet.failures == 0 and answer.fault is None and 200 <= answer.status < 300:
            for other in [each for each in self.lives if isinstance(each.effect, Wait) and each.effect.wakes]:
                self._step(other, EffectResult(self.now, woken=True))

    def _fired(self, life: Life, wait: Wait) -> None:
        if life.effect is wait:
            self._step(life, EffectResult(self.now, woken=True))

    def _step(self, life: Life, reply: EffectResult | None) -> None:
        while True:
            try:
                effect = next(life.delivery) if reply is None else life.delivery.send(reply)
            except StopIteration:
                life.done, life.effect = True, None
                return
            life.effect = effect
            if isinstance(effect, Settled):
                self.settled.append((life.batch.id, effect))
                reply = EffectResult(self.now)
                continue
            if isinstance(effect, BatchRequest):
                heapq.heappush(self._ready, life)
            elif isinstance(effect, Wait):
                self.waits.append((self.now, effect))
                self.at(effect.until, lambda wait=effect: self._fired(life, wait))  # type: ignore[misc]
            else:
                assert isinstance(effect, PublishDeadLetters)
                published = self.publish(effect.letters, self.now)
                self.at(
                    self.now + self.latency,
                    lambda: self._step(life, EffectResult(self.now, published=published)),
                )
            return


# -- the pump's ports -------------------------------------------------------------------


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
    """A pump with scripted ports."""

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
        self.pump = Engine(
            route_of=routes_by_topic(routes),
            inlets=self.inlets,
            sender=self.sender,
            dead_letters=self.letters,
            completions=self.hand,
            clock=self.hand,
            settings=EngineSettings(**settings),
            observers=[self.events, *observers],
        )
        self.pump.source = self.source
        self.assign(*(TopicPartition(route.name, at) for route in routes for at in range(partitions)))

    def assign(self, *sources: TopicPartition) -> None:
        """As the source does: what the pump returns starts paused, the rest doesn't."""
        paused = set(self.pump.assigned(dict.fromkeys(sources)))
        self.source.paused -= set(sources)
        self.source.paused |= paused

    def read(self, *slices: Slice) -> Bench:
        self.source.feed.append([*slices])
        return self.turn()

    def turn(self, number: int = 1) -> Bench:
        for _ in range(number):
            self.pump.turn(self.source)
        return self

    def settle(self, seconds: float = 60.0) -> Bench:
        """Turns until so much time has gone by, or nothing is under way."""
        end = self.hand.now + seconds
        self.source.stride = 20.0 if seconds > 300 else 1.0
        while self.hand.now < end and (
            self.pump.tasks or self.source.feed or list(self.pump.batcher.open_batches())
        ):
            self.turn()
        return self.turn()

    @property
    def used(self) -> float:
        return sum(each.used for each in self.inlets.values())
