"""Run histories against the engine with one deliberate bug until one history breaks the contract.

It also writes the table of how many histories each bug took.
"""

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

from tests.simulation.campaign import Failure, attempt
from tests.simulation.mutants import MUTANTS, Mutant

BEGIN, END = "<!-- mutants: written by make simulate-mutants -->", "<!-- end of mutants -->"

PINNED = {
    "a revoke drops a batch's records of other partitions too": 158,
    "a hold ends the wait that Retry-After asked for": 981,
    "records read from a topic before it was created anew are dropped": 22,
    "evidence is read when the response arrives instead of when the request is sent": 347,
    "requests that were sent before the refusal count as evidence": 8,
    "an end of partition before the position that was read is ignored": 73,
    "a second inlet that fills up is paused late": 29,
    "the window does not count the value when a message was made of it": 83,
    "an order to skip does nothing after its topic was created anew": 3511,
    "what was accepted after a 413 counts as evidence of a 400": 56,
    "the flood guard never holds an inlet": 47,
    "the organisation's rate is ignored": 11,
    "each member takes the organisation's whole rate": 11,
    "the size limit is not lowered after a 413": 69,
    "a part that timed out twice is sent again unchanged": 63,
    "a part that timed out twice gets no more time": 63,
    "a part that timed out twice is not halved": 63,
}
"""Seeds that catch what takes long to be caught; CI tries them first."""


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
    exec(compile(source, f"<mutant of {mutant.name}>", "exec"), mutant.module.__dict__, space)
    holders = (
        [holder]
        if path
        else [
            each
            for key, each in sys.modules.items()
            if key.startswith("bridge") and getattr(each, name, None) is original
        ]
    )
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


def hunt_mutant(number: int, limit: int, *, pinned: bool = False) -> Caught:
    """Run histories from seed 0 on until one of them finds the bug.

    With `pinned`, the seed that is known to find it comes first.
    """
    mutant = MUTANTS[number]
    first = [PINNED[mutant.title]] if pinned and mutant.title in PINNED else []
    with broken(mutant):
        for seed in [*first, *range(limit)]:
            outcome = attempt(seed)
            if isinstance(outcome, Failure):
                if not outcome.what.startswith("Violation"):
                    raise RuntimeError(f"{mutant.title}, seed {seed}: {outcome.where}")
                return Caught(mutant.title, seed + 1, seed, outcome.what)
    return Caught(mutant.title, limit, None)


def _hunt_job(job: tuple[int, int]) -> Caught:
    return hunt_mutant(*job)


def hunt_all_mutants(processes: int, limit: int, narrate: Callable[[str], None]) -> list[Caught]:
    """Hunts every mutant."""
    outcome = []
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        for each in pool.map(_hunt_job, [(number, limit) for number in range(len(MUTANTS))]):
            result = "NOT CAUGHT in" if each.seed is None else "caught after"
            narrate(f"{each.mutant}: {result} {each.histories} histories  {each.what[:150]}")
            outcome.append(each)
    return outcome


def table(outcome: list[Caught]) -> str:
    """The survey in Markdown."""
    lines = ["| deliberate bug | histories until it was caught |", "|---|---:|"]
    lines += [
        f"| {each.mutant} | {each.histories if each.seed is not None else 'not caught'} |" for each in outcome
    ]
    return "\n".join(lines)


def write(document: str, text: str) -> None:
    """Replaces the table between the two marks of a document."""
    path = Path(document)
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
