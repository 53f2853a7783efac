"""Check what one process does before it sends, while it reads, after each step, and when it gives a
partition up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from bridge.model import TopicPartition
from tests.simulation.ground_truth import CUT_OFF, LaneLife, RecordKind, Request, SimulatedRecord, Violation

if TYPE_CHECKING:
    from tests.simulation.member import Member

OVERSHOOT = 400
"""Records that may be read between two looks at the lanes, 50 ms apart, at the speed of the simulated
source."""
PATIENCE_TURNS, PATIENCE_S = 3, 0.1
"""Turns, and seconds, after which a full window or a lane too far ahead must have stopped its reading."""


class MemberChecks:
    """Compare one process with the ground truth. Each check raises `Violation`."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._over_limit: dict[object, tuple[int, float]] = {}
        """An inlet or a partition that is over its limit → the turn and the moment since which it is."""

    def check_may_send(self, record: SimulatedRecord, life: LaneLife, *, begun: bool) -> None:
        """A record goes out only for a partition that the member holds, once at a time, and not after it
        is settled. A batch that is `begun` is settled in part.
        """
        position = self._member.source.held.get(record.where)
        if position is None or position.life is not life:
            if record.where not in self._member.rewound:
                raise Violation(
                    f"{record} is sent by {self._member.name}, which does not hold its partition any more"
                )
        # The rest of a batch that is settled in part is finished, or that part would be sent twice.
        elif record.where in self._member.source.closing and not begun:
            raise Violation(f"{record} is sent while its partition is being revoked")
        if (
            self._member.name in record.under_way
            and life.member == self._member.name
            and not life.ended
            and any(
                request.arrived_seq is None and request.lives[request.records.index(record)] is life
                for request in record.requests[:-1]
            )
        ):
            raise Violation(
                f"{record} is sent while a request of {self._member.name} that carries it is under way"
            )
        if record.acked <= self._member.now and life in record.settled_for:
            raise Violation(f"{record} is sent after its dead letter was acknowledged")

    def check_order(self, request: Request) -> None:
        """Where order is kept, all before it in its partition is settled when a record goes out, or goes
        out with it.
        """
        life, carried = request.lives[0], set(request.records)
        if any(each.where != life.where for each in request.lives):
            raise Violation(f"request {request.number} mixes partitions")
        for before, after in pairwise(request.records):
            if before.at >= after.at:
                raise Violation(f"request {request.number} carries {after} behind {before}")
        log = self._member.world.truth.logs[life.where]
        if any(each.incarnation != log.incarnation for each in request.lives):
            return
        while (
            life.in_order < len(log.records)
            and (record := log.records[life.in_order]).at < request.records[-1].at
        ):
            if (
                record.piece is not None
                and record not in carried
                and record.lives.get(self._member.name) is life
                and life not in record.settled_for
            ):
                raise Violation(f"{request.records[-1]} is sent before {record} is settled")
            if record in carried:
                break
            life.in_order += 1

    def check_reading(self, life: LaneLife, records: Sequence[SimulatedRecord]) -> None:
        """Nothing is read into a full window, beyond the read that fills it, nor for a lane that is too far
        ahead. Then they count as read.

        Where other inlets have room, their partitions are read on, and the full one's are paused within
        `PATIENCE_S`.
        """
        name, where = records[0].inlet, life.where
        window = self._member.windows[name]
        ahead = self._is_too_far(life)
        self._note_limit(name, is_over=window.full)
        self._note_limit(where, is_over=ahead)
        alone = len(self._member.windows) == 1
        for what, turns, seconds in (
            (name, 0 if alone else PATIENCE_TURNS, 0.0 if alone else PATIENCE_S),
            (where, PATIENCE_TURNS, PATIENCE_S),
        ):
            turn, since = self._over_limit.get(what, (self._member.turns, self._member.now))
            if self._member.turns - turn > turns and self._member.turned_at - since >= seconds:
                raise Violation(
                    f"{where} is read on, though {what} is over its limit "
                    f"for {self._member.now - since:.2f} s ({window})"
                )
        for record in records:
            if (earlier := record.lives.get(self._member.name)) is not None and earlier.ended == CUT_OFF:
                record.before.setdefault(self._member.name, []).append(earlier)
            record.lives[self._member.name], record.read[self._member.name] = (
                life,
                self._member.world.truth.tick(),
            )
            self._member.dead_letter_oracle.read(record)
            if record.piece is not None or not self._member.world.truth.settled(record, self._member.now):
                window.read(record, life)

    def check(self) -> None:
        """What must hold in a process after every step."""
        view = self._member.engine.view
        weights = dict.fromkeys(view.inlets, 0.0)
        for batch in (*view.dispatched_batches, *view.open_batches):
            weights[batch.key.inlet] += batch.weight
        for name, inlet in view.inlets.items():
            used = view.windows[name].used
            if abs(used - weights[name]) > 1.0:
                raise Violation(
                    f"{name} counts {used:.0f} bytes in use; its batches hold {weights[name]:.0f}"
                )
            if inlet.in_flight != (
                requests_in_flight := len(self._member.inlet_rules[name].requests_in_flight)
            ):
                raise Violation(
                    f"{name} counts {inlet.in_flight} requests in flight; there are {requests_in_flight}"
                )
            self._note_limit(name, is_over=self._member.windows[name].full)
        for where, position in self._member.source.held.items():
            self._note_limit(where, is_over=self._is_too_far(position.life))

    def check_stored(self) -> None:
        """Where all that was read is settled, the turn stores it: the client commits half a second later,
        and a crash repeats no more than that.

        Of a log that was never made anew or cut off: of others a process may hold what is gone.
        """
        broker, truth = self._member.world.broker, self._member.world.truth
        for where, position in self._member.source.held.items():
            life, log = position.life, truth.logs[where]
            if (
                log.incarnation == 0
                and broker.owner[where] == self._member.name
                and not self._is_too_far(life)
            ):
                settled = life.behind == len(log.records) or log.records[life.behind].at >= life.read_to
                stored = max(self._member.source.stored.get(where, 0), broker.committed.get(where, 0))
                if settled and stored < life.read_to:
                    raise Violation(f"{where} is settled up to {life.read_to}, and stored at {stored}")

    def check_revoke(self, parts: Sequence[TopicPartition], started: float) -> None:
        """In-flight requests were waited for, and no longer than allowed."""
        allowed = min(
            self._member.world.scenario.settings.revoke_timeout_s,
            max(0.0, self._member.drain_until - started),
        )
        took = self._member.now - started
        if took > allowed + 0.1:
            raise Violation(f"a revoke took {took:.2f} s; its limit is {allowed:.2f}")
        if took < allowed - 0.02:
            lives = {self._member.source.held[where].life for where in parts}
            for request in self._member.requests_under_way():
                if not lives.isdisjoint(request.lives):
                    raise Violation(f"the revoke of {parts[0]} did not wait for request {request.number}")

    def check_bound(self, life: LaneLife, how: str) -> None:
        """What the next owner will read again is bounded, and where all was settled, it is nothing."""
        broker, truth = self._member.world.broker, self._member.world.truth
        if life.incarnation != truth.logs[life.where].incarnation:
            return
        committed = broker.committed.get(life.where, 0)
        read = [
            record
            for record in truth.logs[life.where].records
            if committed <= record.at < life.read_to and record.lives.get(self._member.name) is life
        ]
        repeats = [record for record in read if life in record.settled_for]
        if (
            how == "revoked"
            and not self._is_late
            and broker.owner[life.where] == self._member.name
            and read
            and len(repeats) == len(read)
        ):
            raise Violation(
                f"{life.where} was revoked with everything settled, "
                f"but committed at {committed}, not {life.read_to}"
            )
        most = self._member.world.scenario.settings.max_uncommitted_records
        recent = sum(
            record.accepted[-1].arrived_at >= self._member.now - 0.5 for record in repeats if record.accepted
        )
        if len(repeats) > most + recent + OVERSHOOT:
            raise Violation(f"{len(repeats)} records of {life.where} will be sent again; the bound is {most}")

    def check_empty(self) -> None:
        """At the end nothing is left."""
        view = self._member.engine.view
        inlets = view.inlets.items()
        left = {
            "batches": list(view.dispatched_batches),
            "queued": {name for name in view.inlets if view.queued(name)},
            "in use": {name: window.used for name, window in view.windows.items() if window.used > 0.001},
            "bisecting": {name for name, inlet in inlets if inlet.bisecting is not None},
            "in flight": {name for name, inlet in inlets if inlet.in_flight},
            "skips": view.skip_orders,
            "undelivered of logs that are gone": [
                record
                for record in self._member.owed
                if not self._member.world.truth.settled(record, self._member.now)
            ],
            "open": {str(lane): lane.open for lane in view.lanes.values() if lane.open},
        }
        if full := {name: what for name, what in left.items() if what}:
            raise Violation(f"{self._member.name} has something left at the end: {full}")

    def _note_limit(self, what: object, *, is_over: bool) -> None:
        if is_over:
            self._over_limit.setdefault(what, (self._member.turns, self._member.now))
        else:
            self._over_limit.pop(what, None)

    def _is_too_far(self, life: LaneLife) -> bool:
        """Whether a life has read further ahead of its first open record than it may."""
        log, truth = self._member.world.truth.logs[life.where], self._member.world.truth
        if life.incarnation != log.incarnation:
            return False
        while life.behind < len(log.records) and (record := log.records[life.behind]).at < life.read_to:
            if (
                record.lives.get(self._member.name) is life
                and life not in record.settled_for
                and not (record.kind is RecordKind.TOMBSTONE and truth.tombstones_skipped)
            ):
                return (
                    life.read_to - record.at >= self._member.world.scenario.settings.max_uncommitted_records
                )
            life.behind += 1
        return False

    @property
    def _is_late(self) -> bool:
        """Whether a revoke goes on without what is still open, since its deadline has passed."""
        started = (
            self._member.now
            if self._member.source.revoking_since is None
            else self._member.source.revoking_since
        )
        return (
            self._member.now - started
            >= min(
                self._member.world.scenario.settings.revoke_timeout_s,
                max(0.0, self._member.drain_until - started),
            )
            - 0.02
        )

    def forget(self, where: TopicPartition) -> None:
        """Forget that a partition was over its limit, when the member gives it up."""
        self._over_limit.pop(where, None)
