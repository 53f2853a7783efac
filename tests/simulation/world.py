"""The scheduler of one history: whose turn it is, what happens when, and whether all is drained at the
end.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random

from bridge.model import TopicPartition
from tests.simulation.aep import Aep
from tests.simulation.final_phase import FinalPhase
from tests.simulation.ground_truth import GroundTruth, RecordKind, Violation
from tests.simulation.kafka import Broker
from tests.simulation.member import Crash, Member
from tests.simulation.organisation_rate import OrganisationRate
from tests.simulation.record_generator import draw_record
from tests.simulation.scenario import WHOLE_MODES, Interval, Scenario, Topic, plan

MAX_TURNS = 200_000


@dataclass(slots=True)
class History:
    """What a history was, for the totals."""

    seed: int
    flavour: str
    records: int
    requests: int
    turns: int
    seconds: float
    """Of simulated time."""
    causes: Counter[str] = field(default_factory=Counter)
    residue: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    dead_letters: int = 0


def _refusals(intervals: Sequence[Interval]) -> int:
    """Return how often an inlet begins to refuse everything.

    Where intervals overlap, the first of them counts, so that one may begin twice.
    """
    edges = sorted({edge for each in intervals for edge in (each.start, each.end)})
    modes = [next((each.mode for each in intervals if each.start <= edge < each.end), "") for edge in edges]
    return sum(mode in WHOLE_MODES and before not in WHOLE_MODES for before, mode in pairwise(["", *modes]))


class World:
    """Everything of one history."""

    def __init__(self, scenario: Scenario, narrate: Callable[[str], None] | None = None) -> None:
        self.scenario, self.narrate = scenario, narrate
        self.routes = scenario.routes()
        self.truth = GroundTruth(scenario.settings.ordered, not scenario.tombstones)
        self.truth.flapping = {
            name: _refusals(intervals) + bool(scenario.spite_s)
            for name, intervals in scenario.intervals.items()
        }
        self._rng = Random(f"world {scenario.seed}")
        self.organisation_rate = OrganisationRate()
        self.broker = Broker(self.truth, Random(f"broker {scenario.seed}"), self.organisation_rate)
        self.aep = Aep(scenario, self.truth, Random(f"aep {scenario.seed}"))
        self.members: list[Member] = []
        self._names = count(1)
        self._events: list[tuple[float, int, str, int]] = []
        self._seq = count()
        self.turns = self.skipped = self.most_members = 0
        self.now = 0.0
        for topic in scenario.topics:
            for partition in range(topic.partitions):
                self.broker.create(TopicPartition(topic.name, partition))
        for at, what, number in scenario.events:
            self._later(at, what, number)
        if scenario.flavour == "isolation":
            self._later(scenario.calm_at - 1.0, "isolated?", 0)
        for _ in range(scenario.members):
            self._later(0.0, "join", 0)

    # -- asked by the members ------------------------------------------------------

    def next_event(self, member: Member) -> float:
        """When something outside of a member happens next."""
        due = self._events[0][0] if self._events else math.inf
        free = [
            at
            for where, at in self.broker.free_at.items()
            if self.broker.owner[where] is None and self.broker.target.get(where) == member.name
        ]
        if len(self.members) > 1 and any(each.source.orders for each in self.members):
            due = min(due, member.now + 0.3)
        return min([due, *(at for at in free if at > member.now)])

    def dead_letter_fault(self, now: float) -> float:
        return max(
            (share for start, end, share in self.scenario.dead_letter_faults if start <= now < end),
            default=0.0,
        )

    def commit_fails(self, now: float) -> bool:
        """In the middle of a rebalance, or without a coordinator; tried again."""
        return now < self.scenario.calm_at and self._rng.random() < 0.1

    def stalls(self, now: float) -> float:
        return self.scenario.stalls if now < self.scenario.calm_at else 0.0

    # -- the history ------------------------------------------------------------------

    def run(self) -> History:
        """From the first record to the last one settled. Raises `Violation`."""
        while self._events:
            self._step()
        self._calm()
        while self.now < self.scenario.calm_at:
            self.turn(self.furthest_behind())
        self.skipped = FinalPhase(self).run()
        self.truth.account()
        if (rate := self.scenario.policy.max_messages_per_s) is not None:
            self.organisation_rate.check(
                self.scenario.inlets, rate, self.most_members * self.scenario.settings.max_messages
            )
        for member in self.members:
            member.checks.check_empty()
            member.checks.check()
        for member in list(self.members):
            if not member.drain():
                raise Violation(f"{member.name} abandoned something though nothing was left")
            self.members.remove(member)
        for where, log in self.truth.logs.items():
            if self.broker.committed.get(where, 0) != log.end:
                raise Violation(
                    f"{where} is committed at {self.broker.committed.get(where)}; its end is {log.end}"
                )
        truth = self.truth
        dead_letters = sum(record.dead_letters for record in truth.records)
        return History(
            self.scenario.seed,
            self.scenario.flavour,
            len(truth.records),
            self.aep.number,
            self.turns,
            self.now,
            truth.causes,
            truth.residue,
            self.skipped,
            dead_letters,
        )

    def _step(self) -> None:
        """The next thing that happens: an event, or a turn of the member that is furthest behind."""
        if self.members:
            member = self.furthest_behind()
            if member.now < self._events[0][0]:
                self.turn(member)
                return
        at, _, what, number = heapq.heappop(self._events)
        self.now = max(self.now, at)
        self._happen(what, number)

    def furthest_behind(self) -> Member:
        return min(self.members, key=lambda member: member.now)

    def turn(self, member: Member) -> None:
        self.turns += 1
        if self.turns > MAX_TURNS:
            raise Violation(f"after {MAX_TURNS} turns the history has not come to its end")
        self.now = max(self.now, member.now)
        try:
            member.turn()
        except Crash:
            self._remove_crashed(member)

    def _remove_crashed(self, member: Member) -> None:
        """A process is gone; the group finds out after a while."""
        for where, position in member.source.held.items():
            member.source.stored.clear()
            position.life.ended = "crash"
            member.checks.check_bound(position.life, "crash")
            if self.broker.owner[where] == member.name:
                self.broker.release(where, member.now + self._rng.choice((0.1, 10.0)))
        self.members.remove(member)
        self._later(max(self.now, member.now) + self._rng.choice((0.1, 5.0)), "join", 0)

    def _later(self, at: float, what: str, number: int) -> None:
        heapq.heappush(self._events, (at, next(self._seq), what, number))

    # -- what happens -----------------------------------------------------------------

    def _happen(self, what: str, number: int) -> None:
        if self.narrate:
            self.narrate(f"{self.now:10.3f} world {what} {number}")
        rng = Random(number)
        if what == "produce":
            self._produce(number)
        elif what == "gap":
            log = self.truth.logs[self._rng.choice(list(self.truth.logs))]
            log.end += number
        elif what == "join":
            self._join()
        elif what == "rebalance":
            self.broker.rebalance(self.members, self.now)
        elif what == "recreate":
            self._recreate(rng.choice(list(self.truth.logs)))
        elif what == "truncate":
            self._truncate(rng.choice(list(self.truth.logs)), rng)
        elif what == "partition":
            self._partition(rng.choice(self.scenario.topics))
        elif what == "isolated?":
            self._isolated()
        elif self.members:
            self._happen_to(rng.choice(self.members), what, rng)

    def _happen_to(self, member: Member, what: str, rng: Random) -> None:
        if what == "lose":
            held = sorted(where for where in member.source.held if self.broker.owner[where] == member.name)
            if held:
                self.broker.lose(member, rng.sample(held, rng.randint(1, len(held))), self.members, self.now)
        elif what == "crash":
            member.crash_in = rng.choice((0, 1, 2, 5, 20))
        elif what == "stop":
            self._stop(member)
        elif what == "skip" and member.source.held:
            where = rng.choice(sorted(member.source.held))
            unsettled = [
                record
                for record in self.truth.logs[where].records
                if not self.truth.settled(record, self.now)
            ]
            if unsettled:
                member.skip(rng.choice(unsettled[:20]))

    def _produce(self, number: int) -> None:
        topic = self._rng.choice(self.scenario.topics)
        for _ in range(number):
            self.append(
                topic, self._rng.choice([where for where in self.truth.logs if where.topic == topic.name])
            )

    def append(self, topic: Topic, where: TopicPartition, *, healthy: bool = False) -> None:
        log = self.truth.logs[where]
        if self._rng.random() < 0.1:
            log.end += self._rng.choice((1, 1, 3))
        record = draw_record(
            self._rng, self.scenario, topic, where, log.end, len(self.truth.records), healthy=healthy
        )
        log.records.append(record)
        log.end += 1
        self.truth.records.append(record)

    def _join(self) -> None:
        if len(self.members) >= 4:
            return
        name = f"m{next(self._names)}"
        self.members.append(Member(self, name, self.now, Random(f"{name} {self.scenario.seed}")))
        self.most_members = max(self.most_members, len(self.members))
        self.broker.rebalance(self.members, self.now)

    def _stop(self, member: Member) -> None:
        """A rolling restart: the process drains, and another one comes."""
        try:
            member.drain()
        except Crash:
            self._remove_crashed(member)
            return
        self.members.remove(member)
        self._later(max(self.now, member.now) + self._rng.choice((0.0, 1.0)), "join", 0)

    def _recreate(self, where: TopicPartition) -> None:
        """The topic is deleted and created anew: its records and its committed offsets are gone."""
        log = self.truth.logs[where]
        log.records, log.end, log.start, log.checked, log.cut_off = [], 0, 0, 0, False
        log.incarnation += 1
        self.broker.committed.pop(where, None)
        for member in self.members:
            member.source.stored.pop(where, None)
        topic = next(topic for topic in self.scenario.topics if topic.name == where.topic)
        for _ in range(self._rng.randint(0, 6)):
            self.append(topic, where)

    def _truncate(self, where: TopicPartition, rng: Random) -> None:
        """Make a replica that lagged the leader, so that the records which only the others had are lost.

        Retention deletes some of the records that are committed. A member that reads again from the
        log's start commits less than was committed before, so the committed offset may lie before the
        start: the log then keeps its start, and is cut off behind it.
        """
        log = self.truth.logs[where]
        deletable = max(log.start, self.broker.committed.get(where, 0))
        if log.end <= deletable:
            return
        log.end = rng.randint(deletable, log.end - 1)
        log.start = rng.randint(log.start, deletable)
        del log.records[bisect_left(log.records, log.end, key=lambda record: record.at) :]
        log.checked, log.cut_off = min(log.checked, len(log.records)), True
        log.incarnation += 1
        for member in self.members:
            position = member.source.held.get(where)
            if (
                position is not None
                and position.offset <= log.end
                and position.incarnation == log.incarnation - 1
            ):  # it has not read so far, and goes on
                position.incarnation = position.life.incarnation = log.incarnation
                position.announced_end = min(position.announced_end, log.end)
            else:
                member.source.stored.pop(where, None)
        topic = next(topic for topic in self.scenario.topics if topic.name == where.topic)
        for _ in range(rng.randint(0, 6)):
            self.append(topic, where)

    def _partition(self, topic: Topic) -> None:
        """A partition is added."""
        where = TopicPartition(topic.name, sum(each.topic == topic.name for each in self.truth.logs))
        self.broker.create(where)
        for member in self.members:
            member.engine.note_partition_counts(self.broker.partitions())
        self.broker.rebalance(self.members, self.now)

    def _isolated(self) -> None:
        """One inlet has been dead all the while; the others' records are in AEP, or the other inlet is at
        work on them.
        """
        now = min(member.now for member in self.members)
        others = [record for record in self.truth.records if record.inlet == "two"]
        latest = max((request.sent_at for record in others for request in record.requests), default=-math.inf)
        if any(record.under_way for record in others) or now - latest < self.scenario.policy.backoff_max_s:
            return
        for record in others:
            if record.kind is RecordKind.HEALTHY and not self.truth.settled(record, now):
                raise Violation(f"{record} has waited since inlet one is dead")

    # -- the end ------------------------------------------------------------------------

    def _calm(self) -> None:
        """No faults any more."""
        for member in self.members:
            member.crash_in = None
        while not self.members or self._events:
            if not self.members and not self._events:
                self._join()
            if self._events:
                self._step()


def simulate(seed: int, narrate: Callable[[str], None] | None = None) -> History:
    """Runs the history of a seed. Raises `Violation` where the contract is broken, and whatever the engine
    raises.
    """
    return World(plan(seed), narrate).run()
