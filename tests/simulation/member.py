"""One simulated process: a real engine with a clock, completions, a sender and dead letters."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from bridge.codec.routes import routes_by_topic
from bridge.engine.engine import Engine
from bridge.engine.flow_control import PAUSE_AFTER_S
from bridge.engine.inlet import Inlet
from bridge.engine.skips import SkipOrder
from bridge.engine.task import Task
from bridge.model import BatchRequest, DeadLetter, PublishResult, TopicPartition
from tests.simulation.dead_letter_oracle import DeadLetterOracle
from tests.simulation.ground_truth import LaneLife, Request, SimulatedRecord, Violation
from tests.simulation.inlet_rules import InletRules
from tests.simulation.member_checks import MemberChecks
from tests.simulation.member_observer import MemberObserver
from tests.simulation.memory_window import MemoryWindow
from tests.simulation.simulated_source import SimulatedSource

if TYPE_CHECKING:
    from tests.simulation.world import World

MAX_CALLS = 300_000
LEAP_S = 120.0
"""An idle process sleeps no longer than this at once."""


class Crash(BaseException):
    """The process is killed, in the middle of whatever it does."""


class Member:
    """A member of the group. It has a clock of its own; the member furthest behind takes the next turn."""

    def __init__(self, world: World, name: str, now: float, rng: Random) -> None:
        scenario = world.scenario
        self.world, self.name, self.now, self._rng = world, name, now, rng
        self.narrate: Callable[[str], None] | None = None
        if world.narrate is not None:
            narrate = world.narrate
            self.narrate = lambda text: narrate(f"{self.now:10.3f} {self.name}  {text}")
        self.turns = self.calls = 0
        self.turned_at = now
        self.crash_in: int | None = None
        self.drain_until = math.inf
        self.draining = False
        self.rewound: set[TopicPartition] = set()
        self.owed: list[SimulatedRecord] = []
        """What it read of logs that are gone, and was not settled then: nobody else can deliver it."""
        self.inlet_rules = {each: InletRules(each, name, scenario.policy) for each in scenario.inlets}
        self.windows = {each: MemoryWindow(name, scenario.policy.window_bytes) for each in scenario.inlets}
        self.dead_letter_oracle = DeadLetterOracle(world.truth, name, scenario.policy.flood_guard)
        self._arrivals: list[
            tuple[float, int, object, object, Request | list[tuple[SimulatedRecord, LaneLife]]]
        ] = []
        self._seq = count()
        self.checks = MemberChecks(self)
        self.engine = Engine(
            route_of=routes_by_topic(world.routes),
            inlets={
                each: Inlet(each, each, scenario.policy, Random(rng.random())) for each in scenario.inlets
            },
            sender=self,
            dead_letters=self,
            completions=self,
            clock=lambda: self.now,
            settings=scenario.settings,
            observers=[MemberObserver(self)],
        )
        self.engine.note_partition_counts(world.broker.partitions())
        self.source = SimulatedSource(world.broker, self, rng)
        self.engine.loop.attach(self.source)

    # -- time ------------------------------------------------------------------

    def port(self, what: str) -> None:
        """Every call through a port is a place where the process may be killed."""
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise Violation(f"{self.name} spins: {self.calls} calls through its ports, the last one {what}")
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                if self.narrate:
                    self.narrate(f"CRASHES in {what}")
                raise Crash

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, timeout_s: float) -> None:
        """Nothing to do now: time passes, to the next thing that concerns this process rather than for
        `timeout_s` only, so that hours cost little.
        """
        view, source = self.engine.view, self.source
        wake = min(self._arrivals[0][0] if self._arrivals else math.inf, view.next_timer())
        if source.revoking_since is not None:
            limit = min(
                source.revoking_since + self.world.scenario.settings.revoke_timeout_s,
                max(source.revoking_since, self.drain_until),
            )
            until = min(wake, limit)
        elif self.draining:
            until = min(wake, self.drain_until, source.next_order(), source.commit_at)
        else:
            linger = self.world.scenario.settings.linger_s
            due = [
                *(batch.opened_at + linger for batch in view.open_batches),
                *(
                    window.full_since + PAUSE_AFTER_S + 0.001
                    for window in view.windows.values()
                    if window.full_since
                ),
            ]
            due = [at for at in due if at > self.now]  # what is due already waits for something else
            until = min(
                wake,
                *due,
                source.next_order(),
                source.commit_at,
                self.world.next_event(self),
                self.now + LEAP_S,
            )
        if until > self.now + timeout_s:
            self.now = until
        else:
            self.now = max(until, self.now + min(0.001, timeout_s))

    # -- ports.Completions -------------------------------------------------------

    def put(self, ticket: object, reply: object) -> None:
        heapq.heappush(self._arrivals, (self.now, next(self._seq), ticket, reply, []))

    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        self.port("take")
        if timeout_s > 0 and not (self._arrivals and self._arrivals[0][0] <= self.now):
            reads = (
                not self.draining
                and self.source.revoking_since is None
                and not self.engine.view.is_stalled(self.now)
            )
            if reads and self.source.has_more():  # it reads when this is over
                self.now = min([self.now + timeout_s, *(at for at, *_ in self._arrivals[:1])])
            else:
                self.wait(timeout_s)
        self.source.commit_due()
        replies = []
        while self._arrivals and self._arrivals[0][0] <= self.now:
            _, _, ticket, reply, behind = heapq.heappop(self._arrivals)
            if isinstance(behind, Request):
                self._arrived(behind)
            elif isinstance(reply, PublishResult):
                self._acknowledged(behind, reply)
            replies.append((ticket, reply))
        return replies

    def _arrived(self, request: Request) -> None:
        truth = self.world.truth
        request.arrived_seq, request.arrived_at = truth.tick(), self.now
        for record in request.records:
            record.under_way.discard(self.name)
        truth.learn(request)
        self.dead_letter_oracle.note_response(request)
        self.inlet_rules[request.inlet].arrived(request)
        if self.narrate:
            verdicts = dict(Counter(request.verdicts)) if request.status in (200, 207) else ""
            status = request.status or "none"
            self.narrate(f"answer to request {request.number}: {status} ({request.note}) {verdicts}")

    # -- ports.Sender --------------------------------------------------------------

    def send(self, ticket: object, batch_request: BatchRequest) -> None:
        self.port("send")
        inlet = batch_request.inlet
        begun = (
            bool(self.source.closing)
            and isinstance(ticket, Task)
            and any(
                self.life(ticket, record) in record.settled_for
                for record in ticket.batch.records
                if isinstance(record, SimulatedRecord)
            )
        )
        request, response = self.world.aep.receive(
            self.name, ticket, partial(self.life, ticket), batch_request, self.now
        )
        self.inlet_rules[inlet].sent(request)
        for record, life in zip(request.records, request.lives, strict=True):
            self.checks.check_may_send(record, life, begun=begun)
            record.under_way.add(self.name)
        if self.world.scenario.settings.ordered:
            self.checks.check_order(request)
        self.world.organisation_rate.sends.append((self.now, inlet, len(request.records)))
        if self.narrate:
            records = [f"{record.where}@{record.at}" for record in request.records]
            self.narrate(
                f"request {request.number} to {inlet}: {records} {request.size} bytes → {request.note}"
            )
        heapq.heappush(self._arrivals, (request.arrives_at, next(self._seq), ticket, response, request))

    def life(self, ticket: object, record: SimulatedRecord) -> LaneLife:
        """The life in which this batch got the record: where a partition was cut off and is read again, the
        engine's lane tells the two apart.
        """
        before = record.before.get(self.name)
        if before is None or not isinstance(ticket, Task):
            return record.lives[self.name]
        return next((life for life in before if life.lane in ticket.batch.lanes), record.lives[self.name])

    # -- ports.DeadLetters -----------------------------------------------------------

    def publish(self, ticket: object, dead_letters: Sequence[DeadLetter]) -> None:
        self.port("publish")
        failed = []
        carried: list[tuple[SimulatedRecord, LaneLife]] = []
        share = self.world.dead_letter_fault(self.now)
        for at, dead_letter in enumerate(dead_letters):
            record = dead_letter.record
            if not isinstance(record, SimulatedRecord):
                raise Violation(f"a dead letter of something else: {record!r}")
            life = self.life(ticket, record)
            self.dead_letter_oracle.judge(record, dead_letter, ticket, life, f"{record.where.topic}.dlq")
            carried.append((record, life))
            lost = share > 0 and self._rng.random() < share
            if lost:
                failed.append(at)
            else:
                record.dead_letters += 1
        if self.narrate:
            self.narrate(
                f"publishes {[f'{each.record!r} {each.refusal.reason.value}' for each in dead_letters]}, "
                f"failing {failed}"
            )
        when = self.now + self._rng.choice((0.005, 0.05, 0.5))
        heapq.heappush(
            self._arrivals,
            (
                when,
                next(self._seq),
                ticket,
                PublishResult(tuple(failed), "not enough replicas" if failed else ""),
                carried,
            ),
        )

    def _acknowledged(self, carried: list[tuple[SimulatedRecord, LaneLife]], reply: PublishResult) -> None:
        for at, (record, life) in enumerate(carried):
            if at not in reply.failed:
                record.acked = min(record.acked, self.now)
                record.settled_for.add(life)

    # -- the process -------------------------------------------------------------------

    def turn(self) -> None:
        """Once around the engine's loop."""
        self.turns += 1
        self.turned_at = self.now
        if self._rng.random() < self.world.stalls(self.now):
            self.now += self._rng.choice((0.5, 3.0))
        self.engine.loop.turn(self.source)
        self.checks.check_stored()
        self.pass_time(0.0005)
        self.checks.check()

    def drain(self) -> bool:
        """The first SIGTERM."""
        self.draining, started = True, self.now
        timeout = self.world.scenario.settings.drain_timeout_s
        self.drain_until = started + timeout
        if self.narrate:
            self.narrate("drains")
        done = self.engine.loop.drain(self.source)
        if self.now - started > timeout + 0.5:
            raise Violation(f"{self.name} drained for {self.now - started:.1f} s; the limit is {timeout:.1f}")
        return done

    def skip(self, record: SimulatedRecord) -> SkipOrder:
        """An operator orders a record to its dead-letter topic."""
        self.world.truth.skips.add((record.where, record.at))
        order = SkipOrder(record.where, record.at, "operator", "simulation")
        if self.narrate:
            self.narrate(f"an operator skips {record}")
        self.put(order, None)
        return order

    def owes(self, life: LaneLife) -> None:
        """The log of this life is gone."""
        truth = self.world.truth
        self.owed += [
            record
            for record in truth.records
            if record.lives.get(self.name) is life and not truth.settled(record, self.now)
        ]

    def requests_under_way(self) -> list[Request]:
        """Return the requests whose responses have not arrived."""
        return [request for *_, request in self._arrivals if isinstance(request, Request)]

    @property
    def idle(self) -> bool:
        """Whether nothing is under way here."""
        return self.engine.view.is_idle and not self._arrivals
