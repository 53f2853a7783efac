"""`python -m tests.chaos`: run a campaign; with `--write DOCUMENT`, write its figures into the document."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
from pathlib import Path

from tests.chaos.campaign import FAULTS, RESULT_FILE, run_campaign
from tests.chaos.harness import Plan
from tests.chaos.report import write_campaign


def main() -> int:
    """Return the exit code: 0 if the campaign passed, 1 otherwise."""
    arguments = _parser().parse_args()
    folder = arguments.out / f"seed-{arguments.seed}"
    shutil.rmtree(folder, ignore_errors=True)
    long_form = arguments.minutes > 0
    plan = Plan(
        seed=arguments.seed,
        minutes=arguments.minutes,
        per_s=arguments.per_s,
        fault_s=arguments.fault_s or (12 if long_form else 4),
        outage_s=arguments.outage_s or (60 if long_form else 8),
    )
    result = run_campaign(plan, folder, arguments.only)
    if arguments.write and result.passed:
        write_campaign(arguments.write, folder / RESULT_FILE)
    return 0 if result.passed else 1


def _parser() -> argparse.ArgumentParser:
    description = "a fault campaign against real processes"
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=description)
    seed = int(os.environ.get("SEED") or secrets.randbelow(1_000_000))
    parser.add_argument("--seed", type=int, default=seed)
    long_help = "how long faults go on; without it each kind of fault comes once"
    parser.add_argument("--minutes", type=float, default=0, help=long_help)
    parser.add_argument("--per-s", type=float, default=300, help="events per second")
    parser.add_argument(
        "--fault-s", type=float, default=0, help="seconds of a fault that lasts (4; 12 with --minutes)"
    )
    parser.add_argument(
        "--outage-s", type=float, default=0, help="seconds of an AEP outage (8; 60 with --minutes)"
    )
    only_help = "inject this fault only (may be given several times)"
    parser.add_argument("--only", action="append", default=[], choices=[*FAULTS], help=only_help)
    parser.add_argument("--out", type=Path, default=Path("chaos-out"))
    write_help = "replace the marked part of this document, if the campaign passed and is the largest so far"
    parser.add_argument("--write", type=Path, help=write_help)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
