"""One campaign: the schedule out of the seed, both tracks of faults, the verdict, and what is kept of it."""

from __future__ import annotations

import json
import random
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.chaos.faults import NEIGHBOURS, PROCESSES, Fault
from tests.chaos.stage import Plan, Stage
from tests.chaos.verdict import Verdict, judge, table

GAP_S = 0.5
"""Between two faults of one track."""


def order(names: Sequence[str], seed: int, track: str) -> Iterator[str]:
    """The names in the seed's order, again and again; each round has every name once."""
    rng = random.Random(f"{seed}/{track}")
    while True:
        yield from rng.sample(list(names), len(names))


def run(plan: Plan, folder: Path, only: Sequence[str] = ()) -> Verdict:
    """Everything, from an empty machine to the verdict; `only` names the faults to use. Writes `timeline.jsonl`, `verdict.json` and the replicas' logs."""
    print(f"chaos: seed {plan.seed}, {'each kind once' if not plan.minutes else f'{plan.minutes:g} minutes of faults'}; artefacts in {folder}/", flush=True)
    with Stage(plan, folder) as stage:
        stage.note("began", **asdict(plan))
        time.sleep(2)  # some quiet traffic first
        until = time.monotonic() + plan.minutes * 60
        tracks = [threading.Thread(target=_track, args=(stage, name, faults, until, only), name=name) for name, faults in (("p", PROCESSES), ("n", NEIGHBOURS))]
        for track in tracks:
            track.start()
        for track in tracks:
            track.join()
        print(f"  {time.time() - stage.began:6.1f} s  the last fault is over", flush=True)
        verdict = judge(stage, stage.finish())
    kept = {"plan": asdict(plan), **asdict(verdict), "passed": verdict.passed}
    (folder / "copies.jsonl").write_text("".join(json.dumps(copy) + "\n" for copy in kept.pop("copies")))
    (folder / "verdict.json").write_text(json.dumps(kept, indent=1) + "\n")
    print(table(verdict), flush=True)
    for problem in verdict.problems:
        print(f"  PROBLEM: {problem}", flush=True)
    print(f"chaos: {'passed' if verdict.passed else 'FAILED'}; SEED={plan.seed} repeats the schedule", flush=True)
    return verdict


def _track(stage: Stage, name: str, faults: Mapping[str, Fault], until: float, only: Sequence[str]) -> None:
    """One fault after the other. A fault that can't be made is a problem of the campaign, and is told."""
    names = [each for each in faults if not only or each in only]
    if not names:
        return
    for number, each in enumerate(order(names, stage.plan.seed, name)):
        if number >= len(names) and time.monotonic() > until:
            return
        if number and time.monotonic() > until and stage.plan.minutes:
            return
        try:
            faults[each](stage)
        except Exception as error:
            stage.problem(f"the fault {each} could not be made: {error!r}")
            stage.note("fault.failed", kind=each, trace=traceback.format_exc())
        time.sleep(GAP_S)


__all__ = ["order", "run"]
