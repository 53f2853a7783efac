"""What really happened to every record, and the contract checked against it.

Nothing here uses what the engine believes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.model import Fault, Headers, Reason, TopicPartition

PERMANENT = frozenset({400, 413, 422})
"""Statuses of a whole request that may be a record's fault."""
CREATED_ANEW, CUT_OFF = "created anew", "cut off"
"""How a life ends whose partition goes on from further back."""
EVER = 1e18
"""Later than everything that happens."""


class Violation(AssertionError):
    """The contract was broken."""


class RecordKind(StrEnum):
    """What a record is, and so what must become of it."""

    HEALTHY = "healthy"
    REFUSED = "refused"
    """AEP refuses this message, and says so for it alone."""
    WHOLE = "whole"
    """AEP refuses every request that carries it, as a whole."""
    ERROR = "error"
    """AEP answers 500 to every request that carries it."""
    ERROR_EACH = "error_each"
    """AEP answers 500 for this message."""
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    NO_ROUTE = "no_route"
    TOO_LARGE = "too_large"
    TOMBSTONE = "tombstone"


POISON = frozenset({RecordKind.REFUSED, RecordKind.WHOLE, RecordKind.ERROR, RecordKind.ERROR_EACH})
UNSENDABLE = {
    RecordKind.NOT_JSON: Reason.NOT_JSON,
    RecordKind.NOT_AN_OBJECT: Reason.NOT_AN_OBJECT,
    RecordKind.NO_ROUTE: Reason.NO_ROUTE,
    RecordKind.TOO_LARGE: Reason.TOO_LARGE,
}


@dataclass(slots=True, eq=False)
class LaneLife:
    """One assignment of a partition to a member, or its part after a rewind: the engine's lane."""

    member: str
    where: TopicPartition
    ended: str = ""
    """How it ended; empty while it lives."""
    read_to: int = 0
    incarnation: int = 0
    """Of the partition's log."""
    in_order: int = 0
    """Index of the first record of the log that may not be settled yet, where order is kept."""
    lane: object = None
    """What the engine's batches of this life go by, where it ended in a rewind."""
    behind: int = 0
    """Index of the first record of the log that this life read and that may not be settled yet."""


@dataclass(slots=True, eq=False)
class SimulatedRecord:
    """A record, with the accessors of the client's message, and its true story."""

    id: int
    where: TopicPartition
    at: int
    data: bytes | None
    name: bytes | None
    kind: RecordKind
    inlet: str
    dataset: str | None
    piece: bytes | None
    """What must go out for it, byte for byte; None where nothing may."""
    code: int = 400
    """The status that a poison record gets."""
    more: Headers | None = None
    lives: dict[str, LaneLife] = field(default_factory=dict)
    """For each member that read it, the life in which it did so last."""
    requests: list[Request] = field(default_factory=list)
    accepted: list[Request] = field(default_factory=list)
    first_accepted: float = math.inf
    acked: float = math.inf
    """When a dead letter of it was acknowledged."""
    dead_letters: int = 0
    settled_for: set[LaneLife] = field(default_factory=set)
    """The lives whose member knows, from a response or an acknowledgement, that the record is settled."""
    under_way: set[str] = field(default_factory=set)
    """Members with a request out that carries it."""
    before: dict[str, list[LaneLife]] = field(default_factory=dict)
    """For each member that read it again after its partition was cut off, the lives before that: all are
    delivered."""
    read: dict[str, int] = field(default_factory=dict)
    """For each member that read it, the tick at which it did so last."""

    def topic(self) -> str:
        return self.where.topic

    def partition(self) -> int:
        return self.where.partition

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.name

    def value(self) -> bytes | None:
        return self.data

    def headers(self) -> Headers | None:
        return self.more

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000 + self.id

    def __repr__(self) -> str:
        return f"{self.where}@{self.at}#{self.id}({self.kind.value})"


@dataclass(slots=True, eq=False)
class Request:
    """One request: what was in it, what AEP did, and what the response says."""

    number: int
    member: str
    inlet: str
    records: list[SimulatedRecord]
    lives: list[LaneLife]
    size: int
    sent_seq: int
    sent_at: float
    timeout_s: float
    processed_at: float = 0.0
    arrives_at: float = 0.0
    status: int = 0
    """Of the response; 0 where there is none."""
    fault: Fault | None = None
    """Why there is none."""
    accepted: list[bool] = field(default_factory=list)
    verdicts: list[int | None] = field(default_factory=list)
    """For each message, the status that the response attributes to it for certain."""
    retry_after: float | None = None
    token_was_good: bool = False
    note: str = ""
    arrived_seq: int | None = None
    arrived_at: float = 0.0
    ticket: object = None
    """What the engine sent it with: the same for all requests of one batch."""
    half: bool = False
    """It carries a part of what was refused as a whole."""
    refusals_in_a_row: int = 0
    """With a refusal of the whole request: how many the member had in a row from this inlet by then.

    An acceptance ends the row. A second test of a record alone is not counted.
    """

    @property
    def some_accepted(self) -> bool:
        """Whether the response says of any message that it was accepted."""
        return any(verdict is not None and 200 <= verdict < 300 for verdict in self.verdicts)


@dataclass(slots=True)
class Log:
    """A partition: its records in offset order, and its end."""

    where: TopicPartition
    records: list[SimulatedRecord] = field(default_factory=list)
    end: int = 0
    start: int = 0
    """The first offset that retention has left."""
    cut_off: bool = False
    """It lost its end last, to an election of a replica that lagged; else it was created anew."""
    incarnation: int = 0
    checked: int = 0
    """Index of the first record that no stored offset has covered yet."""


