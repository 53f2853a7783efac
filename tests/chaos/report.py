"""How a campaign is shown: as a table on the console, and as the figures in docs/reliability.md.

Nobody writes those by hand. `python -m tests.chaos.report DOCUMENT FIGURES` writes the figures of `make
memory-long`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"
MEMORY_BEGIN, MEMORY_END = "<!-- memory: begin -->", "<!-- memory: end -->"
FAILED_MARK = "It did not pass"


def revision() -> str:
    """Return what is tested, as git names it; with a `+` if files of the bridge differ from that commit."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        root = Path(__file__).parents[2]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "bridge")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_campaign(document: Path, result_file: Path) -> bool:
    """Replace the part between the marks, and say whether that was done.

    It is not done if the campaign that stands there passed and had more faults.
    """
    written = document.read_text().partition(BEGIN)[2].partition(END)[0]
    result = json.loads(result_file.read_text())
    faults = re.search(r"faults=(\d+)", written)
    if faults and FAILED_MARK not in written and int(faults[1]) > result["figures"]["faults"]:
        return False
    _replace(document, BEGIN, END, render(result))
    return True


def write_memory(document: Path, figures_file: Path, tested: str) -> None:
    """Replace the part about memory. `tested` is the revision and the date."""
    figures = json.loads(figures_file.read_text())
    backlog = f"{figures['backlog_mb']:,} MB in Kafka ({figures['records']:,} records)"
    stopped_s, stopped_mib, peak_mib = figures["stopped_s"], figures["stopped_mib"], figures["peak_mib"]
    text = (
        f"With {backlog} and an AEP that left every request without an answer for {stopped_s:g} s, "
        f"the peak of the process was {stopped_mib} MiB; {peak_mib} MiB after delivery had begun; "
        f"its printed ceiling is {figures['ceiling_mib']} MiB. "
        f"Revision {tested}; repeated by `make memory-long`.\n"
    )
    _replace(document, MEMORY_BEGIN, MEMORY_END, text)


def _replace(document: Path, begin: str, end: str, content: str) -> None:
    before, rest = document.read_text().split(begin)
    document.write_text(before + begin + "\n" + content + end + rest.split(end)[1])


def render(result: Mapping[str, Any]) -> str:
    """Return the campaign as Markdown."""
    plan, figures = result["plan"], result["figures"]
    seed = f"Seed {plan['seed']}, {plan['per_s']:g} events a second; repeated by `{_make_command(plan)}`."
    tested = f"Revision {result['revision']}, {result['date']}."
    lines = [f"<!-- faults={figures['faults']} -->", "", f"{seed} {tested}", ""]
    if result["problems"]:
        lines += [*(f"**{FAILED_MARK}**: {problem}." for problem in result["problems"]), ""]
    lines += ["| | |", "|---|---|", *(f"| {label} | {value} |" for label, value in _rows(figures)), ""]
    lines += ["| fault | times | seconds | hits | duplicates | bound |", "|---|---:|---:|---:|---:|---:|"]
    for kind, total in _totals_by_kind(result["windows"]).items():
        numbers = f"{total['hits']:,} | {total['duplicates']:,} | {total['allowed_duplicates']:,}"
        lines.append(f"| {kind} | {total['times']} | {total['seconds']:.0f} | {numbers} |")
    return "\n".join([*lines, "", ""])


def _make_command(plan: Mapping[str, Any]) -> str:
    if not plan["minutes"]:
        return f"make chaos SEED={plan['seed']}"
    arguments = f"--fault-s {plan['fault_s']:g} --outage-s {plan['outage_s']:g}"
    return f"make chaos-long SEED={plan['seed']} MINUTES={plan['minutes']:g} ARGS='{arguments}'"


def _rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    waited = "… behind an older record that waited when its partition was handed over"
    return [
        ("Duration of the faults", f"{figures['seconds'] / 60:.1f} minutes"),
        ("Events produced", f"{figures['events_produced']:,}"),
        ("… accepted by AEP", f"{figures['events_accepted']:,}"),
        ("… in the dead-letter topic", f"{figures['events_dead_lettered']:,}"),
        ("Lost", f"{figures['lost']:,}"),
        ("Wrongly dead-lettered", f"{figures['dead_lettered_wrongly']:,}"),
        ("Duplicates", f"{figures['duplicates']:,} of at most {figures['duplicates_bound']:,}"),
        (waited, f"{figures['duplicates_behind_waiting_records']:,}"),
        ("… without a fault that explains them", f"{figures['duplicates_unexplained']:,}"),
        ("Commits that brokers' trouble undid", f"{figures['commits_that_went_back']:,}"),
        ("Duplicates of dead letters", f"{figures['dead_letter_duplicates']:,}"),
        ("Faults, kinds of faults", f"{figures['faults']:,}, {figures['fault_kinds']}"),
        ("… alone, with a bound of 0 duplicates", f"{figures['faults_alone']:,}"),
        ("… that hit nothing", f"{figures['faults_without_a_hit']:,}"),
        ("Duplicates added to the faults alone that are noticed", figures["added_duplicates_noticed"]),
        ("… to the same faults among others", figures["added_duplicates_noticed_among_other_faults"]),
        ("Replicas started", f"{figures['replicas_started']:,}"),
        ("Everything settled after the last fault", f"{figures['settled_after_s']:g} s"),
        ("Files opened for writing", f"{figures['files_written']:,}"),
        ("Largest peak of a replica's memory", f"{figures['peak_memory_mib']} MiB"),
    ]


def _totals_by_kind(windows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the sums over all faults of a kind, in the order of the kinds."""
    totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(int))
    for window in sorted(windows, key=lambda window: window["kind"]):
        total = totals[window["kind"]]
        total["times"] += 1
        total["seconds"] += window["end"] - window["start"]
        for name in ("hits", "duplicates", "allowed_duplicates"):
            total[name] += window[name]
    return totals


def console_table(result: Mapping[str, Any]) -> str:
    """Return the faults by kind, and the figures, as text."""
    lines = [f"  {'fault':<26}{'times':>6}{'seconds':>9}{'hits':>8}{'duplicates':>12}{'bound':>8}"]
    for kind, total in _totals_by_kind(result["windows"]).items():
        times, seconds = f"{total['times']:>6}", f"{total['seconds']:>9.0f}"
        numbers = f"{total['hits']:>8}{total['duplicates']:>12}{total['allowed_duplicates']:>8}"
        lines.append(f"  {kind:<26}{times}{seconds}{numbers}")
    lines.append("")
    for name, value in result["figures"].items():
        if not isinstance(value, dict):
            lines.append(f"  {name.replace('_', ' '):<42}{value!s:>18}")
    return "\n".join(lines)


if __name__ == "__main__":
    write_memory(Path(sys.argv[1]), Path(sys.argv[2]), f"{revision()}, {datetime.now(UTC):%Y-%m-%d}")
