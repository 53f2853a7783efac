"""Replicas and a quota in simulated time: an inlet's limits against a token bucket with one second of burst.

Adobe's guidance describes the quota like that. `python -m tests.support.quota` prints the table of ADR 12,
and how soon three replicas find a quota that was raised.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from statistics import mean
from typing import NamedTuple

from bridge.engine.inlet import Inlet, Policy

QUOTA = 10_000.0
"""Messages per second."""
MESSAGES = 1000
"""The most messages of a request."""
WINDOW = 32_000
"""Messages that a process has read and not settled. It made batches of them long before it sends them."""


@dataclass
class Quota:
    """Refuses a request if the bucket does not hold enough for it."""

    per_s: float
    level: float = 0.0
    at: float = 0.0
    """When `level` was calculated."""

    def take(self, amount: int, now: float) -> bool:
        self.level = min(self.per_s, self.level + (now - self.at) * self.per_s)
        self.at = now
        if self.level < min(amount, self.per_s):
            return False
        self.level -= amount
        return True


@dataclass(order=True)
class Request:
    """A request, or what waits to be sent again after a refusal until it is due."""

    due: float
    messages: int = field(compare=False)
    attempts: int = field(default=0, compare=False)
    ticket: int = field(default=0, compare=False)
    """What the inlet returned when the request was sent."""
    accepted: bool = field(default=False, compare=False)


@dataclass
class Replica:
    """A process that always has something to send. A refused request is sent again before anything new."""

    inlet: Inlet
    starts: float = 0.0
    free_window: int = WINDOW
    """Messages that it may still read."""
    batches: deque[int] = field(default_factory=deque)
    """Messages of each batch that waits to be sent."""
    refused_requests: list[Request] = field(default_factory=list)
    """A heap: what waits to be sent again."""
    accepted: list[tuple[float, int]] = field(default_factory=list)
    """Times of the accepted requests, and their messages."""
    refused: list[float] = field(default_factory=list)
    """Times of the refused requests."""
    next_try: float = 0.0

    def read(self) -> None:
        """Fill the window with batches as large as the rate allows now."""
        while self.free_window >= (size := self.inlet.rate.at_most(MESSAGES)):
            self.free_window -= size
            self.batches.append(size)

    def next_request(self, now: float) -> Request:
        """Return the request to send now. What is too large for today's rate is sent in parts."""
        if self.refused_requests and self.refused_requests[0].due <= now:
            request = heapq.heappop(self.refused_requests)
        else:
            self.read()
            request = Request(now, self.batches.popleft())
        first_part = self.inlet.messages_to_send(request.messages)
        if first_part < request.messages:
            rest = replace(request, messages=request.messages - first_part)
            heapq.heappush(self.refused_requests, rest)
        return replace(request, messages=first_part)


@dataclass
class QuotaSimulation:
    """Replicas, a quota and a latency.

    Those replicas that have started hold equal shares of the partitions.
    """

    replicas: list[Replica]
    quota: Quota
    latency_s: float
    rng: Random
    events: list[tuple[float, int, str, Replica | None, Request | None]] = field(default_factory=list)
    number: count[int] = field(default_factory=count)

    def run(self, until: float, each_second: Callable[[float], None] = lambda _: None) -> None:
        """Run until a time. `each_second` may change anything."""
        for replica in self.replicas:
            self._schedule(replica.starts, "join", replica)
        self._schedule(0.0, "second", None)
        while self.events[0][0] <= until:
            now, _, kind, replica, request = heapq.heappop(self.events)
            if replica is None:
                each_second(now)
                self._schedule(now + 1, "second", None)
            elif kind == "arrival" and request:
                request.accepted = self.quota.take(request.messages, now)
                self._schedule(self._after_half_the_latency(now), "response", replica, request)
            elif kind != "try" or now == replica.next_try:  # only the latest scheduled try counts
                if kind == "join":
                    self.rebalance(now)
                elif request:
                    self._receive(replica, request, now)
                self._send(replica, now)

    def rebalance(self, now: float) -> None:
        """Give each replica that has started an equal share."""
        members = [replica for replica in self.replicas if replica.starts <= now]
        for replica in members:
            replica.inlet.rate.hold(1 / len(members))

    def _schedule(
        self, when: float, kind: str, replica: Replica | None, request: Request | None = None
    ) -> None:
        heapq.heappush(self.events, (when, next(self.number), kind, replica, request))

    def _after_half_the_latency(self, now: float) -> float:
        return now + self.latency_s * self.rng.uniform(0.4, 0.6)

    def _receive(self, replica: Replica, request: Request, now: float) -> None:
        """Take the response to a request."""
        inlet = replica.inlet
        inlet.response_received()
        if request.accepted:
            inlet.note_acceptance(request.messages, 1, request.ticket, now)
            replica.accepted.append((now, request.messages))
            replica.free_window += request.messages
            return
        attempts = request.attempts + 1
        due = now + inlet.note_failure("status 429", "", request.ticket, now, attempts).wait_s
        inlet.note_throttled(request.messages, request.ticket, now)
        replica.refused.append(now)
        heapq.heappush(replica.refused_requests, Request(due, request.messages, attempts))
        self._schedule(due, "due again", replica)

    def _send(self, replica: Replica, now: float) -> None:
        """Send as many requests as the inlet allows now, and schedule the next try."""
        inlet = replica.inlet
        while (ready := inlet.ready_at(now)) <= now:
            request = replica.next_request(now)
            request.ticket = inlet.request_sent(request.messages, now)
            self._schedule(self._after_half_the_latency(now), "arrival", replica, request)
        if ready != float("inf"):
            replica.next_try = ready + 1e-6
            self._schedule(replica.next_try, "try", replica)


