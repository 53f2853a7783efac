"""`make bench`: measures, prints the tables, and writes performance.json, its plots and the generated parts of the document."""

from __future__ import annotations

import argparse
import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import report, store
from bench.figures import Results
from bench.machine import describe
from bench.plan import PARTS, QUICK, Scale, Stage, quota_runs, steps
from bench.progress import Told
from bench.tables import EVERY, goal_rows

TOLD = {
    "throughput": "throughput",
    "doors": "profile",
    "latency": "latency",
    "rates": "paced",
    "startup": "startup",
    "scaling": "scaling",
    "quota": "quota",
}
"""Tables that are printed when their part was measured."""
DOCS, SCRATCH = Path("docs"), Path(".cache/bench")
UNFINISHED = "unfinished.json"


def main() -> int:
    """The exit code: 1 where a step failed; a goal that is missed is no failure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="what the bridge costs, against what reading alone costs, in one run on one machine",
    )
    parser.add_argument("--rounds", type=int, help=f"medians of so many ({Scale().rounds})")
    parser.add_argument("--events", type=int, help=f"of 1 KB, in a topic ({Scale().events:,})")
    parser.add_argument(
        "--only",
        default="",
        help=f"parts, separated by commas: {','.join(PARTS)}; the results of the others stay as they are",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"few events and one round, into {SCRATCH}: shows that the bench works, and measures nothing",
    )
    parser.add_argument("--out", type=Path, help="the folder of the results (docs)")
    given = parser.parse_args()
    parts = tuple(given.only.split(",")) if given.only else PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    asked = {key: value for key, value in (("rounds", given.rounds), ("events", given.events)) if value}
    scale = dataclasses.replace(QUICK if given.quick else Scale(), **asked)
    command = f"make bench{'-quick' if given.quick else ''} ROUNDS={scale.rounds} EVENTS={scale.events}{f' ONLY={given.only}' if given.only else ''}"
    console = Console()
    found: Results = {}
    try:
        failed = measure(scale, parts, command, console, found)
    except BaseException:  # such as Ctrl-C: hours of measuring are not thrown away, nor do they come in the place of whole results
        store.write(SCRATCH / UNFINISHED, found)
        console.print(
            f"Not finished: what was measured so far is in {SCRATCH / UNFINISHED}.",
            highlight=False,
            soft_wrap=True,
        )
        raise
    out = given.out or (SCRATCH if given.quick else DOCS)
    store.write(out / report.DATA, merged(found, store.read(out / report.DATA) if parts != PARTS else {}))
    report.write(out, DOCS, store.read(out / report.DATA))
    tell(found, console)
    console.print(
        f"\n{out / report.DATA}, the documents and the plots are written.", highlight=False, soft_wrap=True
    )
    for failure in failed:
        console.print(f"FAILED  {failure}", style="bold red", highlight=False, markup=False)
    return 1 if failed else 0


def merged(found: Results, before: Results) -> Results:
    """What was found, and of the parts in which nothing was what stood there before."""
    good = {
        part: each
        for part, each in found.items()
        if part not in before or any(any(rounds) for rounds in each["runs"].values())
    }
    return {part: good.get(part) or before[part] for part in PARTS if part in good or part in before}


def measure(
    scale: Scale, parts: tuple[str, ...], command: str, console: Console, results: Results
) -> list[str]:
    """Fills in the results of these parts; what failed. A step that fails is told and left out; the others go on."""
    failed: list[str] = []
    revision = describe()["revision"]

    def keep(part: str, step: str, name: str, run: Callable[[], dict[str, Any]]) -> None:
        began = time.monotonic()
        if part not in results:
            results[part] = {
                "machine": {**describe(), "revision": revision},
                "command": command,
                "took_s": 0.0,
                "runs": {},
            }
        told.begins(name)
        try:
            value: dict[str, Any] | None = run()
        except Exception as error:  # one step must not cost what the others have measured
            value = None
            failed.append(f"{name}: {type(error).__name__}: {error}")
        entry = results[part]
        entry["runs"].setdefault(step, []).append(value)
        entry["took_s"] += time.monotonic() - began
        told.ended(name, "FAILED" if value is None else said(value))

    stage = Stage(scale)
    rounds = [
        [step for step in steps(stage, parts) if step.rounds is None or number <= step.rounds]
        for number in range(1, scale.rounds + 1)
    ]
    curves = len(scale.quota()) if "quota" in parts else 0
    with Told(sum(map(len, rounds)) + curves, console) as told, stage:
        for number, round_of in enumerate(rounds, 1):
            for step in round_of:
                keep(step.part, step.name, f"round {number}: {step.part} {step.name}", step.run)
        if curves:
            with quota_runs(stage) as runs:
                for scenario, run in runs:
                    keep("quota", scenario.name, f"quota: {scenario.name}", run.result)
    return failed


def said(value: dict[str, Any]) -> str:
    """A step's result in a line."""
    words = {
        "cpu_s_per_million": "{:.2f} µs CPU an event",
        "cpu_us": "{:.2f} µs CPU an event",
        "events_per_s": "{:,.0f} events/s",
        "peak_mb": "{:.0f} MB peak",
        "p50": "{:.1f} ms p50",
        "p99": "{:.1f} ms p99",
        "s": "{:.2f} s",
        "cpu_m": "{:.0f}m CPU",
    }
    return (
        ", ".join(word.format(value[key]) for key, word in words.items() if key in value)
        or f"{len(value.get('samples', ()))} samples"
    )


def tell(results: Results, console: Console) -> None:
    """The tables, as text, with the goals of what was measured first."""
    tables = [
        goal_rows(results, results),
        *(EVERY[table](results) for table, part in TOLD.items() if part in results),
    ]
    for table in tables:
        console.print("\n" + _aligned(table), highlight=False, markup=False, soft_wrap=True)


def _aligned(table: str) -> str:
    """A Markdown table with its columns below each other."""
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
        if not set("".join(row)) <= {"-", ":"}
    )


if __name__ == "__main__":
    raise SystemExit(main())
