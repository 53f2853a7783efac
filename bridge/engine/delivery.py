"""One batch's life, as a generator: it yields what it needs (`BatchRequest`, `Wait`, `PublishDeadLetters`, `Settled`) and returns when nothing of the batch is left.

Retry, halving and conviction live here and nowhere else. Threads and the simulation only drive it: each effect is answered with a `EffectResult`.
Whose fault a refusal is, and what follows, is the table "Conviction" of the README; the evidence it needs is kept by `inlet`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from bridge.codec.error_text import error_text
from bridge.codec.multi_status import ACCEPTED, Verdict, VerdictKind, verdicts
from bridge.codec.request import body_size
from bridge.engine.batcher import Batch
from bridge.engine.inlet import Inlet
from bridge.engine.offsets import Lane, State
from bridge.model import BatchRequest, BatchResponse, DeadLetter, Fault, PublishResult, Reason, Refusal

MAX_TIMEOUT_S = 300.0
SECOND_LOOK_S = 1.0
"""A record that was refused alone is asked about once more, after this."""
FEW = 2
"""Requests refused in a row, none accepted between, that may still be a record's fault in a silent inlet; more, and the inlet is at fault."""
SUSPECT_ATTEMPTS, SUSPECT_S = 8, 300.0
"""What a record answered with 500 must have been through before it is convicted."""
CREDENTIALS_CAP_S = UNREADABLE_CAP_S = 60.0


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before `until` (seconds of the driver's clock)."""

    until: float
    reason: str
    detail: str = ""
    wakes: bool = False
    """May end early, when the inlet's hold ends."""
    indexes: Sequence[int] = ()
    """The records that wait, within their batch."""


class PublishDeadLetters(msgspec.Struct, frozen=True):
    """Letters to publish; the reply comes once the broker has acknowledged or refused each."""

    letters: Sequence[DeadLetter]


class Settled(msgspec.Struct, frozen=True):
    """What is settled since the last time: accepted records by topic, and the lanes that have nothing left in this batch. Answered at once."""

    accepted: dict[str, int]
    buried: Sequence[DeadLetter]
    lanes: Sequence[Lane]


class EffectResult(msgspec.Struct, frozen=True):
    """The driver's answer to an effect. A `BatchRequest` without an answer was not sent: lanes ended before its turn came, or it is too large by now."""

    now: float
    answer: BatchResponse | None = None
    sent: int = 0
    """With an answer: the inlet's tick at which the request went out."""
    evidence: int = -1
    """With an answer: what `inlet.accepted_sent` was when the request went out."""
    published: PublishResult | None = None
    woken: bool = False
    """With a `Wait` that wakes: the inlet's hold has ended. Without it the wait goes on, once the delivery has looked at what changed (lanes, skips)."""


Effect = BatchRequest | Wait | PublishDeadLetters | Settled
Delivery = Generator[Effect, EffectResult, None]


@dataclass(slots=True)
class _Part:
    """Records of the batch (by index) that go out together."""

    indexes: Sequence[int]
    due: float = 0.0
    why: str = ""
    detail: str = ""
    attempts: int = 0
    timeouts: int = 0
    timeout_s: float = 0.0
    unknowns: int = 0
    first_500: int | None = None
    wakes: bool = False
    halving: bool = False
    """Waits for its turn to bisect, or is a half of one that had it."""
    stopped: int | None = None
    """By the flood guard, which had let go so often by then."""
    rest: _Part | None = None
    """What it was cut off from, and goes back to where it probed in vain."""


@dataclass(slots=True)
class _Suspicion:
    """What is held against one record."""

    first_refused: int | None = None
    """The inlet's tick at the first request refused as a whole that carried it."""
    for_size: bool = False
    """That refusal was a 413."""
    alone_refused: int | None = None
    """The same, of the first that carried it alone."""
    others_refused: int = 0
    """Requests of others that the inlet had refused by then."""
    second_look_at: float = 0.0
    errors: int = 0
    """Answers 500, each after an acceptance of something else."""
    first_error_at: float = 0.0
    last_error: int = -1


@dataclass(slots=True)
class _Case:
    """The working state of one delivery."""

    batch: Batch
    inlet: Inlet
    now: float
    parts: list[_Part] = field(default_factory=list)
    left: dict[Lane, int] = field(default_factory=dict)
    suspicions: dict[int, _Suspicion] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    buried: list[DeadLetter] = field(default_factory=list)
    refused_alone: int = 0
    """Requests of this batch that were refused as a whole."""
    rounds: int = 0

    # -- the loop -------------------------------------------------------------

    def run(self, letter_topics: Sequence[str]) -> Delivery:
        """Until every record is settled, or every lane has ended."""
        batch = self.batch
        try:
            if batch.refusals is not None:
                yield from self.bury_checked(letter_topics)
                return
            self.parts = [_Part(range(len(batch.records)), timeout_s=self.inlet.policy.request_timeout_s)]
            while self.parts:
                if batch.skips:
                    yield from self.skip(letter_topics)
                    continue
                part = self.pick()
                part.indexes = self.living(part.indexes)
                if not part.indexes:
                    self.parts.remove(part)
                    continue
                if part.due > self.now:
                    reply = yield Wait(part.due, part.why, part.detail, part.wakes, part.indexes)
                    self.now = reply.now
                    if part.wakes and reply.woken:
                        part.due = reply.now
                    continue
                if part.halving and len(part.indexes) > 1 and not self.inlet.take_turn(batch):
                    part.due, part.why = (
                        self.now + self.inlet.rng.uniform(0.2, 1.0),
                        "another batch is being bisected",
                    )
                    continue
                if len(part.indexes) == len(batch.pieces):
                    post = BatchRequest(self.inlet.name, batch.pieces, part.timeout_s, batch.size)
                else:
                    pieces = [batch.pieces[at] for at in part.indexes]
                    post = BatchRequest(self.inlet.name, pieces, part.timeout_s, body_size(pieces))
                reply = yield post
                self.now = reply.now
                if reply.answer is None:
                    if (first := self.inlet.fits(len(part.indexes))) < len(part.indexes):
                        self.cut(part, first)
                    continue
                self.parts.remove(part)
                refused = self.judge(part, reply, reply.answer)
                if not any(left.halving for left in self.parts):
                    self.inlet.give_turn(batch)
                yield from self.settle()
                if refused:
                    yield from self.bury(refused, letter_topics)
                    yield from self.settle()
        finally:
            self.inlet.give_turn(batch)

    def pick(self) -> _Part:
        """The next part: the first in order where order is kept, else the first that is due."""
        if self.inlet.policy.ordered:
            return self.parts[0]
        return min(self.parts, key=lambda part: max(part.due, self.now))

    def living(self, indexes: Sequence[int], *, closing: bool = False) -> Sequence[int]:
        """Without the records of lanes that have ended, or (but for `closing`, and the rest of a batch that is settled in part) are about to.

        Their next owner reads them.
        """
        if all(lane.state is State.LIVE for lane in self.batch.lanes):
            return indexes
        states = (State.LIVE, State.CLOSING) if closing or self.batch.begun else (State.LIVE,)
        return [at for at in indexes if self.batch.lane_of(at).state in states]

    def settle(self) -> Delivery:
        """Tells what is settled; a lane with nothing left here is released before the others."""
        if not self.accepted and not self.buried:
            return
        lanes = [lane for lane, count in self.left.items() if count <= 0]
        for lane in lanes:
            del self.left[lane]
        reply = yield Settled(dict(self.accepted), tuple(self.buried), lanes)
        self.now = reply.now
        self.accepted.clear()
        self.buried = []

    # -- what the answers mean ----------------------------------------------------

    def judge(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> dict[int, Refusal]:
        """Accepts, and puts back what must go out again; returns the records to bury."""
        status = answer.status
        part.attempts += 1
        if answer.fault is None and 200 <= status < 300:
            return self.judge_each(part, reply, answer)
        if answer.fault is not None:
            self.judge_fault(part, reply, answer)
        elif status in (400, 413, 422):
            self.inlet.unreadable = 0
            return self.judge_refusal(part, reply, answer)
        elif status == 500:
            return self.judge_error(part, reply, answer)
        elif status in (401, 403):
            self.judge_credentials(part, reply, answer)
        elif status in (408, 425, 429, 502, 503, 504) or status > 500:
            self.judge_outage(part, reply, answer)
        elif 300 <= status < 500:
            detail = f"{status}: {error_text(answer.body)}"
            self.inlet.held("address", detail, reply.sent, reply.now)
            self.again(part, 0.0, "address", detail)
        else:
            self.judge_unknown(part, reply, f"status {status}")
        return {}

    def judge_each(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> dict[int, Refusal]:
        """A multi-status answer."""
        indexes = part.indexes
        results = verdicts(answer.body, len(indexes))
        accepted = results.count(ACCEPTED)
        if accepted:
            size = self.batch.size if len(indexes) == len(self.batch.pieces) else 0
            self.inlet.accepted(accepted, size, reply.sent, reply.now)
            self.inlet.dry(self.batch.key.dataset or "")
            if accepted == len(indexes):
                self.accept(indexes)
                return {}
        if all(verdict.kind is VerdictKind.UNKNOWN for verdict in results):
            self.judge_unknown(part, reply, "the answer can't be read or attributed")
            return {}
        self.inlet.unreadable = 0
        waits = next(
            (verdict for verdict in results if verdict.kind in (VerdictKind.RETRY, VerdictKind.SUSPECT)), None
        )
        if not accepted and waits is not None:  # an outage, told message by message
            self.inlet.failed(f"status {waits.status}", waits.error, reply.sent, reply.now, part.attempts)
        if any(verdict.status == 429 for verdict in results):
            self.inlet.throttled(len(indexes), reply.sent, reply.now)
        final = [
            index
            for index, verdict in zip(indexes, results, strict=True)
            if self.is_final(index, verdict, reply)
        ]
        if self.inlet.policy.ordered and len(final) < len(indexes):
            settled = set(final)
            cut = next(at for at, index in enumerate(indexes) if index not in settled)
            final = list(indexes[:cut])
            verdict = results[cut]
            rest = _Part(
                indexes[cut:], attempts=part.attempts, unknowns=part.unknowns, timeout_s=part.timeout_s
            )
            if verdict.kind is VerdictKind.UNKNOWN:
                self.judge_unknown(rest, reply, verdict.error)
            else:
                self.again(rest, self.delay(answer, rest.attempts), f"status {verdict.status}", verdict.error)
                self.put_back(rest, part)
        else:
            kept = set(final)
            for kind in (VerdictKind.RETRY, VerdictKind.SUSPECT, VerdictKind.UNKNOWN):
                same = [
                    (index, verdict)
                    for index, verdict in zip(indexes, results, strict=True)
                    if verdict.kind is kind and index not in kept
                ]
                if not same:
                    continue
                rest = _Part(
                    [index for index, _ in same],
                    attempts=part.attempts,
                    unknowns=part.unknowns,
                    timeout_s=part.timeout_s,
                )
                if kind is VerdictKind.UNKNOWN:
                    self.judge_unknown(rest, reply, same[0][1].error)
                else:
                    self.again(
                        rest,
                        self.delay(answer, rest.attempts),
                        f"status {same[0][1].status}",
                        same[0][1].error,
                    )
                    self.put_back(rest, part)
        by_index = dict(zip(indexes, results, strict=True))
        self.accept([index for index in final if by_index[index].kind is VerdictKind.ACCEPTED])
        refused = {
            index: by_index[index] for index in final if by_index[index].kind is not VerdictKind.ACCEPTED
        }
        return self.guard(
            part,
            {index: _refusal(part, verdict.status, verdict.error) for index, verdict in refused.items()},
            bool(accepted),
        )

    def is_final(self, index: int, verdict: Verdict, reply: EffectResult) -> bool:
        """Whether a verdict settles its record. A 500 convicts only after a long and contradicted series."""
        if verdict.kind is VerdictKind.SUSPECT:
            return self.convicted_of_500(index, reply)
        return verdict.kind in (VerdictKind.ACCEPTED, VerdictKind.REFUSED)

    def judge_refusal(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> dict[int, Refusal]:
        """The whole request was refused, perhaps for one record: halve, and convict only what is refused alone, twice, while the inlet accepts others."""
        inlet, indexes = self.inlet, part.indexes
        detail = f"{answer.status}: {error_text(answer.body)}"
        if answer.status == 413 and len(indexes) > 1:
            inlet.refuses_size(body_size([self.batch.pieces[at] for at in indexes]))
        inlet.refusals += 1
        self.refused_alone += 1
        if len(indexes) > 1 or self.suspicions.get(indexes[0], _Suspicion()).alone_refused is None:
            inlet.refused_row += 1
        self.rounds += 1
        for index in indexes:
            suspicion = self.suspicions.setdefault(index, _Suspicion())
            if suspicion.first_refused is None or (suspicion.for_size and answer.status != 413):
                suspicion.first_refused = (
                    inlet.tick
                )  # what passed after a 413 says nothing of a 400: the evidence begins anew
                suspicion.for_size = answer.status == 413
        first = min(tick for index in indexes if (tick := self.suspicions[index].first_refused) is not None)
        nobody_accepted = inlet.accepted_sent <= first
        if nobody_accepted and self.rounds >= 3:
            inlet.held("refuses everything", detail, reply.sent, reply.now)
        if len(indexes) == 1:
            return self.judge_alone(part, reply, answer, detail)
        if inlet.take_turn(self.batch):
            self.halve(part)
        else:
            part.halving = True
            self.again(part, inlet.rng.uniform(0.2, 1.0), "another batch is being bisected", detail)
        return {}

    def judge_alone(
        self, part: _Part, reply: EffectResult, answer: BatchResponse, detail: str
    ) -> dict[int, Refusal]:
        """A record that stands alone was refused."""
        inlet, index = self.inlet, part.indexes[0]
        suspicion = self.suspicions[index]
        part.halving = False
        others = inlet.refusals - self.refused_alone
        if suspicion.alone_refused is None:
            suspicion.alone_refused, suspicion.others_refused = inlet.tick, others
            suspicion.second_look_at = reply.now + SECOND_LOOK_S
            self.again(part, SECOND_LOOK_S, "refused alone: a second look", detail)
            return {}
        assert suspicion.first_refused is not None
        accepted_since = reply.evidence > suspicion.first_refused
        silent = others == suspicion.others_refused and inlet.refused_row <= FEW
        not_only_refusing = reply.evidence > suspicion.alone_refused or silent
        if accepted_since and not_only_refusing and reply.now >= suspicion.second_look_at:
            return self.guard(
                part, {index: _refusal(part, answer.status, error_text(answer.body))}, accepted=False
            )
        why = "refused alone, and nothing else was accepted since"
        self.again(part, max(SECOND_LOOK_S, inlet.backoff(part.attempts)), why, detail)
        return {}

    def judge_error(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> dict[int, Refusal]:
        """500: waits like an outage, until others pass."""
        inlet, detail = self.inlet, f"500: {error_text(answer.body)}"
        inlet.unreadable = 0
        if len(part.indexes) == 1 and self.convicted_of_500(part.indexes[0], reply):
            return self.guard(
                part, {part.indexes[0]: _refusal(part, 500, error_text(answer.body))}, accepted=False
            )
        wait = inlet.failed("status 500", detail, reply.sent, reply.now, part.attempts)
        others_pass = part.first_500 is not None and reply.evidence > part.first_500
        if part.first_500 is None:
            part.first_500 = inlet.tick
        if len(part.indexes) > 1 and others_pass:
            if inlet.take_turn(self.batch):
                self.halve(part)
                return {}
            part.halving = True
        self.again(part, self.delay(answer, part.attempts, wait), "status 500", detail, wakes=True)
        return {}

    def convicted_of_500(self, index: int, reply: EffectResult) -> bool:
        """Counts a 500 against one record, if another one was accepted since the last that counted."""
        suspicion = self.suspicions.setdefault(index, _Suspicion())
        if suspicion.errors == 0:
            suspicion.first_error_at = reply.now
        if suspicion.errors == 0 or reply.evidence > suspicion.last_error:
            suspicion.errors += 1
            suspicion.last_error = self.inlet.tick
            return suspicion.errors >= SUSPECT_ATTEMPTS and reply.now - suspicion.first_error_at >= SUSPECT_S
        return False

    def judge_credentials(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> None:
        """401, 403: a token that was good is refreshed at once; else the inlet holds."""
        detail = f"{answer.status}: {error_text(answer.body)}"
        if answer.token_was_good:
            self.again(part, 0.0, "token refused", detail)
            return
        self.inlet.held("credentials", detail, reply.sent, reply.now, CREDENTIALS_CAP_S)
        self.again(part, 0.0, "credentials", detail)

    def judge_outage(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> None:
        """429, 503 and their like: again, without limit."""
        detail = f"{answer.status}: {error_text(answer.body)}"
        after = self.inlet.retry_after(answer.headers)
        wait = self.inlet.failed(f"status {answer.status}", detail, reply.sent, reply.now, part.attempts)
        if answer.status == 429:
            self.inlet.throttled(len(part.indexes), reply.sent, reply.now)
        if after is not None:
            wait = after
            self.inlet.asked_to_wait(reply.now + after, f"status {answer.status}, Retry-After")
        self.again(part, wait, f"status {answer.status}", detail, wakes=after is None)
        self.put_back(part, part)

    def judge_fault(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> None:
        """No answer: nothing is known."""
        assert answer.fault is not None
        if answer.fault is Fault.CREDENTIALS:
            self.inlet.held("credentials", answer.error, reply.sent, reply.now, CREDENTIALS_CAP_S)
            self.again(part, 0.0, "credentials", answer.error)
            return
        if answer.fault is Fault.OVERSIZE:
            self.judge_unknown(part, reply, answer.error)
            return
        wait = self.inlet.failed(answer.fault.value, answer.error, reply.sent, reply.now, part.attempts)
        if answer.fault is Fault.TIMEOUT:
            part.timeouts += 1
            if part.timeouts >= 2:
                part.timeouts, part.timeout_s = 0, min(MAX_TIMEOUT_S, part.timeout_s * 2)
                if len(part.indexes) > 1:
                    self.halve(part, reply.now + wait, answer.fault.value)
                    return
        self.again(part, wait, answer.fault.value, answer.error, wakes=True)

    def judge_unknown(self, part: _Part, reply: EffectResult, detail: str) -> None:
        """What became of these records can't be told: together once more, then each alone."""
        inlet = self.inlet
        part.unknowns += 1
        inlet.unreadable += 1
        if inlet.unreadable >= 3:
            inlet.held("unreadable answers", detail, reply.sent, reply.now, UNREADABLE_CAP_S)
        wait = inlet.backoff(part.unknowns)
        if part.unknowns < 2 or len(part.indexes) == 1:
            self.again(part, wait, "unreadable answer", detail)
            return
        alone = [
            _Part(
                [index],
                reply.now + wait,
                "unreadable answer",
                detail,
                part.attempts,
                0,
                part.timeout_s,
                part.unknowns,
            )
            for index in part.indexes
        ]
        self.parts = [*alone, *self.parts] if inlet.policy.ordered else [*self.parts, *alone]

    # -- what follows -----------------------------------------------------------

    def again(self, part: _Part, wait: float, why: str, detail: str, *, wakes: bool = False) -> None:
        """Puts a part back, to go out after `wait` seconds."""
        part.due, part.why, part.detail, part.wakes = self.now + wait, why, detail, wakes
        if self.inlet.policy.ordered:
            self.parts.insert(0, part)
        else:
            self.parts.append(part)

    def halve(self, part: _Part, due: float = 0.0, why: str = "") -> None:
        """Two halves in its place: next in turn where order is kept, else breadth first, so that a half that passes is evidence early."""
        middle = len(part.indexes) // 2
        halves = [
            _Part(
                indexes,
                due,
                why,
                part.detail,
                part.attempts,
                part.timeouts,
                part.timeout_s,
                0,
                part.first_500,
                halving=not why,
            )
            for indexes in (part.indexes[:middle], part.indexes[middle:])
        ]
        self.parts = [*halves, *self.parts] if self.inlet.policy.ordered else [*self.parts, *halves]

    def cut(self, part: _Part, first: int) -> None:
        """The first so many of its records, and the others, in its place. What is left is asked about again in its turn, when more may fit."""
        at, rest = self.parts.index(part), replace(part, indexes=part.indexes[first:])
        self.parts[at : at + 1] = [replace(part, indexes=part.indexes[:first], rest=rest), rest]

    def put_back(self, part: _Part, sent: _Part) -> None:
        """While the inlet is held, undoes the cuts that made what was `sent`, of which `part` has to go again: as far as that is all of it, and what was left
        then still waits. A door that is shut for an hour leaves one request, not a hundred.
        """
        if self.inlet.hold is None or len(part.indexes) != len(sent.indexes):
            return
        part.rest = sent.rest
        while (rest := part.rest) is not None and any(each is rest for each in self.parts):
            self.parts = [each for each in self.parts if each is not rest]
            part.indexes, part.rest = [*part.indexes, *rest.indexes], rest.rest

    def accept(self, indexes: Sequence[int]) -> None:
        """These are in AEP."""
        lanes = self.batch.lanes
        if len(indexes) == len(self.batch.records):
            for lane, count in lanes.items():
                self.accepted[lane.source.topic] += count
                self.left[lane] = 0
            return
        self.batch.settled.update(indexes)
        for index in indexes:
            lane = self.batch.lane_of(index)
            self.accepted[lane.source.topic] += 1
            self.left[lane] -= 1

    def delay(self, answer: BatchResponse, attempt: int, wait: float | None = None) -> float:
        """Seconds before the next attempt: what `Retry-After` says, else a back-off."""
        after = self.inlet.retry_after(answer.headers)
        return after if after is not None else self.inlet.backoff(attempt) if wait is None else wait

    def guard(self, part: _Part, refused: dict[int, Refusal], accepted: bool) -> dict[int, Refusal]:
        """Lets the refused be buried, unless they are so many in a row that the set-up must be wrong: then they are asked about again, and again."""
        key = self.batch.key.dataset or ""
        if not refused or accepted:
            return refused
        if self.inlet.flood_allows(key, len(refused), self.now, part.stopped):
            return refused
        sample = next(iter(refused.values())).error
        rest = _Part(
            sorted(refused),
            attempts=part.attempts,
            timeout_s=part.timeout_s,
            stopped=self.inlet.dried.get(key, 0),
        )
        self.again(
            rest, max(1.0, self.inlet.backoff(part.attempts)), "flood guard: everything is refused", sample
        )
        return {}

    # -- dead letters ---------------------------------------------------------------

    def bury_checked(self, topics: Sequence[str]) -> Delivery:
        """Records that were refused before sending."""
        waiting = dict(enumerate(self.batch.refusals or []))
        waits, stopped, route = 0, None, self.batch.key.route
        while waiting:
            if self.batch.skips:
                skips, self.batch.skips = self.batch.skips, None
                yield from self.bury(
                    {index: refusal for index, refusal in skips.items() if waiting.pop(index, None)}, topics
                )
            elif self.inlet.flood_allows(route, len(waiting), self.now, stopped):
                yield from self.bury(waiting, topics)
                waiting = {}
            else:
                waits, stopped = waits + 1, self.inlet.dried.get(route, 0)
                error = next(iter(waiting.values())).error
                reply = yield Wait(
                    self.now + max(1.0, self.inlet.backoff(waits)),
                    "flood guard: nothing of this route is valid",
                    error,
                    indexes=list(waiting),
                )
                self.now = reply.now
                waiting = {index: waiting[index] for index in self.living(list(waiting))}
            yield from self.settle()

    def skip(self, topics: Sequence[str]) -> Delivery:
        """An operator's orders: these records go to the dead-letter topic, whatever AEP says."""
        skips, self.batch.skips = self.batch.skips or {}, None
        waiting = {index for part in self.parts for index in part.indexes}
        for part in self.parts:
            part.indexes = [index for index in part.indexes if index not in skips]
        self.parts = [part for part in self.parts if part.indexes]
        yield from self.bury({index: refusal for index, refusal in skips.items() if index in waiting}, topics)
        yield from self.settle()

    def bury(self, refused: dict[int, Refusal], topics: Sequence[str]) -> Delivery:
        """Publishes dead letters until the broker has acknowledged every one."""
        living = set(self.living(list(refused), closing=True))
        letters = {
            index: self.letter(index, refusal, topics[index])
            for index, refusal in refused.items()
            if index in living
        }
        tries = 0
        while letters:
            order = list(letters)
            reply = yield PublishDeadLetters([letters[index] for index in order])
            assert reply.published is not None
            self.now = reply.now
            failed = {order[at] for at in reply.published.failed}
            for index in order:
                if index not in failed:
                    self.batch.settled.add(index)
                    self.buried.append(letters.pop(index))
                    self.left[self.batch.lane_of(index)] -= 1
            if failed:
                yield from self.settle()  # those that are acknowledged need not wait for the others
                tries += 1
                reply = yield Wait(
                    self.now + self.inlet.backoff(tries),
                    "dead-letter topic unavailable",
                    reply.published.error,
                    indexes=list(letters),
                )
                self.now = reply.now
                alive = set(self.living(list(letters), closing=True))
                letters = {index: letter for index, letter in letters.items() if index in alive}

    def letter(self, index: int, refusal: Refusal, topic: str) -> DeadLetter:
        """A record on its way to its dead-letter topic."""
        return DeadLetter(
            self.batch.records[index],
            topic,
            refusal,
            self.batch.id,
            self.inlet.inlet_id,
            self.batch.key.dataset,
        )


def deliver(batch: Batch, inlet: Inlet, letter_topics: Sequence[str], now: float) -> Delivery:
    """Delivers a batch. `letter_topics` is each record's dead-letter topic (any sequence that answers by index)."""
    return _Case(batch, inlet, now, left=dict(batch.lanes)).run(letter_topics)


def _refusal(part: _Part, status: int | None, error: str) -> Refusal:
    return Refusal(Reason.REFUSED, error, status, part.attempts)
