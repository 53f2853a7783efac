"""The figures of the largest campaign, in docs/reliability.md: written by this, never by hand."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"


def write(document: Path, verdict: Path) -> bool:
    """Replaces the part between the marks, unless the campaign told there had more faults. Whether it did."""
    text = document.read_text()
    before, rest = text.split(BEGIN)
    told, after = rest.split(END)
    found = json.loads(verdict.read_text())
    known = re.search(r"faults=(\d+)", told)
    if known and int(known[1]) > found["figures"]["faults"]:
        return False
    document.write_text(before + BEGIN + "\n" + render(found) + END + after)
    return True


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
        ("Wrongly dead-lettered", "0"),
        ("Copies, all explained by the timeline", f"{figures['copies']:,} of at most {figures['copies_bound']:,}"),
        ("Copies of dead letters", f"{figures['dead_letter_copies']:,}"),
        ("Faults, kinds of faults", f"{figures['faults']:,}, {figures['fault_kinds']}"),
        ("Replicas started", f"{figures['replicas_started']:,}"),
        ("Everything settled after the last fault", f"{figures['settled_after_s']:g} s"),
        ("Files opened for writing", f"{figures['files_written']:,}"),
        ("Largest peak of a replica's memory", f"{figures['peak_memory_mib']} MiB"),
    ]
    long = f"make chaos-long SEED={plan['seed']} MINUTES={plan['minutes']:g} ARGS='--fault-s {plan['fault_s']:g} --outage-s {plan['outage_s']:g}'"
    command = long if plan["minutes"] else f"make chaos SEED={plan['seed']}"
    lines = [f"<!-- faults={figures['faults']} -->", "", f"Seed {plan['seed']}, {plan['per_s']:g} events a second; repeated by `{command}`.", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]
    lines += ["| fault | times | seconds | copies | bound |", "|---|---:|---:|---:|---:|"]
    for kind, windows in sorted(kinds.items()):
        seconds = sum(window["end"] - window["start"] for window in windows)
        lines.append(f"| {kind} | {len(windows)} | {seconds:.0f} | {sum(w['copies'] for w in windows):,} | {sum(w['repeats'] for w in windows):,} |")
    return "\n".join([*lines, "", ""])
