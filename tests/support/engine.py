"""The engine's rooms without the loop: records, batches and answers to make, and a driver that plays deliveries of one inlet against a scripted AEP.

Time is a number here: the driver jumps to the next thing that happens.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from bridge.batcher import Batch, Key
from bridge.delivery import DeadLetter, Delivery, Effect, Reply, Settled, Wait, deliver
from bridge.inlet import Inlet, Policy
from bridge.ledger import Lane
from bridge.model import Answer, Fault, Letter, Post, Published, Refusal, TopicPartition
from bridge.payload import body_size
from tests.support.memory import MemoryRecord

SOURCE = TopicPartition("t", 0)


def record(offset: int, value: bytes | None = b"{}", source: TopicPartition = SOURCE) -> MemoryRecord:
    """A record, as the client would hand it over."""
    return MemoryRecord(source, offset, value, b"key-%d" % offset, [("h", b"1")])


def lane(topic: str = "t", partition: int = 0) -> Lane:
    """A lane that was just assigned."""
    return Lane(TopicPartition(topic, partition), 0.0)


def inlet(name: str = "inlet", seed: int = 1, **policy: object) -> Inlet:
    """An inlet with a seeded jitter."""
    return Inlet(name, f"{name}-id", Policy(**policy), Random(seed))  # type: ignore[arg-type]


def batch(pieces: Sequence[bytes], lanes: Sequence[Lane] | None = None, *, name: str = "b-1", dataset: str | None = "ds", first: int = 0) -> Batch:
    """A batch ready to be sent; the records go to the lanes by turns, with their pieces as values."""
    lanes = lanes or [lane()]
    records = [record(first + at, piece, lanes[at % len(lanes)].source) for at, piece in enumerate(pieces)]
    counts: dict[Lane, int] = {}
    for at in range(len(pieces)):
        counts[lanes[at % len(lanes)]] = counts.get(lanes[at % len(lanes)], 0) + 1
    return Batch(name, Key("inlet", dataset), 0.0, list(records), list(pieces), counts, size=body_size(pieces))


def checked(refusals: Sequence[Refusal], home: Lane | None = None, *, name: str = "b-1", route: str = "t") -> Batch:
    """A batch of records that were refused before sending."""
    home = home or lane()
    records = [record(at, b"x", home.source) for at in range(len(refusals))]
    return Batch(name, Key("inlet", "ds", None, route), 0.0, list(records), [], {home: len(records)}, size=0, refusals=list(refusals))


def pieces(number: int, bad: Iterable[int] = (), name: str = "") -> list[bytes]:
    """Messages that a scripted AEP can tell apart."""
    wrong = set(bad)
    return [b'{"%s":"%s%d"}' % (b"bad" if at in wrong else b"good", name.encode(), at) for at in range(number)]


# -- what AEP says ------------------------------------------------------------------


def multi(*entries: dict[str, object], status: int = 207, headers: dict[str, str] | None = None) -> Answer:
    """A multi-status answer with these entries."""
    return Answer(status, headers or {}, json.dumps({"inletId": "i", "batchId": "1:2:3", "responses": entries}).encode())


def yes(at: int) -> dict[str, object]:
    """Accepted."""
    return {"xactionId": f"1:2:3:{at}"}


def no(status: int = 400, message: str = "Message has unknown xdm format") -> dict[str, object]:
    """One message refused."""
    return {"statusCode": status, "message": message}


def accepted(number: int) -> Answer:
    """Everything accepted."""
    return multi(*map(yes, range(number)))


def whole(status: int, message: str = "no", **headers: str) -> Answer:
    """The whole request refused."""
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps({"status": status, "message": message}).encode())


def broken(fault: Fault = Fault.TIMEOUT) -> Answer:
    """No answer."""
    return Answer(fault=fault, error=f"it was a {fault.value}")


Aep = Callable[[Post, float], Answer]


def sound(post: Post, _: float = 0.0) -> Answer:
    """AEP on a good day: a bad message is refused for itself."""
    return multi(*(no() if b"bad" in piece else yes(at) for at, piece in enumerate(post.pieces)))


def strict(status: int = 400) -> Aep:
    """An AEP that refuses a whole request for one bad message."""
    return lambda post, _: whole(status) if any(b"bad" in piece for piece in post.pieces) else accepted(len(post.pieces))


def script(*answers: Answer | Callable[[Post], Answer], then: Aep = sound) -> Aep:
    """These answers, one for each request, and then as `then` says."""
    left = list(answers)

    def aep(post: Post, now: float) -> Answer:
        if not left:
            return then(post, now)
        answer = left.pop(0)
        return answer if isinstance(answer, Answer) else answer(post)

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

    def __lt__(self, other: Life) -> bool:
        return self.seq < other.seq


@dataclass(frozen=True)
class Request:
    """One request of the log."""

    at: float
    batch: str
    pieces: tuple[bytes, ...]
    timeout_s: float
    answer: Answer


@dataclass
class Driver:
    """Plays the part of the pump for the deliveries of one inlet."""

    aep: Aep
    inlet: Inlet = field(default_factory=inlet)
    publish: Callable[[Sequence[Letter], float], Published] = lambda letters, now: Published()
    latency: float = 0.05
    now: float = 0.0
    log: list[Request] = field(default_factory=list)
    waits: list[tuple[float, Wait]] = field(default_factory=list)
    settled: list[tuple[str, Settled]] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seq = count()
        self._ready: list[Life] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def start(self, batch: Batch, topics: Sequence[str] | None = None) -> Life:
        """Starts a delivery."""
        life = Life(next(self._seq), batch, deliver(batch, self.inlet, topics or ["t.dlq"] * len(batch.records), self.now))
        self.lives.append(life)
        self._step(life, None)
        return life

    def at(self, when: float, what: Callable[[], None]) -> None:
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
        self._step(life, Reply(self.now))

    @property
    def accepted(self) -> int:
        return sum(sum(settled.accepted.values()) for _, settled in self.settled)

    @property
    def letters(self) -> list[Letter]:
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
        assert isinstance(post, Post)
        life.evidence = self.inlet.accepted_sent
        life.sent = self.inlet.sent(len(post.pieces), self.now)
        answer = self.aep(post, self.now)
        self.log.append(Request(self.now, life.batch.id, tuple(post.pieces), post.timeout_s, answer))
        self.at(self.now + self.latency, lambda: self._came_back(life, answer))

    def _came_back(self, life: Life, answer: Answer) -> None:
        self.inlet.returned()
        self._step(life, Reply(self.now, answer, life.sent, life.evidence))
        if self.inlet.failures == 0 and answer.fault is None and 200 <= answer.status < 300:
            for other in [each for each in self.lives if isinstance(each.effect, Wait) and each.effect.wakes]:
                self._step(other, Reply(self.now, woken=True))

    def _fired(self, life: Life, wait: Wait) -> None:
        if life.effect is wait:
            self._step(life, Reply(self.now, woken=True))

    def _step(self, life: Life, reply: Reply | None) -> None:
        while True:
            try:
                effect = next(life.delivery) if reply is None else life.delivery.send(reply)
            except StopIteration:
                life.done, life.effect = True, None
                return
            life.effect = effect
            if isinstance(effect, Settled):
                self.settled.append((life.batch.id, effect))
                reply = Reply(self.now)
                continue
            if isinstance(effect, Post):
                heapq.heappush(self._ready, life)
            elif isinstance(effect, Wait):
                self.waits.append((self.now, effect))
                self.at(effect.until, lambda wait=effect: self._fired(life, wait))  # type: ignore[misc]
            else:
                assert isinstance(effect, DeadLetter)
                published = self.publish(effect.letters, self.now)
                self.at(self.now + self.latency, lambda: self._step(life, Reply(self.now, published=published)))
            return