def quota_simulation(
    latency_s: float, replicas: int = 1, *, apart_s: float = 0.0, seed: int = 1, quota: float = QUOTA
) -> QuotaSimulation:
    """Return a simulation of so many replicas, which start so many seconds apart."""
    policy = Policy(max_in_flight=8)
    inlets = [Inlet(f"i{n}", "id", policy, rng=Random(seed * 100 + n)) for n in range(replicas)]
    started = [Replica(inlet, starts=n * apart_s) for n, inlet in enumerate(inlets)]
    return QuotaSimulation(started, Quota(quota, quota), latency_s, Random(seed))


def used_share(replicas: Sequence[Replica], start: float, end: float, quota: float = QUOTA) -> float:
    """Return the share of a quota that was used by accepted messages."""
    accepted = [entry for replica in replicas for entry in replica.accepted]
    messages = sum(messages for at, messages in accepted if start <= at < end)
    return messages / (end - start) / quota


def refused_share(replicas: Sequence[Replica], start: float, end: float) -> float:
    """Return the share of requests that were answered 429."""
    refused = sum(start <= at < end for replica in replicas for at in replica.refused)
    accepted = sum(start <= at < end for replica in replicas for at, _ in replica.accepted)
    return refused / (refused + accepted)


# -- the table ---------------------------------------------------------------------------------


class Load(NamedTuple):
    """A line of the table: replicas, messages per second, and what the quota sinks to."""

    replicas: int
    quota: int
    sinks_to: int


RUNS = 8
"""Runs of each line, each with a seed of its own."""
SINKS_AT_S = 60.0
MEASURED_FROM_S, MEASURED_UNTIL_S = 120.0, 420.0
LOADS = (
    *(Load(1, quota, quota) for quota in (10_000, 2000, 1000, 500, 50)),
    *(Load(1, 10_000, sinks_to) for sinks_to in (500, 100)),
    *(Load(3, quota, quota) for quota in (10_000, 3000, 1000)),
    *(Load(3, 10_000, sinks_to) for sinks_to in (500, 100)),
    Load(6, 10_000, 10_000),
    *(Load(12, quota, quota) for quota in (10_000, 3000, 1000)),
    Load(20, 10_000, 10_000),
)
FOUND_SHARE = 0.95
RAISED_BY = 1.5
NOT_FOUND_S = 120.0


def measure(load: Load, seed: int) -> tuple[float, float, float]:
    """Return the share of requests refused, the share of the quota used, and the smallest replica's part.

    That part is relative to an equal part for each.
    """
    simulation = quota_simulation(0.03, load.replicas, seed=seed, quota=load.quota)

    def sink(now: float) -> None:
        if now == SINKS_AT_S:
            simulation.quota.per_s = load.sinks_to

    simulation.run(MEASURED_UNTIL_S, sink)
    span = (MEASURED_FROM_S, MEASURED_UNTIL_S)
    shares = [used_share([replica], *span, load.sinks_to) for replica in simulation.replicas]
    used = used_share(simulation.replicas, *span, load.sinks_to)
    return refused_share(simulation.replicas, *span), used, min(shares) * load.replicas


def seconds_until_found(latency_s: float, moment: int) -> float:
    """Return after how many seconds three replicas use 95% of a quota that is raised by half at this moment.

    That is measured over three seconds each. Return `NOT_FOUND_S` if they never do.
    """
    simulation = quota_simulation(latency_s, 3, seed=moment)

    def rise(now: float) -> None:
        if now == moment:
            simulation.quota.per_s = QUOTA * RAISED_BY

    simulation.run(moment + NOT_FOUND_S + 3, rise)
    for half_seconds in range(240):
        start = moment + half_seconds / 2
        if used_share(simulation.replicas, start, start + 3, QUOTA * RAISED_BY) >= FOUND_SHARE:
            return half_seconds / 2
    return NOT_FOUND_S


def main() -> None:
    """Print both as Markdown."""
    print("| replicas | messages a second | refused | used | the least, of an equal part |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    with ProcessPoolExecutor() as pool:
        for load in LOADS:
            runs = list(pool.map(measure, [load] * RUNS, range(RUNS)))
            refused, used, least = (mean(column) for column in zip(*runs, strict=True))
            sinks = "" if load.sinks_to == load.quota else f", then {load.sinks_to:,}"
            shares = f"{refused:.1%} | {used:.0%} | {least:.0%}"
            print(f"| {load.replicas} | {load.quota:,}{sinks} | {shares} |", flush=True)
        for latency_s in (0.03, 0.3):
            seconds = list(pool.map(seconds_until_found, [latency_s] * 30, range(150, 210, 2)))
            average, most = f"{mean(seconds):.0f} s on average", f"{max(seconds):.0f} at most"
            milliseconds = f"{latency_s * 1000:.0f} ms"
            print(f"\nThree, {milliseconds}, raised by half: found after {average}, {most}.")


if __name__ == "__main__":
    main()
