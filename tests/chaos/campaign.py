"""One campaign: the schedule of the seed, faults alone and side by side, the evaluation and its files."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.aep_faults import AEP_FAULTS
from tests.chaos.evaluation import CampaignResult, evaluate
from tests.chaos.harness import Fault, Harness, Plan
from tests.chaos.network_faults import NETWORK_FAULTS
from tests.chaos.process_faults import PROCESS_FAULTS
from tests.chaos.replica_config import IN_TRANSIT_S, REQUEST_TIMEOUT_S
from tests.chaos.report import console_table, revision

PAUSE_S = 0.5
"""Seconds between two faults of one track."""
ROUND_S = 600.0
"""Seconds that faults go on side by side, at most, before those that must repeat nothing are alone again."""
RESULT_FILE = "result.json"

TRACKS: Sequence[Mapping[str, Fault]] = (PROCESS_FAULTS, {**AEP_FAULTS, **NETWORK_FAULTS})
"""Faults of one track come one at a time, beside those of the other track."""
FAULTS: Mapping[str, Fault] = {name: fault for track in TRACKS for name, fault in track.items()}
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
"""Faults that must repeat nothing. Each comes where nothing else could be the reason for a duplicate."""
ONLY_ALONE_IN_SHORT_FORM = frozenset(
    {"scaled", "throttled", "unavailable", "refusing", "token_revoked", "secret_rotated"}
)
"""Faults that the short form does not inject beside others."""


def shuffled_rounds(names: Sequence[str], seed: int, track: str) -> Iterator[str]:
    """Yield the names in the order of the seed, round after round; each round has every name once."""
    rng = random.Random(f"{seed}/{track}")
    while True:
        yield from rng.sample(list(names), len(names))


def run_campaign(plan: Plan, folder: Path, only: Sequence[str] = ()) -> CampaignResult:
    """Run a campaign, from an empty machine to its result. Inject only the faults named in `only`, if any.

    Writes `timeline.jsonl`, `duplicates.jsonl`, `result.json` and the replicas' logs into the folder.
    """
    length = f"{plan.minutes:g} minutes of faults" if plan.minutes else "each kind once"
    print(f"chaos: seed {plan.seed}, {length}; artefacts in {folder}/", flush=True)
    tested = {"revision": revision(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    with Harness(plan, folder) as harness:
        harness.journal.note("began", **asdict(plan), **tested)
        inject_all(harness, [name for name in FAULTS if not only or name in only])
        print(f"  {time.time() - harness.journal.began:6.1f} s  the last fault is over", flush=True)
        result = evaluate(harness, harness.finish())
    _write(folder, plan, tested, result)
    print(console_table(asdict(result)), flush=True)
    for problem in result.problems:
        print(f"  PROBLEM: {problem}", flush=True)
    outcome = "passed" if result.passed else "FAILED"
    print(f"chaos: {outcome}; SEED={plan.seed} repeats the schedule", flush=True)
    return result


def _write(folder: Path, plan: Plan, tested: Mapping[str, str], result: CampaignResult) -> None:
    content = {"plan": asdict(plan), **tested, **asdict(result), "passed": result.passed}
    lines = [json.dumps(duplicate) + "\n" for duplicate in content.pop("duplicates")]
    (folder / "duplicates.jsonl").write_text("".join(lines))
    (folder / RESULT_FILE).write_text(json.dumps(content, indent=1) + "\n")


def inject_all(harness: Harness, names: Sequence[str]) -> None:
    """Inject these faults in rounds: first those that must repeat nothing, alone; then both tracks at once.

    A fault that has hit nothing by the end comes once more.
    """
    seed, minutes = harness.plan.seed, harness.plan.minutes
    alone = [name for name in ALONE if name in names]
    tracks = [
        [name for name in track if name in names and (minutes or name not in ONLY_ALONE_IN_SHORT_FORM)]
        for track in TRACKS
    ]
    schedules = [shuffled_rounds(track, seed, str(number)) for number, track in enumerate(tracks)]
    alone_schedule = shuffled_rounds(alone, seed, "alone")
    until = time.monotonic() + minutes * 60
    while True:
        harness.journal.alone = True
        harness.wait_until_calm()
        for name in itertools.islice(alone_schedule, len(alone)):
            _inject(harness, name)
        harness.journal.alone = False
        # What arrived in the last fault that was alone must not be in transit any more when a cut begins.
        time.sleep(IN_TRANSIT_S)
        round_end = min(until, time.monotonic() + ROUND_S) if minutes else None
        _inject_side_by_side(harness, tracks, schedules, round_end)
        if time.monotonic() >= until:
            break
        time.sleep(REQUEST_TIMEOUT_S)  # until then requests of this round end
    for name in [name for name in names if not harness.hits.get(name)]:
        _inject(harness, name)


def _inject_side_by_side(
    harness: Harness, tracks: Sequence[Sequence[str]], schedules: Sequence[Iterator[str]], until: float | None
) -> None:
    """Inject the faults of both tracks at once, until a time (monotonic) or, without one, each kind once."""

    def work(names: Sequence[str], schedule: Iterator[str]) -> None:
        count = 0
        while names and (count < len(names) if until is None else time.monotonic() < until):
            _inject(harness, next(schedule))
            count += 1

    threads = [threading.Thread(target=work, args=each) for each in zip(tracks, schedules, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _inject(harness: Harness, name: str) -> None:
    """Inject one fault. If that raises, the campaign goes on and reports a problem."""
    try:
        window = FAULTS[name](harness)
        harness.hits[name] = harness.hits.get(name, 0) + window.hits
    except Exception as error:
        harness.journal.report_problem(f"the fault {name} could not be injected: {error!r}")
        harness.journal.note("fault.failed", kind=name, trace=traceback.format_exc())
    time.sleep(PAUSE_S)
