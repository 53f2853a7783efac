"""Deliberate bugs in the engine. A proof that can't fail proves nothing: the simulation has to catch each of them."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bridge import batcher, delivery, inlet, ledger, payload, pump
from tests.simulation.campaign import Failure, attempt

BEGIN, END = "<!-- mutants: written by make simulate-mutants -->", "<!-- end of mutants -->"


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
    _bug("commits the highest offset instead of the watermark", ledger, "Lane.watermark", "return first", "pass"),
    _bug("a late outcome moves a dead lane", ledger, "Ledger.resolve", "lane.state is not State.DEAD and ", ""),
    _bug(
        "settles before the dead letter is acknowledged",
        delivery,
        "_Case.bury",
        "order = list(letters)\n",
        "order = list(letters); self.buried += letters.values(); self.left.update((lane, 0) for lane in self.left); yield from self.settle()\n",
    ),
    _bug("drops dead letters that the broker refused", delivery, "_Case.bury", "if index not in failed:", "if True:"),
    _bug("names the neighbour in the dead letter", delivery, "_Case.letter", "self.batch.records[index]", "self.batch.records[index - 1]"),
    _bug(
        "attributes by position where entries are missing",
        payload,
        "_careful",
        "    known = [",
        "    return ([_verdict(entry) for entry in responses] + [UNKNOWN] * count)[:count]\n    known = [",
    ),
    _bug("ignores the index in xactionId", payload, "_careful", " and all(place is None or place == at for at, place in enumerate(places))", ""),
    _bug(
        "knows only `status`, as Adobe's connector does",
        payload,
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
    _bug("counts a lost answer as success", delivery, "_Case.judge_fault", "assert answer.fault is not None", "return self.accept(part.indexes)"),
    _bug("ignores a lost partition", pump, "Pump.lost", "self._end(gone)", "pass"),
    _bug(
        "a revoke does not wait for open requests", pump, "Pump.revoked", "(left := deadline - self._clock()) > 0", "(left := deadline - self._clock()) > 1e9"
    ),
    _bug("a revoke stores nothing", pump, "Pump.revoked", "self.store(self.source)", "pass"),
    _bug("goes on sending what is being revoked", pump, "Pump.revoked", "lane.state = State.CLOSING", "pass"),
    _bug("sends the records of lanes that ended", delivery, "_Case.living", "    states =", "    return indexes\n    states ="),
    _bug("forgets a record when it halves", delivery, "_Case.halve", "part.indexes[middle:]", "part.indexes[middle + 1 :]"),
    _bug("sends what was accepted along with what was not", delivery, "_Case.judge_each", "_Part([index for index, _ in same]", "_Part(list(indexes)"),
    _bug("counts characters instead of bytes", batcher, "Batcher.add", "map(len, pieces)", "len(piece.decode()) for piece in pieces"),
    _bug("convicts without evidence", delivery, "_Case.judge_alone", "if accepted_since and not_only_refusing and ", "if "),
    _bug("takes requests that were under way as evidence", inlet, "Inlet.accepted", "max(self.accepted_sent, sent)", "self.tick"),
    _bug(
        "looks for evidence when the answer comes, not when the request goes", pump, "Pump._came_back", "evidence=task.evidence", "evidence=inlet.accepted_sent"
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
    _bug("treats 500 as a refusal", delivery, "_Case.judge", "return self.judge_error(", "return self.judge_refusal("),
    _bug("dead-letters a message that got 429", payload, "kind_of", "status in TRANSIENT", "status in TRANSIENT - {429}"),
    _bug("halves on 404", delivery, "_Case.judge", "(400, 413, 422)", "(400, 404, 413, 422)"),
    _bug("where order is kept, the next batch does not wait", pump, "Pump.dispatch", "if len(chain) > 1:\n            return", "pass"),
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
    _bug("never gives the window back", pump, "Pump._finish", "task.inlet.used = max(0.0, task.inlet.used - batch.weight)", "pass"),
    _bug("reads on though the window is full", pump, "Pump._full", "return inlet.name in self._full_since", "return False"),
    _bug("reads on though a lane is too far ahead", pump, "Pump.balance", "ahead = lane.uncommitted >=", "ahead = False and lane.uncommitted >="),
    _bug(
        "one full inlet pauses everything", pump, "Pump.balance", "since = self._full_since.get(name)", "since = min(self._full_since.values(), default=None)"
    ),
    _bug("ignores Retry-After", delivery, "_Case.judge_outage", "after = self.inlet.retry_after(answer.headers)", "after = None"),
    _bug("a hold ends Retry-After", inlet, "Inlet.release", "self.not_before, self.why_not = self.asked", "self.not_before = -math.inf"),
    _bug("a held inlet gets many probes", inlet, "Inlet.ready_at", "(1 if self.hold else self.concurrency.allowed)", "self.concurrency.allowed"),
    _bug("no limit of requests in flight", inlet, "Inlet.ready_at", "(1 if self.hold else self.concurrency.allowed)", "1000"),
    _bug("does not see a topic that was created anew", pump, "Pump.take_in", "first < lane.next", "False"),
    _bug("drops what was read of a topic that was created anew", pump, "Pump._rewind", "self.dispatch(batch)", "self._forget(batch)"),
    _bug("records refused before sending hold nothing back", pump, "Pump.take_in", "self.ledger.took(lane, batch, record.offset(), now)", "pass"),
    _bug("enters the last record of a batch instead of the first", pump, "Pump.take_in", "taken[at].offset()", "taken[-1].offset()"),
    _bug(
        "does not step over control records",
        pump,
        "Pump.take_in",
        "self.ledger.advance(lane, part.next_offset)",
        "self.ledger.advance(lane, records[-1].offset() + 1) if records else None",
    ),
    _bug("takes an end of partition before what was read for nothing new", pump, "Pump.take_in", "part.next_offset < lane.next", "False"),
    _bug("a second inlet that fills up is paused late", pump, "Pump.balance", "not self._stood", "now - since >= PAUSE_AFTER_S"),
)


@contextmanager
def broken(mutant: Mutant) -> Iterator[None]:
    """The engine with this bug. Fails where the source no longer has the place that the bug changes."""
    *path, name = mutant.name.split(".")
    holder: Any = getattr(mutant.module, path[0]) if path else mutant.module
    original = vars(holder)[name]
    code: Any = original.fget if isinstance(original, property) else original
    source = textwrap.dedent(inspect.getsource(code))
    for old, new in mutant.changes:
        if old not in source:
            raise LookupError(f"{mutant.name} has changed: the bug {mutant.title!r} finds no {old!r}")
        source = source.replace(old, new)
    space: dict[str, Any] = {}
    exec(compile(source, f"<mutant of {mutant.name}>", "exec"), mutant.module.__dict__, space)  # noqa: S102  (our own source)
    holders = [holder] if path else [each for key, each in sys.modules.items() if key.startswith("bridge") and getattr(each, name, None) is original]
    try:
        for each in holders:
            setattr(each, name, space[name])
        yield
    finally:
        for each in holders:
            setattr(each, name, original)


@dataclass(frozen=True, slots=True)
class Caught:
    """How a mutant was found out."""

    mutant: str
    histories: int
    seed: int | None
    """None: it got away."""
    what: str = ""


def hunt(number: int, limit: int) -> Caught:
    """Runs histories from seed 0 on, until one of them finds the bug."""
    mutant = MUTANTS[number]
    with broken(mutant):
        for seed in range(limit):
            found = attempt(seed)
            if isinstance(found, Failure):
                if not found.what.startswith("Violation"):
                    raise RuntimeError(f"{mutant.title}, seed {seed}: {found.where}")
                return Caught(mutant.title, seed + 1, seed, found.what)
    return Caught(mutant.title, limit, None)


def _hunt(job: tuple[int, int]) -> Caught:
    return hunt(*job)


def survey(processes: int, limit: int, say: Callable[[str], None]) -> list[Caught]:
    """Hunts every mutant."""
    found = []
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        for each in pool.map(_hunt, [(number, limit) for number in range(len(MUTANTS))]):
            say(f"{each.mutant}: {'NOT CAUGHT in' if each.seed is None else 'caught after'} {each.histories} histories  {each.what[:150]}")
            found.append(each)
    return found


def table(found: list[Caught]) -> str:
    """The survey in Markdown."""
    lines = ["| deliberate bug | histories until it was caught |", "|---|---:|"]
    lines += [f"| {each.mutant} | {each.histories if each.seed is not None else 'not caught'} |" for each in found]
    return "\n".join(lines)


def write(document: str, text: str) -> None:
    """Replaces the table between the two marks of a document."""
    path = Path(document)
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
