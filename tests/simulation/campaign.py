"""Many histories at once: fixed or fresh seeds over a few processes, each failure reported with its seed."""

from __future__ import annotations

import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation.world import History, simulate

PATIENCE_S = 60
"""Real seconds after which a history is given up, as a failure: something in it goes round for ever."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A history that broke the contract, or broke the engine."""

    seed: int
    what: str
    """The last line: the violation, or the exception."""
    where: str
    """The traceback."""


@dataclass(slots=True)
class Report:
    """What a campaign found."""

    seconds: float = 0.0
    histories: int = 0
    records: int = 0
    requests: int = 0
    turns: int = 0
    dead_letters: int = 0
    skipped: int = 0
    simulated: float = 0.0
    causes: Counter[str] = field(default_factory=Counter)
    residue: Counter[str] = field(default_factory=Counter)
    flavours: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, history: History) -> None:
        self.histories += 1
        self.records += history.records
        self.requests += history.requests
        self.turns += history.turns
        self.dead_letters += history.dead_letters
        self.skipped += history.skipped
        self.simulated += history.seconds
        self.causes.update(history.causes)
        self.residue.update(history.residue)
        self.flavours[history.flavour] += 1

    def lines(self) -> Iterator[str]:
        """For people."""
        yield (
            f"{self.histories:,} histories in {self.seconds:.0f} s: {self.records:,} records, "
            f"{self.requests:,} requests, {self.dead_letters:,} dead letters, {self.turns:,} turns, "
            f"{self.simulated / 3600:,.0f} simulated hours"
        )
        for what, number in self.causes.most_common():
            yield f"  accepted again {number:,} times: {what}"
        for what, number in self.residue.most_common():
            yield (
                f"  healthy records in the dead-letter topic, which AEP refused as it does a poison record "
                f"({what}): {number:,}"
            )
        why = "poison whose conviction lacks evidence"
        yield f"  skipped by the operator at the end ({why}): {self.skipped:,}"
        for failure in self.failures:
            yield f"FAILED: SEED={failure.seed} make simulate\n    {failure.what}"


def attempt(seed: int) -> History | Failure:
    """One history, its failure as a value."""
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(PATIENCE_S)
    try:
        return simulate(seed)
    except Exception as problem:
        return Failure(seed, f"{type(problem).__name__}: {problem}"[:500], traceback.format_exc())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"the history takes longer than {PATIENCE_S} s of real time")


def _several(seeds: list[int]) -> list[History | Failure]:
    return [attempt(seed) for seed in seeds]


def campaign(
    seeds: Iterable[int], processes: int, progress: Callable[[int], None] = lambda _: None
) -> Report:
    """Runs the histories of all seeds. With one process, in this one."""
    report, started, every = Report(), time.monotonic(), list(seeds)
    parts = [every[at : at + 25] for at in range(0, len(every), 25)]
    if processes == 1:
        results: Iterable[list[History | Failure]] = map(_several, parts)
        _gather(report, results, progress)
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
            _gather(report, pool.map(_several, parts), progress)
    report.seconds = time.monotonic() - started
    return report


def _gather(
    report: Report, results: Iterable[list[History | Failure]], progress: Callable[[int], None]
) -> None:
    for part in results:
        for each in part:
            if isinstance(each, Failure):
                report.failures.append(each)
            else:
                report.add(each)
        progress(report.histories)
