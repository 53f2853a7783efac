"""Judge each dead letter: is it the right record, is the reason true, and does the log of requests hold
the evidence that the design requires?
"""

from __future__ import annotations

from bridge.model import DeadLetter, Reason
from tests.simulation.ground_truth import (
    PERMANENT,
    UNSENDABLE,
    GroundTruth,
    LaneLife,
    RecordKind,
    Request,
    SimulatedRecord,
    Violation,
    final,
)

SECOND_LOOK_S, FEW, SUSPECT_ATTEMPTS, SUSPECT_S = 1.0, 2, 8, 300.0
"""The design's numbers, repeated here so that a wrong constant in the engine is found."""


class DeadLetterOracle:
    """Judge the dead letters of one member."""

    def __init__(self, truth: GroundTruth, member: str, flood_guard: int) -> None:
        self._truth, self._member, self._guard = truth, member, flood_guard
        self._valid: dict[tuple[str, str], int] = {}
        """(inlet, dataset or topic) → the tick at which one of its records was last accepted, or a
        valid record of it was last read."""
        self._flood: dict[tuple[str, str], set[tuple[int, LaneLife]]] = {}
        """The same key → the records that were refused in a row since then."""

    # -- what the member sees -------------------------------------------------------

    def read(self, record: SimulatedRecord) -> None:
        """End the row of unsendable records of a topic: one that can be sent was read."""
        if record.piece is not None:
            self._end_row((record.inlet, record.where.topic), record.read[self._member])

    def note_response(self, request: Request) -> None:
        """End the row of refusals of a dataset when a response accepts a record of it."""
        if request.some_accepted and request.arrived_seq is not None:
            self._end_row((request.inlet, request.records[0].dataset or ""), request.arrived_seq)

    def _end_row(self, key: tuple[str, str], tick: int) -> None:
        self._valid[key] = tick
        self._flood.pop(key, None)

    def _add_to_row(
        self, record: SimulatedRecord, life: LaneLife, key: tuple[str, str], refused: int
    ) -> None:
        """Add a dead letter to its row, which the flood guard limits.

        A refusal from before the last good record does not count: that record ended its row.
        """
        if not self._guard or refused <= self._valid.get(key, 0):
            return
        row = self._flood.setdefault(key, set())
        row.add((record.id, life))
        if len(row) >= self._guard:
            raise Violation(
                f"{record} is number {len(row)} in a row that is dead-lettered for {key[1]} of {key[0]}, "
                f"none accepted; the guard is {self._guard}"
            )

    # -- judging ---------------------------------------------------------------------

    def judge(
        self,
        record: SimulatedRecord,
        dead_letter: DeadLetter,
        ticket: object,
        life: LaneLife,
        expected_topic: str,
    ) -> None:
        """Raise `Violation` where the dead letter is wrong. `ticket` names the batch that it comes from."""
        truth = self._truth
        if dead_letter.topic != expected_topic:
            raise Violation(f"{record} goes to {dead_letter.topic}, not {expected_topic}")
        reason, ordered = dead_letter.refusal.reason, (record.where, record.at) in truth.skips
        if (
            reason is Reason.SKIPPED
            and ordered
            and not (record.kind is RecordKind.TOMBSTONE and truth.tombstones_skipped)
        ):
            return
        if record.kind in UNSENDABLE or record.kind is RecordKind.TOMBSTONE:
            if record.kind is RecordKind.TOMBSTONE and truth.tombstones_skipped:
                raise Violation(f"{record} is dead-lettered, but tombstones are skipped")
            if reason is not UNSENDABLE.get(record.kind, Reason.TOMBSTONE):
                raise Violation(f"{record} is dead-lettered as {reason.value}")
            self._add_to_row(record, life, (record.inlet, record.where.topic), record.read[self._member])
            return
        if reason is not Reason.REFUSED:
            raise Violation(f"{record} is dead-lettered as {reason.value}")
        how = self._evidence(record, dead_letter, ticket, life)
        if record.kind is RecordKind.HEALTHY:
            if how == "whole" and not truth.flapping.get(record.inlet, 0):
                raise Violation(f"{record} is healthy, AEP never refused everything, and it is dead-lettered")
            victims = truth.victims.setdefault((record.inlet, how), set())
            truth.residue[how] += record.id not in victims
            victims.add(record.id)
            if how == "whole":
                self._judge_victim(record, ticket)

    def _judge_victim(self, record: SimulatedRecord, ticket: object) -> None:
        """Judge a healthy record that was convicted while AEP refused everything.

        If AEP accepted something between the record's two tests, it must have refused everything twice.
        If it accepted nothing between them, each time of refusal may hit only a few records.
        """
        truth, times = self._truth, self._truth.flapping.get(record.inlet, 0)
        mine = [
            request
            for request in record.requests
            if request.arrived_seq is not None and request.ticket is ticket
        ]
        alone = next(request for request in mine if request.status in PERMANENT and len(request.records) == 1)
        if self._another_accepted(mine[-1], alone.arrived_seq):
            if times < 2:
                raise Violation(
                    f"{record} is healthy, was refused alone before and after something else was accepted, "
                    f"and AEP refused everything {times} times"
                )
            return
        silent = truth.victims.setdefault((record.inlet, "silent"), set())
        silent.add(record.id)
        if len(silent) > FEW * times:
            raise Violation(
                f"{record} is healthy, and number {len(silent)} that is convicted for {times} times of "
                f"refusal, with nothing accepted between its two tests"
            )

    def _evidence(
        self, record: SimulatedRecord, dead_letter: DeadLetter, ticket: object, life: LaneLife
    ) -> str:
        """Return the rule that convicted the record; raise `Violation` where no request is evidence."""
        mine = [
            request
            for request in record.requests
            if request.arrived_seq is not None and request.ticket is ticket
        ]
        if not mine:
            raise Violation(
                f"{record} is dead-lettered as refused, and {self._member} never had a response for it"
            )
        last = mine[-1]
        verdict = last.verdicts[last.records.index(record)]
        first = next((request.arrived_seq for request in mine if _refuses(request, record)), None)
        self._add_to_row(record, life, (record.inlet, record.dataset or ""), first or 0)
        if 200 <= last.status < 300:
            if verdict is not None and 400 <= verdict < 500 and verdict not in (401, 403, 408, 425, 429):
                return "each"
            if verdict != 500:
                raise Violation(f"{record} is dead-lettered, but its last response says {verdict}")
        if last.status in PERMANENT:
            self._convicted_of_whole(record, mine)
            return "whole"
        if last.status == 500 or verdict == 500:
            self._convicted_of_500(record, mine)
            self._follow(record, last)
            return "500"
        raise Violation(
            f"{record} is dead-lettered after {last.status} ({last.note}): {dead_letter.refusal.error}"
        )

    def _follow(self, record: SimulatedRecord, last: Request) -> None:
        """Enter what the same response said of the messages behind a convicted one, where order is kept."""
        at = last.records.index(record)
        for place in range(at + 1, len(last.records)):
            verdict = last.verdicts[place]
            if verdict is None or not final(verdict):
                return
            if 200 <= verdict < 300:
                last.records[place].settled_for.add(last.lives[place])

    # -- the evidence ------------------------------------------------------------------

    def _another_accepted(self, request: Request, after: int | None) -> bool:
        """Whether a request sent after `after` was accepted before this member sent `request`."""
        assert after is not None
        return any(
            each.sent_seq > after and each.arrived_seq is not None and each.arrived_seq < request.sent_seq
            for each in reversed(self._truth.passed.get((request.member, request.inlet), ()))
        )

    def _convicted_of_whole(self, record: SimulatedRecord, mine: list[Request]) -> None:
        refused = [request for request in mine if request.status in PERMANENT]
        alone = [request for request in refused if len(request.records) == 1]
        last = mine[-1]
        if (
            len(last.records) != 1
            or len(alone) < 2
            or last.sent_at - alone[0].arrived_at < SECOND_LOOK_S - 1e-6
        ):
            raise Violation(
                f"{record} is convicted without having been refused alone, and again alone a second later"
            )
        # A request that passes after a 413 is smaller, and is no evidence about a 400.
        first = next((request for request in refused if request.status != 413), refused[0])
        if not self._another_accepted(last, first.arrived_seq):
            raise Violation(
                f"{record} is convicted, but nothing else was accepted since its first refusal "
                f"(request {first.number})"
            )
        if self._another_accepted(last, alone[0].arrived_seq):
            return
        if other := self._others_refused(last, alone[0]):
            raise Violation(
                f"{record} is convicted, but since it was refused alone AEP accepted nothing, and refused "
                f"another batch too (request {other.number})"
            )
        if last.refusals_in_a_row > FEW:
            raise Violation(
                f"{record} is convicted after {last.refusals_in_a_row} refusals in a row: "
                f"the inlet refuses everything"
            )

    def _others_refused(self, last: Request, alone: Request) -> Request | None:
        """Return a request of another batch that was refused as a whole between the two tests, if any."""
        assert alone.arrived_seq is not None
        assert last.arrived_seq is not None
        for each in reversed(self._truth.refused.get((last.member, last.inlet), ())):
            assert each.arrived_seq is not None
            if each.arrived_seq <= alone.arrived_seq:
                return None
            if each.arrived_seq < last.arrived_seq and each.ticket is not last.ticket:
                return each
        return None

    def _convicted_of_500(self, record: SimulatedRecord, mine: list[Request]) -> None:
        errors = [
            request
            for request in mine
            if request.status == 500 or request.verdicts[request.records.index(record)] == 500
        ]
        counted, since, after = 1, errors[0].arrived_at, errors[0].arrived_seq
        for request in errors[1:]:
            if self._another_accepted(request, after):
                counted, after = counted + 1, request.arrived_seq
        if counted < SUSPECT_ATTEMPTS or mine[-1].arrived_at - since < SUSPECT_S:
            seconds = mine[-1].arrived_at - since
            raise Violation(
                f"{record} is convicted of 500 after {counted} responses with an acceptance between, "
                f"in {seconds:.0f} s"
            )


def _refuses(request: Request, record: SimulatedRecord) -> bool:
    """Whether the response may be the fault of the record."""
    verdict = request.verdicts[request.records.index(record)]
    return (
        request.status in PERMANENT
        or request.status == 500
        or (verdict is not None and 400 <= verdict <= 500 and verdict not in (401, 403, 408, 425, 429))
    )
