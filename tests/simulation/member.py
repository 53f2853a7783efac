"""One simulated process: a real engine with a clock, completions, a sender and dead letters.

The checks that concern one process are here too.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, pairwise
from random import Random
from typing import TYPE_CHECKING

from bridge.codec.routes import routes_by_topic
from bridge.engine import events
from bridge.engine.engine import Engine
from bridge.engine.events import Observer
from bridge.engine.flow_control import PAUSE_AFTER_S
from bridge.engine.inlet import Inlet
from bridge.engine.skips import SkipOrder
from bridge.engine.task import Task
from bridge.model import BatchRequest, DeadLetter, PublishResult, TopicPartition
from tests.simulation.dead_letter_oracle import DeadLetterOracle
from tests.simulation.ground_truth import CUT_OFF, LaneLife, RecordKind, Request, SimulatedRecord, Violation
from tests.simulation.inlet_rules import InletRules
from tests.simulation.kafka import PATIENCE_S, PATIENCE_TURNS, SimulatedSource
from tests.simulation.memory_window import MemoryWindow

if TYPE_CHECKING:
    from tests.simulation.world import World

MAX_CALLS = 300_000
OVERSHOOT = 400
"""Records that may be read between two looks at the lanes, 50 ms apart, at the speed of the simulated
source."""
LEAP_S = 120.0
"""An idle process sleeps no longer than this at once."""


class Crash(BaseException):
    """The process is killed, in the middle of whatever it does."""


class Watcher(Observer):
    """Compares what the engine claims with the truth."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def dead_letter_published(self, event: events.DeadLetterPublished) -> None:
        record = event.dead_letter.record
        assert isinstance(record, SimulatedRecord)
        if record.acked > self._member.now:
            raise Violation(f"{record} counts as dead-lettered before the broker acknowledged it")

    def inlet_held(self, event: events.InletHeld) -> None:
        self._narrate(
            f"holds {event.inlet}: {event.reason} ({event.detail[:60]}), next try in {event.next_try_s:.1f} s"
        )

    def inlet_released(self, event: events.InletReleased) -> None:
        self._narrate(f"releases {event.inlet} after {event.held_s:.1f} s: {event.reason}")

    def batch_waits(self, event: events.BatchWaits) -> None:
        reason = f"{event.reason} ({event.detail[:60]})"
        self._narrate(f"batch {event.batch} ({event.records}) waits {event.seconds:.2f} s: {reason}")

    def _narrate(self, text: str) -> None:
        if self._member.narrate:
            self._member.narrate(text)


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
            observers=[Watcher(self)],
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
            self._may_send(record, life, begun=begun)
            record.under_way.add(self.name)
        if self.world.scenario.settings.ordered:
            self._in_order(request)
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

    def _may_send(self, record: SimulatedRecord, life: LaneLife, *, begun: bool) -> None:
        position = self.source.held.get(record.where)
        if position is None or position.life is not life:
            if record.where not in self.rewound:
                raise Violation(
                    f"{record} is sent by {self.name}, which does not hold its partition any more"
                )
        elif (
            record.where in self.source.closing and not begun
        ):  # the rest of a batch that is settled in part is finished, or that part would be sent twice
            raise Violation(f"{record} is sent while its partition is being revoked")
        if (
            self.name in record.under_way
            and life.member == self.name
            and not life.ended
            and any(
                request.arrived_seq is None and request.lives[request.records.index(record)] is life
                for request in record.requests[:-1]
            )
        ):
            raise Violation(f"{record} is sent while a request of {self.name} that carries it is under way")
        if record.acked <= self.now and life in record.settled_for:
            raise Violation(f"{record} is sent after its dead letter was acknowledged")

    def _in_order(self, request: Request) -> None:
        """Where order is kept, all before it in its partition is settled when a record goes out, or goes
        out with it.
        """
        life, carried = request.lives[0], set(request.records)
        if any(each.where != life.where for each in request.lives):
            raise Violation(f"request {request.number} mixes partitions")
        for before, after in pairwise(request.records):
            if before.at >= after.at:
                raise Violation(f"request {request.number} carries {after} behind {before}")
        log = self.world.truth.logs[life.where]
        if any(each.incarnation != log.incarnation for each in request.lives):
            return
        while (
            life.in_order < len(log.records)
            and (record := log.records[life.in_order]).at < request.records[-1].at
        ):
            if (
                record.piece is not None
                and record not in carried
                and record.lives.get(self.name) is life
                and life not in record.settled_for
            ):
                raise Violation(f"{request.records[-1]} is sent before {record} is settled")
            if record in carried:
                break
            life.in_order += 1

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

    # -- a step, and the checks after it ------------------------------------------------

    def turn(self) -> None:
        """Once around the engine's loop."""
        self.turns += 1
        self.turned_at = self.now
        if self._rng.random() < self.world.stalls(self.now):
            self.now += self._rng.choice((0.5, 3.0))
        self.engine.loop.turn(self.source)
        self.check_stored()
        self.pass_time(0.0005)
        self.check()

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

    def check(self) -> None:
        """What must hold in a process after every step."""
        view = self.engine.view
        weights = dict.fromkeys(view.inlets, 0.0)
        for batch in (*view.dispatched_batches, *view.open_batches):
            weights[batch.key.inlet] += batch.weight
        for name, inlet in view.inlets.items():
            used = view.windows[name].used
            if abs(used - weights[name]) > 1.0:
                raise Violation(
                    f"{name} counts {used:.0f} bytes in use; its batches hold {weights[name]:.0f}"
                )
            if inlet.in_flight != (requests_in_flight := len(self.inlet_rules[name].requests_in_flight)):
                raise Violation(
                    f"{name} counts {inlet.in_flight} requests in flight; there are {requests_in_flight}"
                )
            self._over(name, is_over=self.windows[name].full)
        for where, position in self.source.held.items():
            self._over(where, is_over=self._too_far(position.life))

    def _over(self, what: object, *, is_over: bool) -> None:
        if is_over:
            self.source.over.setdefault(what, (self.turns, self.now))
        else:
            self.source.over.pop(what, None)

    def check_reading(self, life: LaneLife, records: Sequence[SimulatedRecord]) -> None:
        """Nothing is read into a full window, beyond the read that fills it, nor for a lane that is too far
        ahead. Then they count as read.

        Where other inlets have room, their partitions are read on, and the full one's are paused within
        `PATIENCE_S`.
        """
        name, where = records[0].inlet, life.where
        window = self.windows[name]
        ahead = self._too_far(life)
        self._over(name, is_over=window.full)
        self._over(where, is_over=ahead)
        alone = len(self.windows) == 1
        for what, turns, seconds in (
            (name, 0 if alone else PATIENCE_TURNS, 0.0 if alone else PATIENCE_S),
            (where, PATIENCE_TURNS, PATIENCE_S),
        ):
            turn, since = self.source.over.get(what, (self.turns, self.now))
            if self.turns - turn > turns and self.turned_at - since >= seconds:
                raise Violation(
                    f"{where} is read on, though {what} is over its limit "
                    f"for {self.now - since:.2f} s ({window})"
                )
        for record in records:
            if (earlier := record.lives.get(self.name)) is not None and earlier.ended == CUT_OFF:
                record.before.setdefault(self.name, []).append(earlier)
            record.lives[self.name], record.read[self.name] = life, self.world.truth.tick()
            self.dead_letter_oracle.read(record)
            if record.piece is not None or not self.world.truth.settled(record, self.now):
                window.read(record, life)

    def _too_far(self, life: LaneLife) -> bool:
        """Whether a life has read further ahead of its first open record than it may."""
        log, truth = self.world.truth.logs[life.where], self.world.truth
        if life.incarnation != log.incarnation:
            return False
        while life.behind < len(log.records) and (record := log.records[life.behind]).at < life.read_to:
            if (
                record.lives.get(self.name) is life
                and life not in record.settled_for
                and not (record.kind is RecordKind.TOMBSTONE and truth.tombstones_skipped)
            ):
                return life.read_to - record.at >= self.world.scenario.settings.max_uncommitted_records
            life.behind += 1
        return False

    def check_revoke(self, parts: Sequence[TopicPartition], started: float) -> None:
        """In-flight requests were waited for, and no longer than allowed."""
        allowed = min(self.world.scenario.settings.revoke_timeout_s, max(0.0, self.drain_until - started))
        took = self.now - started
        if took > allowed + 0.1:
            raise Violation(f"a revoke took {took:.2f} s; its limit is {allowed:.2f}")
        if took < allowed - 0.02:
            lives = {self.source.held[where].life for where in parts}
            for _, _, _, _, request in self._arrivals:
                if isinstance(request, Request) and not lives.isdisjoint(request.lives):
                    raise Violation(f"the revoke of {parts[0]} did not wait for request {request.number}")

    @property
    def _late(self) -> bool:
        """Whether a revoke goes on without what is still open, since its deadline has passed."""
        started = self.now if self.source.revoking_since is None else self.source.revoking_since
        return (
            self.now - started
            >= min(self.world.scenario.settings.revoke_timeout_s, max(0.0, self.drain_until - started)) - 0.02
        )

    def check_bound(self, life: LaneLife, how: str) -> None:
        """What the next owner will read again is bounded, and where all was settled, it is nothing."""
        broker, truth = self.world.broker, self.world.truth
        if life.incarnation != truth.logs[life.where].incarnation:
            return
        committed = broker.committed.get(life.where, 0)
        read = [
            record
            for record in truth.logs[life.where].records
            if committed <= record.at < life.read_to and record.lives.get(self.name) is life
        ]
        repeats = [record for record in read if life in record.settled_for]
        if (
            how == "revoked"
            and not self._late
            and broker.owner[life.where] == self.name
            and read
            and len(repeats) == len(read)
        ):
            raise Violation(
                f"{life.where} was revoked with everything settled, "
                f"but committed at {committed}, not {life.read_to}"
            )
        most = self.world.scenario.settings.max_uncommitted_records
        recent = sum(
            record.accepted[-1].arrived_at >= self.now - 0.5 for record in repeats if record.accepted
        )
        if len(repeats) > most + recent + OVERSHOOT:
            raise Violation(f"{len(repeats)} records of {life.where} will be sent again; the bound is {most}")

    def check_stored(self) -> None:
        """Where all that was read is settled, the turn stores it: the client commits half a second later,
        and a crash repeats no more than that.

        Of a log that was never made anew or cut off: of others a process may hold what is gone.
        """
        broker, truth = self.world.broker, self.world.truth
        for where, position in self.source.held.items():
            life, log = position.life, truth.logs[where]
            if log.incarnation == 0 and broker.owner[where] == self.name and not self._too_far(life):
                settled = life.behind == len(log.records) or log.records[life.behind].at >= life.read_to
                stored = max(self.source.stored.get(where, 0), broker.committed.get(where, 0))
                if settled and stored < life.read_to:
                    raise Violation(f"{where} is settled up to {life.read_to}, and stored at {stored}")

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

    @property
    def idle(self) -> bool:
        """Whether nothing is under way here."""
        return self.engine.view.is_idle and not self._arrivals

    def check_empty(self) -> None:
        """At the end nothing is left."""
        view = self.engine.view
        inlets = view.inlets.items()
        left = {
            "batches": list(view.dispatched_batches),
            "queued": {name for name in view.inlets if view.queued(name)},
            "in use": {name: window.used for name, window in view.windows.items() if window.used > 0.001},
            "bisecting": {name for name, inlet in inlets if inlet.bisecting is not None},
            "in flight": {name for name, inlet in inlets if inlet.in_flight},
            "skips": view.skip_orders,
            "undelivered of logs that are gone": [
                record for record in self.owed if not self.world.truth.settled(record, self.now)
            ],
            "open": {str(lane): lane.open for lane in view.lanes.values() if lane.open},
        }
        if full := {name: what for name, what in left.items() if what}:
            raise Violation(f"{self.name} has something left at the end: {full}")
