"""The end of a history: without faults, everything is settled and committed, or the contract is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.engine.skips import SkipOrder
from tests.simulation.ground_truth import EVER, RecordKind, SimulatedRecord, Violation
from tests.simulation.member import LEAP_S

if TYPE_CHECKING:
    from tests.simulation.world import World

TRICKLE_EVERY_S, TRICKLES, TRICKLES_BEFORE_SKIP = 7.0, 420, 120
"""At the end each partition gets a healthy record at this interval, because a conviction needs others that
pass. Then the operator skips what is stuck."""
QUIET = int(3 * LEAP_S / TRICKLE_EVERY_S)
"""Trickles without progress after which the history is stuck. What a response settles is stored after the
next read and committed after the read behind that, and a read with nothing to come takes up to `LEAP_S`."""


class FinalPhase:
    """Let the members finish, and skip in the operator's name what cannot be settled otherwise."""

    def __init__(self, world: World) -> None:
        self._world = world

    def run(self) -> int:
        """Take turns until everything is settled and committed. Return how many records had to be skipped.

        Healthy records arrive all the while, since a conviction needs others that are accepted.
        """
        until = self._world.now + TRICKLE_EVERY_S
        trickles = quiet = done = 0
        orders: list[SkipOrder] = []
        while not self._is_over():
            self._world.turn(self._world.furthest_behind())
            if self._world.furthest_behind().now < until:
                continue
            trickles += 1
            until = self._world.furthest_behind().now + TRICKLE_EVERY_S
            if trickles > TRICKLES + TRICKLES_BEFORE_SKIP * len(
                {(order.source, order.offset) for order in orders}
            ):  # what follows a skipped one starts late
                raise Violation(f"not settled long after the last fault: {self._unsettled()[:5]}")
            if any(member.engine.view.tasks for member in self._world.members):
                self._trickle()
            else:
                before, done = done, sum(self._world.broker.committed.values())
                quiet = quiet + 1 if done <= before else 0
                if quiet > QUIET:
                    raise Violation(f"nothing is under way any more, but {self._leftovers()}")
            if trickles >= TRICKLES_BEFORE_SKIP and trickles % 20 == 0:
                orders += self._skip_stuck()
        return len(orders)

    def _trickle(self) -> None:
        for where in self._world.truth.logs:
            topic = next(topic for topic in self._world.scenario.topics if topic.name == where.topic)
            self._world.append(topic, where, healthy=True)

    def _skip_stuck(self) -> list[SkipOrder]:
        """Poison whose conviction lacks evidence for ever: where order is kept, everything else may wait
        for it.
        """
        orders = []
        for member in self._world.members:
            held = [
                (task, record)
                for task in member.engine.view.tasks
                for record in task.batch.records
                if isinstance(record, SimulatedRecord)
            ]
            poison = [
                (task, record)
                for task, record in held
                if record.kind is not RecordKind.HEALTHY and record.piece is not None
            ]
            stuck = [record for task, record in poison if member.life(task, record) not in record.settled_for]
            orders += [member.skip(record) for record in stuck[:3]]
        return orders

    def _unsettled(self) -> list[SimulatedRecord]:
        intervals: list[SimulatedRecord] = []
        for log in self._world.truth.logs.values():
            intervals += [
                record for record in log.records[log.checked :] if not self._world.truth.settled(record, EVER)
            ]
        return intervals

    def _leftovers(self) -> str:
        lags = {
            str(where): (self._world.broker.committed.get(where, 0), log.end)
            for where, log in self._world.truth.logs.items()
            if self._world.broker.committed.get(where, 0) != log.end
        }
        return f"lag {lags}, busy {[member.name for member in self._world.members if not member.idle]}"

    def _is_over(self) -> bool:
        committed = self._world.broker.committed
        return all(
            committed.get(where, 0) == log.end for where, log in self._world.truth.logs.items()
        ) and all(member.idle for member in self._world.members)
