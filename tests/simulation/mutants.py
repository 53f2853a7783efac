"""Deliberate bugs in the engine. A proof that can't fail proves nothing: the simulation has to catch each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bridge.codec import multi_status
from bridge.engine import batcher, concurrency, delivery, inlet
from bridge.engine import loop as pump
from bridge.engine import offsets as ledger


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: in the source of `name` (a function, or `Class.method`) of a module, every `old` becomes its `new`."""

    title: str
    module: Any
    name: str
    changes: tuple[tuple[str, str], ...]


def _bug(title: str, module: Any, name: str, *changes: str) -> Mutant:
    return Mutant(title, module, name, tuple(zip(changes[::2], changes[1::2], strict=True)))


MUTANTS = (
    _bug(
        "commits the highest offset instead of the watermark",
        ledger,
        "Lane.watermark",
        "return first",
        "pass",
    ),
    _bug(
        "a late outcome moves a dead lane",
        ledger,
        "Offsets.resolve",
        "lane.state is not State.DEAD\n        and ",
        "",
        "\n        and self.lanes.get(lane.source) is lane",
        "",
    ),
    _bug(
        "settles before the dead letter is acknowledged",
        delivery,
        "_Case.bury",
        "order = list(letters)\n",
        "order = list(letters); self.buried += letters.values(); self.left.update((lane, 0) for lane in self.left); yield from self.settle()\n",
    ),
    _bug(
        "drops dead letters that the broker refused",
        delivery,
        "_Case.bury",
        "if index not in failed:",
        "if True:",
    ),
    _bug(
        "names the neighbour in the dead letter",
        delivery,
        "_Case.letter",
        "self.batch.records[index]",
        "self.batch.records[index - 1]",
    ),
    _bug(
        "attributes by position where entries are missing",
        multi_status,
        "_read_entries",
        "    named = [",
        "    return ([_verdict(entry) for entry in entries] + [UNKNOWN] * count)[:count]\n    named = [",
    ),
    _bug(
        "ignores the index in xactionId",
        multi_status,
        "_read_entries",
        " and all(index is None or index == at for at, index in enumerate(indexes))",
        "",
    ),
    _bug(
        "knows only `status`, as Adobe's connector does",
        multi_status,
        "_verdict",
        "entry.statusCode is None and ",
        "",
        "(_number(entry.statusCode), _number(entry.status))",
        "(_number(entry.status),)",
    ),
    _bug(
        "counts an unknown answer as success",
        delivery,
        "_Case.judge_unknown",
        "inlet = self.inlet\n",
        "return self.accept(part.indexes)\n    inlet = self.inlet\n",
    ),
    _bug(
        "counts a lost answer as success",
        delivery,
        "_Case.judge_fault",
        "assert answer.fault is not None",
        "return self.accept(part.indexes)",
    ),
    _bug("ignores a lost partition", pump, "Engine.lost", "self._end(gone)", "pass"),
    _bug(
        "a revoke does not wait for open requests",
        pump,
        "Engine.revoked",
        "(left := deadline - self._clock()) > 0",
        "(left := deadline - self._clock()) > 1e9",
    ),
    _bug("a revoke stores nothing", pump, "Engine.revoked", "self.store(self.source)", "pass"),
    _bug(
        "goes on sending what is being revoked", pump, "Engine.revoked", "lane.state = State.CLOSING", "pass"
    ),
    _bug(
        "sends the records of lanes that ended",
        delivery,
        "_Case.living",
        "    states =",
        "    return indexes\n    states =",
    ),
    _bug(
        "forgets a record when it halves",
        delivery,
        "_Case.halve",
        "part.indexes[middle:]",
        "part.indexes[middle + 1 :]",
    ),
    _bug(
        "sends what was accepted along with what was not",
        delivery,
        "_Case.judge_each",
        "[index for index, _ in same],",
        "list(indexes),",
    ),
    _bug(
        "counts characters instead of bytes",
        batcher,
        "Batcher.add",
        "map(len, pieces)",
        "len(piece.decode()) for piece in pieces",
    ),
    _bug(
        "convicts without evidence",
        delivery,
        "_Case.judge_alone",
        "if accepted_since and not_only_refusing and ",
        "if ",
    ),
    _bug(
        "takes requests that were under way as evidence",
        inlet,
        "Inlet.accepted",
        "max(self.accepted_sent, sent)",
        "self.tick",
    ),
    _bug(
        "looks for evidence when the answer comes, not when the request goes",
        pump,
        "Engine._came_back",
        "evidence=task.evidence",
        "evidence=inlet.accepted_sent",
    ),
    _bug(
        "convicts everyone of a refused request",
        delivery,
        "_Case.judge_refusal",
        "if len(indexes) == 1:",
        "if True:\n        return {index: _refusal(part, answer.status, detail) for index in indexes}\n    if False:",
    ),
    _bug(
        "convicts of 500 without others that passed",
        delivery,
        "_Case.convicted_of_500",
        "if suspicion.errors == 0 or reply.evidence > suspicion.last_error:",
        "if True:",
    ),
    _bug(
        "treats 500 as a refusal",
        delivery,
        "_Case.judge",
        "return self.judge_error(",
        "return self.judge_refusal(",
    ),
    _bug(
        "dead-letters a message that got 429",
        multi_status,
        "kind_of_status",
        "status in TRANSIENT",
        "status in TRANSIENT - {429}",
    ),
    _bug("halves on 404", delivery, "_Case.judge", "(400, 413, 422)", "(400, 404, 413, 422)"),
    _bug(
        "where order is kept, the next batch does not wait",
        pump,
        "Engine.dispatch",
        "if len(chain) > 1:\n            return",
        "pass",
    ),
    _bug(
        "where order is kept, settles what follows a failed message",
        delivery,
        "_Case.judge_each",
        "if self.inlet.policy.ordered and len(final) < len(indexes):",
        "if False:",
    ),
    _bug(
        "a revoke drops the batch's other records too",
        batcher,
        "Batcher.drop",
        "if TopicPartition(record.topic(), record.partition()) not in sources",
        "if False",
    ),
    _bug(
        "never gives the window back",
        pump,
        "Engine._finish",
        "task.inlet.used = max(0.0, task.inlet.used - batch.weight)",
        "pass",
    ),
    _bug(
        "reads on though the window is full",
        pump,
        "Engine._full",
        "return inlet.name in self._full_since",
        "return False",
    ),
    _bug(
        "reads on though a lane is too far ahead",
        pump,
        "Engine.balance",
        "ahead = lane.uncommitted >=",
        "ahead = False and lane.uncommitted >=",
    ),
    _bug(
        "one full inlet pauses everything",
        pump,
        "Engine.balance",
        "since = self._full_since.get(name)",
        "since = min(self._full_since.values(), default=None)",
    ),
    _bug(
        "ignores Retry-After",
        delivery,
        "_Case.judge_outage",
        "after = self.inlet.retry_after(answer.headers)",
        "after = None",
    ),
    _bug(
        "a hold ends Retry-After",
        inlet,
        "Inlet.release",
        "self.not_before, self.why_not = self.asked",
        "self.not_before = -math.inf",
    ),
    _bug(
        "a held inlet gets many probes",
        inlet,
        "Inlet.ready_at",
        "(1 if self.hold else self.concurrency.allowed)",
        "self.concurrency.allowed",
    ),
    _bug(
        "no limit of requests in flight",
        inlet,
        "Inlet.ready_at",
        "(1 if self.hold else self.concurrency.allowed)",
        "1000",
    ),
    _bug("does not see a topic that was created anew", pump, "Engine.take_in", "first < lane.next", "False"),
    _bug(
        "drops what was read of a topic that was created anew",
        pump,
        "Engine._rewind",
        "self.dispatch(batch)",
        "self._forget(batch)",
    ),
    _bug(
        "records refused before sending hold nothing back",
        pump,
        "Engine.take_in",
        "taken.append((record.offset(), batch))",
        "pass",
    ),
    _bug(
        "enters the last record of a batch instead of the first",
        pump,
        "Engine.take_in",
        "own[at].offset()",
        "own[-1].offset()",
    ),
    _bug(
        "enters one dataset's batches after the other's, whatever lies between",
        pump,
        "Engine.take_in",
        "taken.sort(key=itemgetter(0))",
        "pass",
    ),
    _bug(
        "does not step over control records",
        pump,
        "Engine.take_in",
        "self.ledger.advance(lane, part.next_offset)",
        "self.ledger.advance(lane, records[-1].offset() + 1) if records else None",
    ),
    _bug(
        "takes an end of partition before what was read for nothing new",
        pump,
        "Engine.take_in",
        "part.next_offset < lane.next",
        "False",
    ),
    _bug(
        "a second inlet that fills up is paused late",
        pump,
        "Engine.balance",
        "not self._stood",
        "now - since >= PAUSE_AFTER_S",
    ),
    _bug(
        "counts no bytes",
        batcher,
        "Batcher.add",
        "(weight := size + fits * overhead)",
        "(weight := 0.0 * size)",
    ),
    _bug(
        "forgets what records hold beside their bytes",
        batcher,
        "Batcher.add",
        "(weight := size + fits * overhead)",
        "(weight := size)",
    ),
    _bug(
        "forgets the value beside the message made of it",
        pump,
        "_originals",
        "return sum(",
        "return 0 * sum(",
    ),
    _bug(
        "stores offsets only now and then",
        pump,
        "Engine.turn",
        "self.store(source)",
        "self._clock() % 60 < 30 and self.store(source)",
    ),
    _bug("skips nothing of a topic that was created anew", pump, "Engine._find", "batches += [", "_ = ["),
    _bug(
        "convicts when everything is refused",
        delivery,
        "_Case.judge_alone",
        "reply.evidence > suspicion.alone_refused or silent",
        "True",
    ),
    _bug(
        "takes what passed after a 413 for evidence of a 400",
        delivery,
        "_Case.judge_refusal",
        "(suspicion.for_size and answer.status != 413)",
        "False",
    ),
    _bug(
        "the flood guard never holds",
        inlet,
        "Inlet.flood_allows",
        "if guard and not broken",
        "if False and not broken",
    ),
    _bug("everyone bisects at once", inlet, "Inlet.take_turn", "return self.bisecting is who", "return True"),
    _bug(
        "no hold when everything is refused",
        delivery,
        "_Case.judge_refusal",
        "if nobody_accepted and self.rounds >= 3:",
        "if False:",
    ),
    _bug(
        "no hold after failures", inlet, "Inlet.failed", "if self.failures >= UNAVAILABLE_AFTER:", "if False:"
    ),
    _bug(
        "no hold after unreadable answers",
        delivery,
        "_Case.judge_unknown",
        "if inlet.unreadable >= 3:",
        "if False:",
    ),
    _bug(
        "no hold where the address is wrong",
        delivery,
        "_Case.judge",
        'self.inlet.held("address", detail, reply.sent, reply.now)',
        "pass",
    ),
    _bug(
        "no hold where a fresh token is refused",
        delivery,
        "_Case.judge_credentials",
        "    self.inlet.held(",
        "    (lambda *_: None)(",
    ),
    _bug("ignores the organisation's rate", pump, "Engine._share", "= total * share or 1.0", "= None"),
    _bug(
        "each member takes the organisation's whole rate",
        pump,
        "Engine._share",
        "= total * share or 1.0",
        "= total",
    ),
    _bug(
        "a 413 teaches nothing",
        inlet,
        "Inlet.refuses_size",
        "self.max_bytes = min(self.max_bytes, learned)",
        "pass",
    ),
    _bug(
        "what timed out twice goes out as it was",
        delivery,
        "_Case.judge_fault",
        "if part.timeouts >= 2:",
        "if False:",
    ),
    _bug(
        "what timed out twice gets no more time",
        delivery,
        "_Case.judge_fault",
        "part.timeout_s * 2",
        "part.timeout_s",
    ),
    _bug(
        "what timed out twice is not halved",
        delivery,
        "_Case.judge_fault",
        "if len(part.indexes) > 1:",
        "if False:",
    ),
    _bug("no back-off", inlet, "Inlet.backoff", "return max(0.01,", "return 0.0 * max(0.01,"),
    _bug(
        "a 429 slows nothing",
        inlet,
        "Inlet.throttled",
        "self.concurrency.pushed_back(sent, self.tick)",
        "return",
    ),
    _bug(
        "as many requests at once after a failure as before",
        concurrency,
        "Concurrency.pushed_back",
        "self.limit = max(1.0, self.limit / 2)",
        "pass",
    ),
)
