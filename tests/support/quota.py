"""Replicas and a quota in simulated time: the inlet's limits against a token bucket with one second of burst, as Adobe's guidance describes it.

`python -m tests.support.quota` prints the table of ADR 12, and how soon three replicas find a quota that was raised.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from statistics import mean

from bridge.engine.inlet import Inlet, Policy

QUOTA = 10_000.0
MESSAGES = 1000
WINDOW = 32_000
"""Messages that a process has read and not settled: what it sends now it made into batches that long ago."""


@dataclass
class Quota:
    """Refuses what finds the bucket too empty."""

    per_s: float
    level: float = 0.0
    at: float = 0.0

    def take(self, amount: int, now: float) -> bool:
        self.level = min(self.per_s, self.level + (now - self.at) * self.per_s)
        self.at = now
        if self.level < min(amount, self.per_s):
            return False
        self.level -= amount
        return True


@dataclass(order=True)
class Request:
    """Some messages on their way, or on their way back."""

    due: float
    messages: int = field(compare=False)
    attempts: int = field(default=0, compare=False)
    sent: int = field(default=0, compare=False)
    ok: bool = field(default=False, compare=False)


@dataclass
class Replica:
    """One process that always has something to send; a refused request comes back after its back-off, before anything new."""

    inlet: Inlet
    starts: float = 0.0
    room: int = WINDOW
    """Messages that it may still read."""
    made: deque[int] = field(default_factory=deque)
    """Messages of each batch that waits to be sent."""
    back: list[Request] = field(default_factory=list)
    accepted: list[tuple[float, int]] = field(default_factory=list)
    """When, and how many messages."""
    refused: list[float] = field(default_factory=list)
    next_try: float = 0.0

    def read(self) -> None:
        """Fills the window with batches as large as the rate allows by now."""
        while self.room >= (most := self.inlet.rate.at_most(MESSAGES)):
            self.room -= most
            self.made.append(most)

    def next(self, now: float) -> Request:
        """What goes out now. What is too large for the rate by now goes in parts."""
        if self.back and self.back[0].due <= now:
            request = heapq.heappop(self.back)
        else:
            self.read()
            request = Request(now, self.made.popleft())
        first = self.inlet.messages_to_send(request.messages)
        if first < request.messages:
            heapq.heappush(self.back, replace(request, messages=request.messages - first))
        return replace(request, messages=first)


@dataclass
class World:
    """Replicas, a quota and a latency. `each_second` may change any of it. Those that have started hold equal shares of the partitions."""

    replicas: list[Replica]
    quota: Quota
    latency_s: float
    rng: Random
    events: list[tuple[float, int, str, Replica | None, Request | None]] = field(default_factory=list)
    number: count[int] = field(default_factory=count)

    def at(self, when: float, kind: str, replica: Replica | None, request: Request | None = None) -> None:
        heapq.heappush(self.events, (when, next(self.number), kind, replica, request))

    def half(self, now: float) -> float:
        return now + self.latency_s * self.rng.uniform(0.4, 0.6)

    def rebalance(self, now: float) -> None:
        members = [replica for replica in self.replicas if replica.starts <= now]
        for replica in members:
            replica.inlet.rate.hold(1 / len(members))

    def run(self, until: float, each_second: Callable[[float], None] = lambda _: None) -> None:
        for replica in self.replicas:
            self.at(replica.starts, "joins", replica)
        self.at(0.0, "second", None)
        while self.events[0][0] <= until:
            now, _, kind, replica, request = heapq.heappop(self.events)
            if replica is None:
                each_second(now)
                self.at(now + 1, "second", None)
            elif kind == "arrives" and request:
                request.ok = self.quota.take(request.messages, now)
                self.at(self.half(now), "answer", replica, request)
            elif kind != "try" or now == replica.next_try:  # the latest look ahead counts
                if kind == "joins":
                    self.rebalance(now)
                elif request:
                    self.answered(replica, request, now)
                self.send(replica, now)

    def answered(self, replica: Replica, request: Request, now: float) -> None:
        inlet = replica.inlet
        inlet.response_received()
        if request.ok:
            inlet.note_acceptance(request.messages, 1, request.sent, now)
            replica.accepted.append((now, request.messages))
            replica.room += request.messages
            return
        attempts = request.attempts + 1
        due = now + inlet.note_failure("status 429", "", request.sent, now, attempts).wait_s
        inlet.note_throttled(request.messages, request.sent, now)
        replica.refused.append(now)
        heapq.heappush(replica.back, Request(due, request.messages, attempts))
        self.at(due, "back", replica)

    def send(self, replica: Replica, now: float) -> None:
        inlet = replica.inlet
        while (ready := inlet.ready_at(now)) <= now:
            request = replica.next(now)
            request.sent = inlet.request_sent(request.messages, now)
            self.at(self.half(now), "arrives", replica, request)
        if ready != float("inf"):
            replica.next_try = ready + 1e-6
            self.at(replica.next_try, "try", replica)


def world(
    latency_s: float, replicas: int = 1, *, apart_s: float = 0.0, seed: int = 1, quota: float = QUOTA
) -> World:
    """Replicas that start so many seconds apart."""
    made = [
        Replica(Inlet(f"i{n}", "id", Policy(max_in_flight=8), rng=Random(seed * 100 + n)), starts=n * apart_s)
        for n in range(replicas)
    ]
    return World(made, Quota(quota, quota), latency_s, Random(seed))


def used(replicas: list[Replica], start: float, end: float, quota: float = QUOTA) -> float:
    """The share of a quota that got through."""
    return (
        sum(messages for replica in replicas for at, messages in replica.accepted if start <= at < end)
        / (end - start)
        / quota
    )


def refused(replicas: list[Replica], start: float, end: float) -> float:
    """The share of requests that were answered 429."""
    no = sum(start <= at < end for replica in replicas for at in replica.refused)
    return no / (no + sum(start <= at < end for replica in replicas for at, _ in replica.accepted))


# -- the table --------------------------------------------------------------------------

SEEDS, FROM_S, UNTIL_S, SINKS_AT_S = 8, 120.0, 420.0, 60.0
"""Runs of each line, what of them is looked at, and when a quota sinks that does."""
LINES = (
    *((1, quota, quota) for quota in (10_000, 2000, 1000, 500, 50)),
    *((1, 10_000, quota) for quota in (500, 100)),
    *((3, quota, quota) for quota in (10_000, 3000, 1000)),
    *((3, 10_000, quota) for quota in (500, 100)),
    *(
        (replicas, quota, quota)
        for replicas, quota in ((6, 10_000), (12, 10_000), (12, 3000), (12, 1000), (20, 10_000))
    ),
)
"""Replicas, messages a second, and what they sink to."""


def measured(line: tuple[int, int, int], seed: int) -> tuple[float, float, float]:
    """Of one run: the share of requests refused, the share of the quota used, and what the least has of an equal part."""
    replicas, quota, sinks_to = line
    it = world(0.03, replicas, seed=seed, quota=quota)

    def change(now: float) -> None:
        if now == SINKS_AT_S:
            it.quota.per_s = sinks_to

    it.run(UNTIL_S, change)
    least = min(used([replica], FROM_S, UNTIL_S, sinks_to) for replica in it.replicas) * replicas
    return refused(it.replicas, FROM_S, UNTIL_S), used(it.replicas, FROM_S, UNTIL_S, sinks_to), least


def found_after(latency_s: float, moment: int) -> float:
    """Seconds after which three replicas use 95% of a quota that is raised by half at this moment; 120 where they don't."""
    it = world(latency_s, 3, seed=moment)

    def change(now: float) -> None:
        if now == moment:
            it.quota.per_s = QUOTA * 1.5

    it.run(moment + 123, change)
    return next(
        (
            half / 2
            for half in range(240)
            if used(it.replicas, moment + half / 2, moment + half / 2 + 3, QUOTA * 1.5) >= 0.95
        ),
        120.0,
    )


def main() -> None:
    """Prints Markdown."""
    print(
        "| replicas | messages a second | refused | used | the least, of an equal part |\n| ---: | ---: | ---: | ---: | ---: |"
    )
    with ProcessPoolExecutor() as pool:
        for line in LINES:
            runs = list(pool.map(measured, [line] * SEEDS, range(SEEDS)))
            no, yes, least = (mean(column) for column in zip(*runs, strict=True))
            replicas, quota, sinks_to = line
            rate = f"{quota:,}" if sinks_to == quota else f"{quota:,}, then {sinks_to:,}"
            print(f"| {replicas} | {rate} | {no:.1%} | {yes:.0%} | {least:.0%} |", flush=True)
        for latency_s in (0.03, 0.3):
            after = list(pool.map(found_after, [latency_s] * 30, range(150, 210, 2)))
            print(
                f"\nThree, {latency_s * 1000:.0f} ms, raised by half: found after {mean(after):.0f} s on average, {max(after):.0f} at most."
            )


if __name__ == "__main__":
    main()
