"""`python -m tests.chaos`: runs a campaign, or writes its figures into docs/reliability.md."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
from pathlib import Path

from tests.chaos.campaign import ALL, run
from tests.chaos.report import write
from tests.chaos.stage import Plan


def main() -> int:
    """The exit code: 0 where nothing was wrong, 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="a fault campaign against real processes"
    )
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("SEED") or secrets.randbelow(1_000_000))
    )
    parser.add_argument(
        "--minutes", type=float, default=0, help="how long faults go on; without it each kind comes once"
    )
    parser.add_argument("--per-s", type=float, default=300, help="events a second")
    parser.add_argument(
        "--fault-s", type=float, default=0, help="seconds of a fault that lasts (4, with --minutes 12)"
    )
    parser.add_argument(
        "--outage-s", type=float, default=0, help="seconds of an AEP outage (8, with --minutes 60)"
    )
    parser.add_argument(
        "--only", action="append", default=[], choices=[*ALL], help="this fault (may be given several times)"
    )
    parser.add_argument("--out", type=Path, default=Path("chaos-out"))
    parser.add_argument(
        "--write",
        type=Path,
        help="a document whose marked part is replaced with this campaign's figures, if it passed and is the largest",
    )
    given = parser.parse_args()
    folder = given.out / f"seed-{given.seed}"
    shutil.rmtree(folder, ignore_errors=True)
    long = given.minutes > 0
    plan = Plan(
        seed=given.seed, minutes=given.minutes, per_s=given.per_s,
        fault_s=given.fault_s or (12 if long else 4), outage_s=given.outage_s or (60 if long else 8),
    )  # fmt: skip
    verdict = run(plan, folder, given.only)
    if given.write and verdict.passed:
        write(given.write, folder / "verdict.json")
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
