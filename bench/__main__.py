"""The command line of `make bench`: measure, print the tables, write the JSON file and the documents."""

from __future__ import annotations

import argparse
import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.environment.machine import describe
from bench.plan import PARTS, Step, quota_runs, steps
from bench.progress import StepProgress
from bench.report import document
from bench.report.results import Results, read, write
from bench.report.tables import ALL_TABLES, goal_table
from bench.scale import QUICK, Scale
from bench.stage import Stage

PRINTED = {
    "throughput": "throughput",
    "profile": "parts",
    "latency": "latency",
    "steady": "rates",
    "startup": "startup",
    "scaling": "scaling",
    "quota": "quota",
}
"""Part → the table that is printed when it was measured."""
DOCS, SCRATCH = Path("docs"), Path(".cache/bench")
UNFINISHED = SCRATCH / "unfinished.json"


def main() -> int:
    """Return the exit code: 1 where a step failed. A goal that is missed is no failure."""
    options = _options()
    parts = tuple(options.only.split(",")) if options.only else PARTS
    changes = {"rounds": options.rounds, "events": options.events}
    scale = dataclasses.replace(
        QUICK if options.quick else Scale(), **{name: value for name, value in changes.items() if value}
    )
    target = "make bench-quick" if options.quick else "make bench"
    only = f" ONLY={options.only}" if options.only else ""
    command = f"{target} ROUNDS={scale.rounds} EVENTS={scale.events}{only}"
    console = Console()
    results: Results = {}
    try:
        failures = measure(scale, parts, command, console, results)
    except BaseException:
        # Ctrl-C after hours: what was measured is kept, but does not take the place of complete results.
        write(UNFINISHED, results)
        message = f"Not finished: what was measured so far is in {UNFINISHED}."
        console.print(message, highlight=False, soft_wrap=True)
        raise
    out = options.out or (SCRATCH if options.quick else DOCS)
    data = out / document.DATA
    write(data, merge(results, read(data) if parts != PARTS else {}))
    document.write(out, DOCS, read(data))
    _print_tables(results, console)
    console.print(f"\nWrote {data}, the documents and the plots.", highlight=False, soft_wrap=True)
    for failure in failures:
        console.print(f"FAILED  {failure}", style="bold red", highlight=False, markup=False)
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure what the bridge costs, beside what reading alone costs.",
    )
    parser.add_argument("--rounds", type=int, help=f"how many rounds ({Scale().rounds})")
    parser.add_argument(
        "--events", type=int, help=f"how many events of 1 KB a topic has ({Scale().events:,})"
    )
    parser.add_argument(
        "--only",
        default="",
        help=f"parts to measure, separated by commas: {','.join(PARTS)}; the results of the others are kept",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one round with few events, into {SCRATCH}: shows that the bench works, measures nothing",
    )
    parser.add_argument("--out", type=Path, help="the folder for the results (docs)")
    options = parser.parse_args()
    unknown = sorted(set(options.only.split(",")) - set(PARTS)) if options.only else []
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    return options


def merge(results: Results, before: Results) -> Results:
    """Return the new results, with those from before for each part without a good new round."""
    good = {
        part: each
        for part, each in results.items()
        if part not in before or any(any(rounds) for rounds in each["runs"].values())
    }
    return {part: good.get(part) or before[part] for part in PARTS if part in good or part in before}


def measure(
    scale: Scale, parts: tuple[str, ...], command: str, console: Console, results: Results
) -> list[str]:
    """Measure these parts into `results`, and return what failed.

    The steps after one that failed still run.
    """
    failures: list[str] = []
    revision = describe()["revision"]

    def keep(part: str, step: str, name: str, run: Callable[[], dict[str, Any]]) -> None:
        started = time.monotonic()
        if part not in results:
            machine = {**describe(), "revision": revision}
            results[part] = {"machine": machine, "command": command, "took_s": 0.0, "runs": {}}
        progress.step_begins(name)
        try:
            figures: dict[str, Any] | None = run()
        except Exception as error:  # a failed step must not cost what the others measure
            figures = None
            failures.append(f"{name}: {type(error).__name__}: {error}")
        entry = results[part]
        entry["runs"].setdefault(step, []).append(figures)
        entry["took_s"] += time.monotonic() - started
        progress.step_ended(name, "FAILED" if figures is None else _one_line(figures))

    stage = Stage(scale)
    rounds = [_steps_of_round(stage, parts, number) for number in range(1, scale.rounds + 1)]
    scenario_count = len(scale.quota_scenarios()) if "quota" in parts else 0
    with StepProgress(sum(map(len, rounds)) + scenario_count, console) as progress, stage:
        for number, round_steps in enumerate(rounds, 1):
            for step in round_steps:
                keep(step.part, step.name, f"round {number}: {step.part} {step.name}", step.run)
        if scenario_count:
            with quota_runs(stage) as runs:
                for scenario, run in runs:
                    keep("quota", scenario.name, f"quota: {scenario.name}", run.result)
    return failures


def _steps_of_round(stage: Stage, parts: tuple[str, ...], number: int) -> list[Step]:
    return [step for step in steps(stage, parts) if step.rounds is None or number <= step.rounds]


def _one_line(figures: dict[str, Any]) -> str:
    """Return a step's figures in one line."""
    formats = {
        "cpu_s_per_million": "{:.2f} µs CPU per event",
        "cpu_us": "{:.2f} µs CPU per event",
        "events_per_s": "{:,.0f} events/s",
        "peak_mb": "{:.0f} MB peak",
        "p50": "{:.1f} ms p50",
        "p99": "{:.1f} ms p99",
        "s": "{:.2f} s",
        "cpu_m": "{:.0f}m CPU",
    }
    texts = [text.format(figures[key]) for key, text in formats.items() if key in figures]
    return ", ".join(texts) or f"{len(figures.get('samples', ()))} samples"


def _print_tables(results: Results, console: Console) -> None:
    """Print the goals of the parts that were measured, then the table of each part."""
    tables = [goal_table(results, results)]
    tables += [ALL_TABLES[table](results) for part, table in PRINTED.items() if part in results]
    for table in tables:
        console.print("\n" + _aligned(table), highlight=False, markup=False, soft_wrap=True)


def _aligned(table: str) -> str:
    """Return a Markdown table with its columns aligned, as text."""
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        if not set("".join(row)) <= {"-", ":"}:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
