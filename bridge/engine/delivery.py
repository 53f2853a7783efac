"""One batch's life, as a generator: it yields what it needs (`effects`) and returns when nothing of the
batch is left.

Retries, halving and convictions are decided here; only what the status of one message in a 207 means stands
in `codec/multi_status`. The dispatcher and the unit tests drive the generator, and answer each effect with an
`EffectResult`. The README's table "When is it the record's fault?" says whose fault a refusal is, and what
follows; the evidence for it is kept by `inlet`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bridge.codec.error_text import error_text
from bridge.codec.multi_status import ACCEPTED, Verdict, VerdictKind, verdicts
from bridge.codec.request import body_size
from bridge.engine.batch import Batch
from bridge.engine.effects import (
    Delivery,
    EffectResult,
    InletChanged,
    InletEvent,
    PublishDeadLetters,
    Settled,
    Wait,
)
from bridge.engine.inlet import Inlet
from bridge.engine.offsets import Lane, LaneState
from bridge.model import BatchRequest, BatchResponse, DeadLetter, Fault, Reason, Refusal

MAX_TIMEOUT_S = 300.0
SECOND_LOOK_S = 1.0
"""A record that was refused alone is sent once more, after this."""
MAX_REFUSALS_OF_QUIET_INLET = 2
"""If nothing else is sent to an inlet, so many refusals in a row may still be the fault of one record. If
there are more, the inlet is at fault."""
SUSPECT_ATTEMPTS, SUSPECT_S = 8, 300.0
"""What a record that draws 500 must have been through before it is convicted."""
CREDENTIALS_CAP_S = 60.0
"""The longest back-off between probes of an inlet that refuses our credentials."""
BISECTING = "another batch is being bisected"


@dataclass(slots=True)
class _Part:
    """Records of the batch (by index) that go out together."""

    indexes: Sequence[int]
    due: float = 0.0
    """When it may go out."""
    reason: str = ""
    """Why it waits."""
    detail: str = ""
    attempts: int = 0
    timeouts: int = 0
    timeout_s: float = 0.0
    unknowns: int = 0
    """Responses that did not tell what became of it."""
    first_500: int | None = None
    """The inlet's tick at its first answer 500."""
    wakes: bool = False
    """Its wait ends early when the inlet's hold ends."""
    halving: bool = False
    """It waits for its turn to bisect, or is a half of a part that had it."""
    resets_when_stopped: int | None = None
    """Where the flood guard stopped it: how often the guard had let go of its dataset by then."""
    rest: _Part | None = None
    """Remainder of the part that this was split from; merged again if the probe fails."""


