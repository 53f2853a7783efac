"""One campaign: the schedule out of the seed, the faults alone, both tracks of faults side by side, the verdict, and what is kept of it."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.copies import REQUEST_TIMEOUT_S, UNDER_WAY_S
from tests.chaos.faults import PROCESSES, Fault
from tests.chaos.neighbours import NEIGHBOURS
from tests.chaos.stage import Plan, Stage
from tests.chaos.verdict import Verdict, judge, table

GAP_S = 0.5
"""Between two faults of one track."""
ROUND_S = 600.0
"""Faults side by side go on for so long at most before those that must repeat nothing are alone again."""
ALL: Mapping[str, Fault] = {**PROCESSES, **NEIGHBOURS}
ALONE = (
    "terminated",
    "scaled",
    "partition_added",
    "throttled",
    "unavailable",
    "refusing",
    "token_revoked",
    "secret_rotated",
)
"""They must repeat nothing, and have to show it where nothing else could be the reason."""
BRIEF = frozenset({"scaled", "throttled", "unavailable", "refusing", "token_revoked", "secret_rotated"})
"""In the short form these are alone only."""


def order(names: Sequence[str], seed: int, track: str) -> Iterator[str]:
    """The names in the seed's order, again and again; each round has every name once."""
    rng = random.Random(f"{seed}/{track}")
    while True:
        yield from rng.sample(list(names), len(names))


def run(plan: Plan, folder: Path, only: Sequence[str] = ()) -> Verdict:
    """Everything, from an empty machine to the verdict; `only` names the faults to use. Writes `timeline.jsonl`, `verdict.json` and the replicas' logs."""
    print(
        f"chaos: seed {plan.seed}, {'each kind once' if not plan.minutes else f'{plan.minutes:g} minutes of faults'}; artefacts in {folder}/",
        flush=True,
    )
    made = {"revision": revision(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    with Stage(plan, folder) as stage:
        stage.note("began", **asdict(plan), **made)
        _faults(stage, [name for name in ALL if not only or name in only])
        print(f"  {time.time() - stage.began:6.1f} s  the last fault is over", flush=True)
        verdict = judge(stage, stage.finish())
    kept = {"plan": asdict(plan), **made, **asdict(verdict), "passed": verdict.passed}
    (folder / "copies.jsonl").write_text("".join(json.dumps(copy) + "\n" for copy in kept.pop("copies")))
    (folder / "verdict.json").write_text(json.dumps(kept, indent=1) + "\n")
    print(table(verdict), flush=True)
    for problem in verdict.problems:
        print(f"  PROBLEM: {problem}", flush=True)
    print(
        f"chaos: {'passed' if verdict.passed else 'FAILED'}; SEED={plan.seed} repeats the schedule",
        flush=True,
    )
    return verdict


def revision() -> str:
    """What is tested, as git names it; `+` where files of the bridge differ from that."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=10", "HEAD") + (
            "+" if git("status", "--porcelain", "--", "bridge") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _faults(stage: Stage, names: Sequence[str]) -> None:
    """Rounds: what must repeat nothing alone, then both tracks side by side; at the end what has not hit anything yet, once more."""
    seed, minutes = stage.plan.seed, stage.plan.minutes
    alone = [name for name in ALONE if name in names]
    beside = [
        [name for name in track if name in names and (minutes or name not in BRIEF)]
        for track in (PROCESSES, NEIGHBOURS)
    ]
    drawn = [order(track, seed, str(number)) for number, track in enumerate(beside)]
    singles = order(alone, seed, "alone")
    until = time.monotonic() + minutes * 60
    while True:
        stage.alone = True
        stage.calm()
        for name in itertools.islice(singles, len(alone)):
            _make(stage, name)
        stage.alone = False
        time.sleep(
            UNDER_WAY_S
        )  # what arrived in the last fault that was alone is not under way when a cut begins
        _beside(stage, beside, drawn, min(until, time.monotonic() + ROUND_S) if minutes else None)
        if time.monotonic() >= until:
            break
        time.sleep(REQUEST_TIMEOUT_S)  # requests of before end
    for name in [name for name in names if not stage.hits.get(name)]:
        _make(stage, name)


def _beside(
    stage: Stage, tracks: Sequence[Sequence[str]], drawn: Sequence[Iterator[str]], until: float | None
) -> None:
    """Both tracks at once: until a time, or each kind once."""

    def work(names: Sequence[str], following: Iterator[str]) -> None:
        count = 0
        while names and (count < len(names) if until is None else time.monotonic() < until):
            _make(stage, next(following))
            count += 1

    threads = [threading.Thread(target=work, args=each) for each in zip(tracks, drawn, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _make(stage: Stage, name: str) -> None:
    """One fault. One that can't be made is a problem of the campaign, and is told."""
    try:
        window = ALL[name](stage)
        stage.hits[name] = stage.hits.get(name, 0) + window.hits
    except Exception as error:
        stage.problem(f"the fault {name} could not be made: {error!r}")
        stage.note("fault.failed", kind=name, trace=traceback.format_exc())
    time.sleep(GAP_S)


__all__ = ["ALONE", "order", "revision", "run"]