@dataclass(slots=True)
class GroundTruth:
    """The ground truth of one history."""

    ordered: bool
    tombstones_skipped: bool
    flapping: dict[str, int] = field(default_factory=dict)
    """Inlet → intervals in which AEP refused everything: what a healthy record may fall victim to."""
    skips: set[tuple[TopicPartition, int]] = field(default_factory=set)
    """What an operator ordered to the dead-letter topic: an offset, whatever record is there."""
    records: list[SimulatedRecord] = field(default_factory=list)
    logs: dict[TopicPartition, Log] = field(default_factory=dict)
    passed: dict[tuple[str, str], list[Request]] = field(default_factory=dict)
    """(member, inlet) → its requests of which AEP accepted something, in the order of their responses."""
    refused: dict[tuple[str, str], list[Request]] = field(default_factory=dict)
    """The same for those that were refused as a whole, perhaps for a record."""
    causes: Counter[str] = field(default_factory=Counter)
    """Why records were accepted more than once."""
    residue: Counter[str] = field(default_factory=Counter)
    """Healthy dead-lettered records, where AEP responded exactly as it does to a poison record."""
    victims: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """(inlet, rule) → those records. A dead letter that the broker refused is judged again with each attempt,
        but its record is one victim."""
    seq: int = 0
    narrate: Callable[[str], None] | None = None

    def tick(self) -> int:
        self.seq += 1
        return self.seq

    # -- settled ---------------------------------------------------------------

    def settled(self, record: SimulatedRecord, now: float) -> bool:
        """Accepted by AEP, acknowledged as a dead letter, or skipped by a rule."""
        if record.kind is RecordKind.TOMBSTONE and self.tombstones_skipped:
            return True
        return record.first_accepted <= now or record.acked <= now

    def covers(self, where: TopicPartition, offset: int, now: float, what: str) -> None:
        """An offset may be stored or committed only when all below it is settled."""
        log = self.logs[where]
        while log.checked < len(log.records) and (record := log.records[log.checked]).at < offset:
            if not self.settled(record, now):
                raise Violation(f"{what} {where} at {offset}, but {record} is not settled")
            log.checked += 1
        if offset > log.end:
            raise Violation(f"{what} {where} at {offset}, beyond its end {log.end}")

    # -- requests ----------------------------------------------------------------

    def accept(self, request: Request) -> None:
        """AEP took these: a record taken before needs a named cause."""
        for at, record in enumerate(request.records):
            if not request.accepted[at]:
                continue
            if record.accepted:
                self.causes[self._cause(record, record.accepted[-1], request, request.lives[at])] += 1
            record.accepted.append(request)
            record.first_accepted = min(record.first_accepted, request.processed_at)

    def _cause(self, record: SimulatedRecord, before: Request, again: Request, life: LaneLife) -> str:
        at = before.records.index(record)
        earlier = before.lives[at]
        if earlier is not life:
            if earlier.ended or life.ended or earlier.member != life.member:
                return f"handover: {earlier.ended or life.ended or 'lost, and not reported yet'}"
            raise Violation(f"{record} was sent by two lives of {life.member}, neither of them ended")
        if before.arrived_seq is None:
            raise Violation(f"{record} was sent again while request {before.number} is under way")
        if before.verdicts[at] is None:
            return "an answer that was lost or can't be attributed"
        if self.ordered and any(verdict is None or not final(verdict) for verdict in before.verdicts[:at]):
            return "order kept: what followed a message to be repeated"
        raise Violation(
            f"{record} was accepted by request {before.number}, which said so, "
            f"and sent again as {again.number}"
        )

    def learn(self, request: Request) -> None:
        """Enter what a member learns from a response that has reached it."""
        blocked = False
        for at, record in enumerate(request.records):
            verdict = request.verdicts[at]
            if verdict is not None and 200 <= verdict < 300 and not blocked:
                record.settled_for.add(request.lives[at])
            if self.ordered and (verdict is None or not final(verdict)):
                blocked = True
        if request.some_accepted:
            self.passed.setdefault((request.member, request.inlet), []).append(request)
        elif request.status in PERMANENT:
            self.refused.setdefault((request.member, request.inlet), []).append(request)

    # -- the end -------------------------------------------------------------------

    def account(self) -> None:
        """Every record came to its end, and to the right one."""
        for log in self.logs.values():
            latest = -math.inf
            for record in log.records:
                if not self.settled(record, EVER):
                    raise Violation(f"{record} was lost")
                # One that AEP refused when it was sent again to restore the order is in the dead-letter
                # topic: its last word was AEP's.
                if (
                    record.kind is RecordKind.HEALTHY
                    and self.ordered
                    and record.first_accepted < math.inf
                    and not record.dead_letters
                ):
                    if max(request.processed_at for request in record.accepted) < latest:
                        raise Violation(
                            f"{record} was never accepted after an earlier record of its partition"
                        )
                    latest = max(latest, record.first_accepted)
                if record.kind in POISON and record.accepted:
                    raise Violation(f"{record} was accepted")


def final(status: int) -> bool:
    """Whether a message's status settles it where order is kept."""
    return 200 <= status < 300 or (400 <= status < 500 and status not in (401, 403, 408, 425, 429))
