"""`python -m tests.simulation`: many histories, one of them step by step, or the mutants."""

from __future__ import annotations

import argparse
import os
import sys
import traceback

from tests.simulation.campaign import campaign
from tests.simulation.mutant_hunt import hunt_all_mutants, table, write
from tests.simulation.world import simulate


def main() -> int:
    """0: the contract held; 1: it did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed; the others follow it")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--seed", type=int, help="replays one history, with every step")
    parser.add_argument(
        "--mutants", action="store_true", help="how many histories it takes to catch each deliberate bug"
    )
    parser.add_argument("--write", help="with --mutants: the document whose table is replaced")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        return _replay(chosen.seed)
    if chosen.mutants:
        outcomes = hunt_all_mutants(chosen.processes, limit=4000, narrate=print)
        if chosen.write:
            write(chosen.write, table(outcomes))
        return 0 if all(each.seed is not None for each in outcomes) else 1
    report = campaign(range(chosen.first, chosen.first + chosen.histories), chosen.processes, _progress)
    print("\n".join(report.lines()))
    return 1 if report.failures else 0


def _progress(done: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done:,}", end="", file=sys.stderr, flush=True)


def _replay(seed: int) -> int:
    try:
        print(simulate(seed, print))
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