@dataclass(slots=True)
class _Suspicion:
    """What is held against one record."""

    first_refused: int | None = None
    """The inlet's tick at the first request refused as a whole that carried it."""
    for_size: bool = False
    """That refusal was a 413."""
    alone_refused: int | None = None
    """The inlet's tick at the first refused request that carried it alone."""
    others_refused: int = 0
    """Requests of other batches that the inlet had refused by then."""
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
    published: list[DeadLetter] = field(default_factory=list)
    events: list[InletEvent] = field(default_factory=list)
    """What happened to the inlet since the last report."""
    any_accepted: bool = False
    """AEP accepted some records since the last report."""
    refused_requests: int = 0
    """Requests of this batch that were refused as a whole."""

    # -- the loop -------------------------------------------------------------

    def run(self, dead_letter_topics: Sequence[str]) -> Delivery:
        """Deliver until every record is settled, or every lane has ended."""
        batch = self.batch
        try:
            if batch.refusals is not None:
                yield from self.publish_refused(dead_letter_topics)
                return
            self.parts = [_Part(range(len(batch.records)), timeout_s=self.inlet.policy.request_timeout_s)]
            while self.parts:
                if batch.skips:
                    yield from self.skip(dead_letter_topics)
                    continue
                part = self.pick()
                part.indexes = self.still_owned(part.indexes)
                if not part.indexes:
                    self.parts.remove(part)
                    continue
                if part.due > self.now:
                    reply = yield Wait(part.due, part.reason, part.detail, part.wakes, part.indexes)
                    self.now = reply.now
                    if part.wakes and reply.woken:
                        part.due = reply.now
                    continue
                if part.halving and len(part.indexes) > 1 and not self.inlet.take_turn(batch):
                    part.due, part.reason = self.now + self.inlet.rng.uniform(0.2, 1.0), BISECTING
                    continue
                reply = yield self.request(part)
                self.now = reply.now
                if reply.response is None:
                    if (first := self.inlet.messages_to_send(len(part.indexes))) < len(part.indexes):
                        self.split_off(part, first)
                    continue
                self.parts.remove(part)
                refused = self.judge(part, reply, reply.response)
                if not any(left.halving for left in self.parts):
                    self.inlet.give_turn(batch)
                yield from self.report_inlet()
                yield from self.settle()
                if refused:
                    yield from self.publish(refused, dead_letter_topics)
                    yield from self.settle()
        finally:
            self.inlet.give_turn(batch)

    def request(self, part: _Part) -> BatchRequest:
        """Return the request that carries a part."""
        batch = self.batch
        if len(part.indexes) == len(batch.pieces):
            return BatchRequest(self.inlet.name, batch.pieces, part.timeout_s, batch.size)
        pieces = [batch.pieces[at] for at in part.indexes]
        return BatchRequest(self.inlet.name, pieces, part.timeout_s, body_size(pieces))

    def pick(self) -> _Part:
        """Return the next part: the first in order where order is kept, else the first that is due."""
        if self.inlet.policy.ordered:
            return self.parts[0]
        return min(self.parts, key=lambda part: max(part.due, self.now))

    def still_owned(self, indexes: Sequence[int], *, closing: bool = False) -> Sequence[int]:
        """Return the indexes that this member still owns. The next owner reads the records of lanes that
        have ended.

        Records of lanes that are being revoked are left out too, unless `closing`, or unless some of the
        batch is settled already: the next owner would send that part again.
        """
        lanes = self.batch.lanes
        if all(lane.is_sendable for lane in lanes):
            return indexes
        owned = {lane for lane in lanes if lane.is_sendable}
        if closing or self.batch.is_partly_settled:
            owned |= {lane for lane in lanes if lane.state is LaneState.CLOSING}
        return [at for at in indexes if self.batch.lane_of(at) in owned]

    def report_inlet(self) -> Delivery:
        """Report what happened to the inlet."""
        if self.any_accepted or self.events:
            change = InletChanged(self.any_accepted, tuple(self.events))
            self.any_accepted, self.events = False, []
            reply = yield change
            self.now = reply.now

    def note(self, event: InletEvent | None) -> None:
        """Keep what an inlet's method returned for the next report."""
        if event is not None:
            self.events.append(event)

    def settle(self) -> Delivery:
        """Report what is settled. A lane of which nothing is left here is released before the others."""
        if not self.accepted and not self.published:
            return
        lanes = [lane for lane, count in self.left.items() if count <= 0]
        for lane in lanes:
            del self.left[lane]
        reply = yield Settled(dict(self.accepted), tuple(self.published), lanes)
        self.now = reply.now
        self.accepted.clear()
        self.published = []

    # -- what the responses mean --------------------------------------------------

    def judge(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> dict[int, Refusal]:
        """Accept records, and put back what must go out again. Return the records to dead-letter."""
        status = answer.status
        part.attempts += 1
        if answer.fault is None and 200 <= status < 300:
            return self.judge_each(part, reply, answer)
        if answer.fault is not None:
            self.judge_fault(part, reply, answer)
        elif status in (400, 413, 422):
            self.inlet.note_readable()
            return self.judge_refusal(part, reply, answer)
        elif status == 500:
            return self.judge_error(part, reply, answer)
        elif status in (401, 403):
            self.judge_credentials(part, reply, answer)
        elif status in (408, 425, 429, 502, 503, 504) or status > 500:
            self.judge_outage(part, reply, answer)
        elif 300 <= status < 500:
            detail = f"{status}: {error_text(answer.body)}"
            self.note(self.inlet.place_hold("address", detail, reply.sent, reply.now))
            self.retry(part, 0.0, "address", detail)
        else:
            self.judge_unknown(part, reply, f"status {status}")
        return {}

    def judge_each(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> dict[int, Refusal]:
        """Judge a multi-status answer, message by message."""
        indexes = part.indexes
        results = verdicts(answer.body, len(indexes))
        accepted = results.count(ACCEPTED)
        if accepted:
            size = self.batch.size if len(indexes) == len(self.batch.pieces) else 0
            self.any_accepted = True
            self.note(self.inlet.note_acceptance(accepted, size, reply.sent, reply.now))
            self.inlet.reset_refusals(self.batch.key.dataset or "")
            if accepted == len(indexes):
                self.accept(indexes)
                return {}
        if all(verdict.kind is VerdictKind.UNKNOWN for verdict in results):
            self.judge_unknown(part, reply, "the answer can't be read or attributed")
            return {}
        self.inlet.note_readable()
        waiting = (VerdictKind.RETRY, VerdictKind.SUSPECT)
        waits = next((verdict for verdict in results if verdict.kind in waiting), None)
        if not accepted and waits is not None:  # an outage that AEP reports for each message
            self.fail(part, reply, f"status {waits.status}", waits.error)
        if any(verdict.status == 429 for verdict in results):
            self.inlet.note_throttled(len(indexes), reply.sent, reply.now)
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
                self.retry(rest, self.delay(answer, rest.attempts), f"status {verdict.status}", verdict.error)
                self.merge_back(rest, part)
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
                    self.retry(
                        rest,
                        self.delay(answer, rest.attempts),
                        f"status {same[0][1].status}",
                        same[0][1].error,
                    )
                    self.merge_back(rest, part)
        by_index = dict(zip(indexes, results, strict=True))
        self.accept([index for index in final if by_index[index].kind is VerdictKind.ACCEPTED])
        refused = {
            index: _refusal(part, by_index[index].status, by_index[index].error)
            for index in final
            if by_index[index].kind is not VerdictKind.ACCEPTED
        }
        return self.guard(part, refused, accepted=bool(accepted))

    def is_final(self, index: int, verdict: Verdict, reply: EffectResult) -> bool:
        """Return whether a verdict settles its record. A 500 convicts only after a long and contradicted
        series.
        """
        if verdict.kind is VerdictKind.SUSPECT:
            return self.convicted_of_500(index, reply)
        return verdict.kind in (VerdictKind.ACCEPTED, VerdictKind.REFUSED)

    def judge_refusal(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> dict[int, Refusal]:
        """Judge a refusal of the whole request, perhaps for one record.

        The request is halved. A record is convicted only if it is refused alone, twice, while the inlet
        accepts others.
        """
        inlet, indexes = self.inlet, part.indexes
        detail = f"{answer.status}: {error_text(answer.body)}"
        if answer.status == 413 and len(indexes) > 1:
            inlet.note_too_large(body_size([self.batch.pieces[at] for at in indexes]))
        alone_before = self.suspicions.get(indexes[0], _Suspicion()).alone_refused is not None
        inlet.note_refusal(second_look=len(indexes) == 1 and alone_before)
        self.refused_requests += 1
        for index in indexes:
            suspicion = self.suspicions.setdefault(index, _Suspicion())
            if suspicion.first_refused is None or (suspicion.for_size and answer.status != 413):
                # What passed after a 413 says nothing of a 400: the evidence begins anew.
                suspicion.first_refused, suspicion.for_size = inlet.tick, answer.status == 413
        first = min(tick for index in indexes if (tick := self.suspicions[index].first_refused) is not None)
        nobody_accepted = inlet.accepted_sent <= first
        if nobody_accepted and self.refused_requests >= 3:
            self.note(inlet.place_hold("refuses everything", detail, reply.sent, reply.now))
        if len(indexes) == 1:
            return self.judge_alone(part, reply, answer, detail)
        if inlet.take_turn(self.batch):
            self.halve(part)
        else:
            part.halving = True
            self.retry(part, inlet.rng.uniform(0.2, 1.0), BISECTING, detail)
        return {}

    def judge_alone(
        self, part: _Part, reply: EffectResult, answer: BatchResponse, detail: str
    ) -> dict[int, Refusal]:
        """Judge a refusal of a record that went out alone."""
        inlet, index = self.inlet, part.indexes[0]
        suspicion = self.suspicions[index]
        part.halving = False
        others = inlet.refusals - self.refused_requests
        if suspicion.alone_refused is None:
            suspicion.alone_refused, suspicion.others_refused = inlet.tick, others
            suspicion.second_look_at = reply.now + SECOND_LOOK_S
            self.retry(part, SECOND_LOOK_S, "refused alone: a second look", detail)
            return {}
        assert suspicion.first_refused is not None
        accepted_since = reply.evidence > suspicion.first_refused
        silent = others == suspicion.others_refused and inlet.refusals_in_a_row <= MAX_REFUSALS_OF_QUIET_INLET
        not_only_refusing = reply.evidence > suspicion.alone_refused or silent
        if accepted_since and not_only_refusing and reply.now >= suspicion.second_look_at:
            refusal = _refusal(part, answer.status, error_text(answer.body))
            return self.guard(part, {index: refusal}, accepted=False)
        why = "refused alone, and nothing else was accepted since"
        self.retry(part, max(SECOND_LOOK_S, inlet.backoff(part.attempts)), why, detail)
        return {}

    def judge_error(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> dict[int, Refusal]:
        """Judge a 500: it waits like an outage, until others pass."""
        inlet, detail = self.inlet, f"500: {error_text(answer.body)}"
        inlet.note_readable()
        if len(part.indexes) == 1 and self.convicted_of_500(part.indexes[0], reply):
            return self.guard(
                part, {part.indexes[0]: _refusal(part, 500, error_text(answer.body))}, accepted=False
            )
        wait = self.fail(part, reply, "status 500", detail)
        others_pass = part.first_500 is not None and reply.evidence > part.first_500
        if part.first_500 is None:
            part.first_500 = inlet.tick
        if len(part.indexes) > 1 and others_pass:
            if inlet.take_turn(self.batch):
                self.halve(part)
                return {}
            part.halving = True
        self.retry(part, self.delay(answer, part.attempts, wait), "status 500", detail, wakes=True)
        return {}

    def convicted_of_500(self, index: int, reply: EffectResult) -> bool:
        """Count a 500 against one record if another one was accepted since the last that counted.

        Return whether that convicts it.
        """
        suspicion = self.suspicions.setdefault(index, _Suspicion())
        if suspicion.errors == 0:
            suspicion.first_error_at = reply.now
        if suspicion.errors == 0 or reply.evidence > suspicion.last_error:
            suspicion.errors += 1
            suspicion.last_error = self.inlet.tick
            return suspicion.errors >= SUSPECT_ATTEMPTS and reply.now - suspicion.first_error_at >= SUSPECT_S
        return False

    def judge_credentials(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> None:
        """Judge a 401 or 403: a token that was good before is refreshed at once; else the inlet is held."""
        detail = f"{answer.status}: {error_text(answer.body)}"
        if answer.token_was_good:
            self.retry(part, 0.0, "token refused", detail)
            return
        self.note(self.inlet.place_hold("credentials", detail, reply.sent, reply.now, CREDENTIALS_CAP_S))
        self.retry(part, 0.0, "credentials", detail)

    def judge_outage(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> None:
        """Judge a 429, a 503 or the like: the part goes out again, without limit."""
        detail = f"{answer.status}: {error_text(answer.body)}"
        after = self.inlet.retry_after(answer.headers)
        wait = self.fail(part, reply, f"status {answer.status}", detail)
        if answer.status == 429:
            self.inlet.note_throttled(len(part.indexes), reply.sent, reply.now)
        if after is not None:
            wait = after
            self.inlet.wait_as_asked(reply.now + after, f"status {answer.status}, Retry-After")
        self.retry(part, wait, f"status {answer.status}", detail, wakes=after is None)
        self.merge_back(part, part)

    def judge_fault(self, part: _Part, reply: EffectResult, answer: BatchResponse) -> None:
        """Judge a request that has no response: nothing is known of its records."""
        assert answer.fault is not None
        if answer.fault is Fault.CREDENTIALS:
            hold = self.inlet.place_hold(
                "credentials", answer.error, reply.sent, reply.now, CREDENTIALS_CAP_S
            )
            self.note(hold)
            self.retry(part, 0.0, "credentials", answer.error)
            return
        if answer.fault is Fault.OVERSIZE:
            self.judge_unknown(part, reply, answer.error)
            return
        wait = self.fail(part, reply, answer.fault.value, answer.error)
        if answer.fault is Fault.TIMEOUT:
            part.timeouts += 1
            if part.timeouts >= 2:
                part.timeouts, part.timeout_s = 0, min(MAX_TIMEOUT_S, part.timeout_s * 2)
                if len(part.indexes) > 1:
                    self.halve(part, reply.now + wait, answer.fault.value)
                    return
        self.retry(part, wait, answer.fault.value, answer.error, wakes=True)

    def judge_unknown(self, part: _Part, reply: EffectResult, detail: str) -> None:
        """Send records whose fate is unknown again: together once more, then each alone."""
        inlet = self.inlet
        part.unknowns += 1
        self.note(inlet.note_unreadable(detail, reply.sent, reply.now))
        wait = inlet.backoff(part.unknowns)
        if part.unknowns < 2 or len(part.indexes) == 1:
            self.retry(part, wait, "unreadable answer", detail)
            return
        due = reply.now + wait
        alone = [
            _Part(
                [index],
                due,
                "unreadable answer",
                detail,
                part.attempts,
                timeout_s=part.timeout_s,
                unknowns=part.unknowns,
            )
            for index in part.indexes
        ]
        self.parts = [*alone, *self.parts] if inlet.policy.ordered else [*self.parts, *alone]

    def fail(self, part: _Part, reply: EffectResult, reason: str, detail: str) -> float:
        """Note a failure that is nobody's fault; return the seconds to wait."""
        failure = self.inlet.note_failure(reason, detail, reply.sent, reply.now, part.attempts)
        self.note(failure.event)
        return failure.wait_s

    # -- what follows -----------------------------------------------------------

    def retry(self, part: _Part, wait: float, reason: str, detail: str, *, wakes: bool = False) -> None:
        """Put a part back, to go out after `wait` seconds."""
        part.due, part.reason, part.detail, part.wakes = self.now + wait, reason, detail, wakes
        if self.inlet.policy.ordered:
            self.parts.insert(0, part)
        else:
            self.parts.append(part)

    def halve(self, part: _Part, due: float = 0.0, reason: str = "") -> None:
        """Put two halves in the place of a part.

        They go next where order is kept; else behind the other parts, so that a half that passes is
        evidence early.
        """
        middle = len(part.indexes) // 2
        halves = [
            _Part(
                indexes,
                due,
                reason,
                part.detail,
                part.attempts,
                part.timeouts,
                part.timeout_s,
                first_500=part.first_500,
                halving=not reason,
            )
            for indexes in (part.indexes[:middle], part.indexes[middle:])
        ]
        self.parts = [*halves, *self.parts] if self.inlet.policy.ordered else [*self.parts, *halves]

    def split_off(self, part: _Part, first: int) -> None:
        """Put the first records of a part, and the rest of it, in its place.

        The rest is asked about again in its turn, when more may be sent.
        """
        at, rest = self.parts.index(part), replace(part, indexes=part.indexes[first:])
        self.parts[at : at + 1] = [replace(part, indexes=part.indexes[:first], rest=rest), rest]

    def merge_back(self, part: _Part, sent: _Part) -> None:
        """While the inlet is held, merge a part that failed as a probe with the rest that it was split from.

        `part` is what has to go out again of what was `sent`. Nothing is merged if that is not all of it,
        or if the rest has changed meanwhile. So an inlet that is held for an hour leaves one request, not a
        hundred.
        """
        if self.inlet.hold is None or len(part.indexes) != len(sent.indexes):
            return
        part.rest = sent.rest
        while (rest := part.rest) is not None and any(each is rest for each in self.parts):
            self.parts = [each for each in self.parts if each is not rest]
            part.indexes, part.rest = [*part.indexes, *rest.indexes], rest.rest

    def accept(self, indexes: Sequence[int]) -> None:
        """Note that AEP has these records."""
        lanes = self.batch.lanes
        if len(indexes) == len(self.batch.records):
            for lane, count in lanes.items():
                self.accepted[lane.source.topic] += count
                self.left[lane] = 0
            return
        self.batch.settle(indexes)
        for index in indexes:
            lane = self.batch.lane_of(index)
            self.accepted[lane.source.topic] += 1
            self.left[lane] -= 1

    def delay(self, answer: BatchResponse, attempt: int, wait: float | None = None) -> float:
        """Return the seconds before the next attempt: what `Retry-After` says, else a back-off."""
        after = self.inlet.retry_after(answer.headers)
        if after is not None:
            return after
        return self.inlet.backoff(attempt) if wait is None else wait

    def guard(self, part: _Part, refused: dict[int, Refusal], *, accepted: bool) -> dict[int, Refusal]:
        """Return the refused records that may be dead-lettered: all, or none.

        Where they are so many in a row that the set-up must be wrong, they are asked about again and again
        instead.
        """
        key = self.batch.key.dataset or ""
        if not refused or accepted:
            return refused
        decision = self.inlet.guard_refusals(key, len(refused), self.now, part.resets_when_stopped)
        self.note(decision.event)
        if decision.allowed:
            return refused
        sample = next(iter(refused.values())).error
        rest = _Part(
            sorted(refused),
            attempts=part.attempts,
            timeout_s=part.timeout_s,
            resets_when_stopped=self.inlet.resets.get(key, 0),
        )
        wait = max(1.0, self.inlet.backoff(part.attempts))
        self.retry(rest, wait, "flood guard: everything is refused", sample)
        return {}

    # -- dead letters ---------------------------------------------------------------

    def publish_refused(self, topics: Sequence[str]) -> Delivery:
        """Dead-letter the records of a batch that were refused before sending."""
        waiting = dict(enumerate(self.batch.refusals or []))
        waits, resets, route = 0, None, self.batch.key.route
        while waiting:
            if skips := self.batch.take_skips():
                ordered = {index: refusal for index, refusal in skips.items() if waiting.pop(index, None)}
                yield from self.publish(ordered, topics)
                yield from self.settle()
                continue
            decision = self.inlet.guard_refusals(route, len(waiting), self.now, resets)
            self.note(decision.event)
            yield from self.report_inlet()
            if decision.allowed:
                yield from self.publish(waiting, topics)
                waiting = {}
            else:
                waits, resets = waits + 1, self.inlet.resets.get(route, 0)
                error = next(iter(waiting.values())).error
                until = self.now + max(1.0, self.inlet.backoff(waits))
                reason = "flood guard: nothing of this route is valid"
                reply = yield Wait(until, reason, error, indexes=list(waiting))
                self.now = reply.now
                waiting = {index: waiting[index] for index in self.still_owned(list(waiting))}
            yield from self.settle()

    def skip(self, topics: Sequence[str]) -> Delivery:
        """Carry out an operator's orders: these records go to the dead-letter topic, whatever AEP says."""
        skips = self.batch.take_skips()
        waiting = {index for part in self.parts for index in part.indexes}
        for part in self.parts:
            part.indexes = [index for index in part.indexes if index not in skips]
        self.parts = [part for part in self.parts if part.indexes]
        yield from self.publish({index: skips[index] for index in skips if index in waiting}, topics)
        yield from self.settle()

    def publish(self, refused: dict[int, Refusal], topics: Sequence[str]) -> Delivery:
        """Publish dead letters until the broker has acknowledged every one."""
        owned = set(self.still_owned(list(refused), closing=True))
        letters = {
            index: self.dead_letter(index, refusal, topics[index])
            for index, refusal in refused.items()
            if index in owned
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
                    self.batch.settle([index])
                    self.published.append(letters.pop(index))
                    self.left[self.batch.lane_of(index)] -= 1
            if failed:
                yield from self.settle()  # those that are acknowledged need not wait for the others
                tries += 1
                until = self.now + self.inlet.backoff(tries)
                reason, error = "dead-letter topic unavailable", reply.published.error
                reply = yield Wait(until, reason, error, indexes=list(letters))
                self.now = reply.now
                owned = set(self.still_owned(list(letters), closing=True))
                letters = {index: letter for index, letter in letters.items() if index in owned}

    def dead_letter(self, index: int, refusal: Refusal, topic: str) -> DeadLetter:
        """Return a record on its way to its dead-letter topic."""
        batch = self.batch
        return DeadLetter(
            batch.records[index], topic, refusal, batch.id, self.inlet.inlet_id, batch.key.dataset
        )


def deliver(batch: Batch, inlet: Inlet, dead_letter_topics: Sequence[str], now: float) -> Delivery:
    """Deliver a batch. `dead_letter_topics` has each record's dead-letter topic, by index."""
    return _Case(batch, inlet, now, left=dict(batch.lanes)).run(dead_letter_topics)


def _refusal(part: _Part, status: int | None, error: str) -> Refusal:
    return Refusal(Reason.REFUSED, error, status, part.attempts)
