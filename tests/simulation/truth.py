"""What really happened to every record, and the contract checked against it. Nothing here asks the engine what it believes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.model import Headers, Letter, Reason, TopicPartition

PERMANENT = frozenset({400, 413, 422})
SECOND_LOOK_S, SUSPECT_ATTEMPTS, SUSPECT_S = 1.0, 8, 300.0
"""The design's numbers, written here again on purpose."""
EVER = 1e18
"""Later than everything that happens."""


class Violation(AssertionError):
    """The contract was broken."""


class Nature(StrEnum):
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


POISON = frozenset({Nature.REFUSED, Nature.WHOLE, Nature.ERROR, Nature.ERROR_EACH})
UNSENDABLE = {
    Nature.NOT_JSON: Reason.NOT_JSON,
    Nature.NOT_AN_OBJECT: Reason.NOT_AN_OBJECT,
    Nature.NO_ROUTE: Reason.NO_ROUTE,
    Nature.TOO_LARGE: Reason.TOO_LARGE,
}


@dataclass(slots=True, eq=False)
class Life:
    """One assignment of one partition to one member (or what follows a rewind in it): what the engine calls a lane."""

    member: str
    where: TopicPartition
    ended: str = ""
    """How it ended; empty while it lives."""
    read_to: int = 0
    incarnation: int = 0
    """Of the partition's log."""
    in_order: int = 0
    """Index of the first record of the log that may not be settled yet, where order is kept."""


@dataclass(slots=True, eq=False)
class Rec:
    """A record, with the accessors of the client's message, and its true story."""

    id: int
    where: TopicPartition
    at: int
    data: bytes | None
    name: bytes | None
    nature: Nature
    inlet: str
    dataset: str | None
    piece: bytes | None
    """What must go out for it, byte for byte; None where nothing may."""
    code: int = 400
    """The status that a poison record gets."""
    more: Headers | None = None
    lives: dict[str, Life] = field(default_factory=dict)
    """For each member that read it, the life in which it did so last."""
    requests: list[Request] = field(default_factory=list)
    accepted: list[Request] = field(default_factory=list)
    first_accepted: float = math.inf
    acked: float = math.inf
    """When a dead letter of it was acknowledged."""
    letters: int = 0
    known: set[Life] = field(default_factory=set)
    """The lives that were told that it is settled."""
    under_way: set[str] = field(default_factory=set)
    """Members with a request out that carries it."""

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
        return f"{self.where}@{self.at}#{self.id}({self.nature.value})"


@dataclass(slots=True, eq=False)
class Request:
    """One request: what was in it, what AEP did, and what the answer lets anybody know."""

    number: int
    member: str
    inlet: str
    recs: list[Rec]
    lives: list[Life]
    size: int
    sent_seq: int
    sent_at: float
    processed_at: float = 0.0
    arrives_at: float = 0.0
    status: int = 0
    """Of the answer; 0 where there is none."""
    accepted: list[bool] = field(default_factory=list)
    told: list[int | None] = field(default_factory=list)
    """For each message, the status that the answer attributes to it for certain."""
    retry_after: float | None = None
    token_was_good: bool = False
    note: str = ""
    arrived_seq: int | None = None
    arrived_at: float = 0.0


@dataclass(slots=True)
class Log:
    """A partition: its records in offset order, and its end."""

    where: TopicPartition
    recs: list[Rec] = field(default_factory=list)
    end: int = 0
    incarnation: int = 0
    checked: int = 0
    """Index of the first record that no stored offset has covered yet."""


