"""The figures in docs/reliability.md: written by this, never by hand. `python -m tests.chaos.report DOCUMENT FIGURES` writes those of `make memory-long`."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.campaign import revision

BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"
MEMORY_BEGIN, MEMORY_END = "<!-- memory: begin -->", "<!-- memory: end -->"


def write(document: Path, verdict: Path) -> bool:
    """Replaces the part between the marks, unless the campaign told there passed and had more faults. Whether it did."""
    told = document.read_text().partition(BEGIN)[2].partition(END)[0]
    found = json.loads(verdict.read_text())
    known = re.search(r"faults=(\d+)", told)
    if known and "It did not pass" not in told and int(known[1]) > found["figures"]["faults"]:
        return False
    _replace(document, BEGIN, END, render(found))
    return True


def write_memory(document: Path, figures: Path, revised: str) -> None:
    """Replaces the part about memory."""
    found = json.loads(figures.read_text())
    text = (
        f"With {found['backlog_mb']:,} MB in Kafka ({found['records']:,} records) and an AEP that left every request without an answer for "
        f"{found['stopped_s']:g} s, the peak of the process was {found['stopped_mib']} MiB; {found['peak_mib']} MiB after delivery had begun; "
        f"its printed ceiling is {found['ceiling_mib']} MiB. Revision {revised}; repeated by `make memory-long`.\n"
    )
    _replace(document, MEMORY_BEGIN, MEMORY_END, text)


def _replace(document: Path, begin: str, end: str, content: str) -> None:
    before, rest = document.read_text().split(begin)
    document.write_text(before + begin + "\n" + content + end + rest.split(end)[1])


def render(found: dict[str, Any]) -> str:
    """Markdown."""
    plan, figures = found["plan"], found["figures"]
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for window in found["windows"]:
        kinds[window["kind"]].append(window)
    rows = [
        ("Duration of the faults", f"{figures['seconds'] / 60:.1f} minutes"),
        ("Events produced", f"{figures['events_produced']:,}"),
        ("… accepted by AEP", f"{figures['events_accepted']:,}"),
        ("… in the dead-letter topic", f"{figures['events_dead_lettered']:,}"),
        ("Lost", f"{figures['lost']:,}"),
        ("Wrongly dead-lettered", f"{figures['dead_lettered_wrongly']:,}"),
        ("Copies", f"{figures['copies']:,} of at most {figures['copies_bound']:,}"),
        (
            "… behind an older record that waited when its partition was handed over",
            f"{figures['copies_behind_waiting_records']:,}",
        ),
        ("… without a fault that explains them", f"{figures['copies_unexplained']:,}"),
        ("Commits that brokers' trouble undid", f"{figures['commits_that_went_back']:,}"),
        ("Copies of dead letters", f"{figures['dead_letter_copies']:,}"),
        ("Faults, kinds of faults", f"{figures['faults']:,}, {figures['fault_kinds']}"),
        ("… alone, with a bound of 0 copies", f"{figures['faults_alone']:,}"),
        ("… that hit nothing", f"{figures['faults_without_a_hit']:,}"),
        ("Copies added to the faults alone that the verdict notices", figures["added_copies_noticed"]),
        ("… to the same faults among others", figures["added_copies_noticed_among_other_faults"]),
        ("Replicas started", f"{figures['replicas_started']:,}"),
        ("Everything settled after the last fault", f"{figures['settled_after_s']:g} s"),
        ("Files opened for writing", f"{figures['files_written']:,}"),
        ("Largest peak of a replica's memory", f"{figures['peak_memory_mib']} MiB"),
    ]
    long = f"make chaos-long SEED={plan['seed']} MINUTES={plan['minutes']:g} ARGS='--fault-s {plan['fault_s']:g} --outage-s {plan['outage_s']:g}'"
    command = long if plan["minutes"] else f"make chaos SEED={plan['seed']}"
    lines = [
        f"<!-- faults={figures['faults']} -->",
        "",
        f"Seed {plan['seed']}, {plan['per_s']:g} events a second; repeated by `{command}`.",
        "",
    ]
    lines[2] += f" Revision {found['revision']}, {found['date']}."
    lines += [f"**It did not pass**: {problem}." for problem in found["problems"]] + [""] * bool(
        found["problems"]
    )
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]
    lines += ["| fault | times | seconds | hits | copies | bound |", "|---|---:|---:|---:|---:|---:|"]
    for kind, windows in sorted(kinds.items()):
        seconds = sum(window["end"] - window["start"] for window in windows)
        hits, copies, bound = (
            sum(window[name] for window in windows) for name in ("hits", "copies", "repeats")
        )
        lines.append(f"| {kind} | {len(windows)} | {seconds:.0f} | {hits:,} | {copies:,} | {bound:,} |")
    return "\n".join([*lines, "", ""])


if __name__ == "__main__":
    write_memory(Path(sys.argv[1]), Path(sys.argv[2]), f"{revision()}, {datetime.now(UTC):%Y-%m-%d}")