@dataclass(slots=True)
class Truth:
    """The ground truth of one history."""

    ordered: bool
    tombstones_skipped: bool
    flood_guard: int
    flapping: dict[str, int] = field(default_factory=dict)
    """Inlet → intervals in which AEP refused everything: what a healthy record may fall victim to."""
    skips: set[tuple[TopicPartition, int]] = field(default_factory=set)
    """What an operator ordered to the dead-letter topic: an offset, whatever record is there."""
    recs: list[Rec] = field(default_factory=list)
    logs: dict[TopicPartition, Log] = field(default_factory=dict)
    ledger_of_requests: dict[tuple[str, str], list[Request]] = field(default_factory=dict)
    """(member, inlet) → the requests that were answered with some acceptance, in the order of their answers."""
    causes: Counter[str] = field(default_factory=Counter)
    """Why records were accepted more than once."""
    residue: Counter[str] = field(default_factory=Counter)
    """Healthy records that were dead-lettered, where AEP's answers look exactly as they do for a poison record."""
    seq: int = 0
    say: Callable[[str], None] | None = None

    def tick(self) -> int:
        self.seq += 1
        return self.seq

    # -- settled ---------------------------------------------------------------

    def settled(self, rec: Rec, now: float) -> bool:
        """Accepted by AEP, acknowledged as a dead letter, or skipped by a rule."""
        if rec.nature is Nature.TOMBSTONE and self.tombstones_skipped:
            return True
        return rec.first_accepted <= now or rec.acked <= now

    def covers(self, where: TopicPartition, offset: int, now: float, what: str) -> None:
        """An offset may be stored or committed only when all below it is settled."""
        log = self.logs[where]
        while log.checked < len(log.recs) and (rec := log.recs[log.checked]).at < offset:
            if not self.settled(rec, now):
                raise Violation(f"{what} {where} at {offset}, but {rec} is not settled")
            log.checked += 1
        if offset > log.end:
            raise Violation(f"{what} {where} at {offset}, beyond its end {log.end}")

    # -- requests ----------------------------------------------------------------

    def accept(self, request: Request) -> None:
        """AEP took these: a record taken before needs a named cause."""
        for at, rec in enumerate(request.recs):
            if not request.accepted[at]:
                continue
            if rec.accepted:
                self.causes[self._cause(rec, rec.accepted[-1], request, request.lives[at])] += 1
            rec.accepted.append(request)
            rec.first_accepted = min(rec.first_accepted, request.processed_at)

    def _cause(self, rec: Rec, before: Request, again: Request, life: Life) -> str:
        at = before.recs.index(rec)
        earlier = before.lives[at]
        if earlier is not life:
            if earlier.ended or earlier.member != life.member:
                return f"handover: {earlier.ended or 'lost, and not told yet'}"
            raise Violation(f"{rec} was sent by two lives of {life.member}, neither of them ended")
        if before.arrived_seq is None:
            raise Violation(f"{rec} was sent again while request {before.number} is under way")
        if before.told[at] is None:
            return "an answer that was lost or can't be attributed"
        if self.ordered and any(told is None or not _final(told) for told in before.told[:at]):
            return "order kept: what followed a message to be repeated"
        raise Violation(f"{rec} was accepted by request {before.number}, which said so, and sent again as {again.number}")

    def learn(self, request: Request) -> None:
        """An answer reached its member."""
        blocked = False
        for at, rec in enumerate(request.recs):
            told = request.told[at]
            if told is not None and 200 <= told < 300 and not blocked:
                rec.known.add(request.lives[at])
            if self.ordered and (told is None or not _final(told)):
                blocked = True
        if any(told is not None and 200 <= told < 300 for told in request.told):
            self.ledger_of_requests.setdefault((request.member, request.inlet), []).append(request)

    def _another_accepted(self, request: Request, after: int) -> bool:
        """Whether this member saw an acceptance of a request sent after `after`, before `request` went out."""
        return any(
            each.sent_seq > after and each.arrived_seq is not None and each.arrived_seq < request.sent_seq
            for each in reversed(self.ledger_of_requests.get((request.member, request.inlet), ()))
        )

    # -- dead letters --------------------------------------------------------------

    def judge(self, letter: Letter, member: str, expected_topic: str) -> None:
        """The right record, for a reason that is true, with the evidence that the design asks for."""
        rec = letter.record
        if not isinstance(rec, Rec):
            raise Violation(f"a dead letter of something else: {rec!r}")
        if letter.topic != expected_topic:
            raise Violation(f"{rec} goes to {letter.topic}, not {expected_topic}")
        reason = letter.refusal.reason
        if rec.nature in UNSENDABLE or rec.nature is Nature.TOMBSTONE:
            wanted = UNSENDABLE.get(rec.nature, Reason.TOMBSTONE)
            if rec.nature is Nature.TOMBSTONE and self.tombstones_skipped:
                raise Violation(f"{rec} is dead-lettered, but tombstones are skipped")
            if reason is not wanted and not (reason is Reason.SKIPPED and (rec.where, rec.at) in self.skips):
                raise Violation(f"{rec} is dead-lettered as {reason.value}")
            return
        if reason is Reason.SKIPPED and (rec.where, rec.at) in self.skips:
            return
        if reason is not Reason.REFUSED:
            raise Violation(f"{rec} is dead-lettered as {reason.value}")
        how = self._evidence(rec, member, letter)
        if rec.nature is Nature.HEALTHY:
            if how == "whole" and not self.flapping.get(rec.inlet, 0):
                raise Violation(f"{rec} is healthy, AEP never refused everything, and it is dead-lettered")
            self.residue[how] += 1

    def _evidence(self, rec: Rec, member: str, letter: Letter) -> str:
        """By which rule the record was convicted; the evidence is looked up in the requests."""
        life = rec.lives[member]
        mine = [request for request in rec.requests if request.arrived_seq is not None and request.lives[request.recs.index(rec)] is life]
        if not mine:
            raise Violation(f"{rec} is dead-lettered as refused, and {member} never had an answer for it")
        last = mine[-1]
        told = last.told[last.recs.index(rec)]
        if 200 <= last.status < 300:
            if told is not None and 400 <= told < 500 and told not in (401, 403, 408, 425, 429):
                return "each"
            if told != 500:
                raise Violation(f"{rec} is dead-lettered, but its last answer says {told}")
        if last.status in PERMANENT:
            self._convicted_of_whole(rec, mine)
            return "whole"
        if last.status == 500 or told == 500:
            self._convicted_of_500(rec, mine)
            self._follow(rec, last)
            return "500"
        raise Violation(f"{rec} is dead-lettered after {last.status} ({last.note}): {letter.refusal.error}")

    def _follow(self, rec: Rec, last: Request) -> None:
        """Where order is kept, a conviction settles what the same answer said of the messages behind it."""
        at = last.recs.index(rec)
        for place in range(at + 1, len(last.recs)):
            told = last.told[place]
            if told is None or not _final(told):
                return
            if 200 <= told < 300:
                last.recs[place].known.add(last.lives[place])

    def _convicted_of_whole(self, rec: Rec, mine: list[Request]) -> None:
        refused = [request for request in mine if request.status in PERMANENT]
        alone = [request for request in refused if len(request.recs) == 1]
        last = mine[-1]
        if len(last.recs) != 1 or len(alone) < 2 or last.sent_at - alone[0].arrived_at < SECOND_LOOK_S - 1e-6:
            raise Violation(f"{rec} is convicted without having been refused alone, and again alone a second later")
        first = refused[0].arrived_seq
        assert first is not None
        if not self._another_accepted(last, first):
            raise Violation(f"{rec} is convicted, but nothing else was accepted since its first refusal (request {refused[0].number})")

    def _convicted_of_500(self, rec: Rec, mine: list[Request]) -> None:
        errors = [request for request in mine if request.status == 500 or request.told[request.recs.index(rec)] == 500]
        counted, since, after = 1, errors[0].arrived_at, errors[0].arrived_seq
        for request in errors[1:]:
            assert after is not None
            if self._another_accepted(request, after):
                counted, after = counted + 1, request.arrived_seq
        if counted < SUSPECT_ATTEMPTS or mine[-1].arrived_at - since < SUSPECT_S:
            raise Violation(f"{rec} is convicted of 500 after {counted} answers with an acceptance between, in {mine[-1].arrived_at - since:.0f} s")

    # -- the end -------------------------------------------------------------------

    def account(self) -> None:
        """Every record came to its end, and to the right one."""
        for log in self.logs.values():
            latest = -math.inf
            for rec in log.recs:
                if not self.settled(rec, EVER):
                    raise Violation(f"{rec} was lost")
                # One that AEP refused when it was sent again to restore the order is in the dead-letter topic: its last word was AEP's.
                if rec.nature is Nature.HEALTHY and self.ordered and rec.first_accepted < math.inf and not rec.letters:
                    if max(request.processed_at for request in rec.accepted) < latest:
                        raise Violation(f"{rec} was never accepted after an earlier record of its partition")
                    latest = max(latest, rec.first_accepted)
                if rec.nature in POISON and rec.accepted:
                    raise Violation(f"{rec} was accepted")


def _final(status: int) -> bool:
    """Whether a message's status settles it where order is kept."""
    return 200 <= status < 300 or (400 <= status < 500 and status not in (401, 403, 408, 425, 429))
