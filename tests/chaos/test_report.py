"""What is written of a campaign into docs/reliability.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.chaos.report import BEGIN, END, MEMORY_BEGIN, MEMORY_END, write_campaign, write_memory

FIGURES: dict[str, Any] = {
    "seconds": 60,
    "events_produced": 1,
    "events_accepted": 1,
    "events_dead_lettered": 1,
    "duplicates": 1,
    "duplicates_bound": 1,
    "duplicates_behind_waiting_records": 0,
    "duplicates_unexplained": 0,
    "dead_letter_duplicates": 0,
    "lost": 0,
    "dead_lettered_wrongly": 0,
    "commits_that_went_back": 0,
    "faults": 2,
    "faults_alone": 0,
    "fault_kinds": 1,
    "faults_without_a_hit": 0,
    "added_duplicates_noticed": "300 of 300",
    "added_duplicates_noticed_among_other_faults": "7 of 300",
    "replicas_started": 0,
    "settled_after_s": 1.5,
    "files_written": 0,
    "peak_memory_mib": 1,
}


def result_file(folder: Path, *problems: str, **figures: Any) -> Path:
    """Write the result of a campaign with one fault, and return its path."""
    window = {"kind": "hang", "start": 1, "end": 6, "hits": 9, "duplicates": 0, "allowed_duplicates": 0}
    content = {
        "plan": {"seed": 7, "minutes": 1.0, "per_s": 300.0, "fault_s": 8.0, "outage_s": 40.0},
        "revision": "abc1234567",
        "date": "2026-01-02",
        "figures": FIGURES | figures,
        "windows": [window],
        "problems": problems,
    }
    path = folder / "result.json"
    path.write_text(json.dumps(content))
    return path


def test_the_report_names_what_was_tested_and_what_was_found(tmp_path: Path) -> None:
    """It has revision, date, command, problems, and hits of each kind. The text around the marks stays."""
    document = tmp_path / "doc.md"
    document.write_text(f"before\n{BEGIN}\n{END}\nafter\n")

    assert write_campaign(document, result_file(tmp_path, "a replica hung", dead_lettered_wrongly=4))
    text = document.read_text()
    assert "**It did not pass**: a replica hung." in text
    assert "Revision abc1234567, 2026-01-02." in text
    assert "`make chaos-long SEED=7 MINUTES=1 ARGS='--fault-s 8 --outage-s 40'`" in text
    assert "| Wrongly dead-lettered | 4 |" in text
    assert "| hang | 1 | 5 | 9 | 0 | 0 |" in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")


def test_a_smaller_campaign_replaces_no_larger_one_that_passed(tmp_path: Path) -> None:
    """It does replace a larger one that did not pass."""
    document = tmp_path / "doc.md"
    document.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    write_campaign(document, result_file(tmp_path, "a replica hung"))

    assert write_campaign(document, result_file(tmp_path, faults=1))
    assert not write_campaign(document, result_file(tmp_path, faults=0))


def test_the_figures_about_memory_are_written_too(tmp_path: Path) -> None:
    """Backlog, peaks, ceiling and revision replace what stood between the marks."""
    document, figures = tmp_path / "doc.md", tmp_path / "memory.json"
    document.write_text(f"a\n{MEMORY_BEGIN}\nold\n{MEMORY_END}\nb\n")
    measured = {
        "backlog_mb": 4145,
        "records": 5010000,
        "stopped_s": 60.0,
        "stopped_mib": 127,
        "peak_mib": 128,
        "ceiling_mib": 257,
    }
    figures.write_text(json.dumps(measured))
    write_memory(document, figures, "abc1234567, 2026-01-02")
    text = document.read_text()

    shown = ("4,145 MB", "5,010,000", "60 s", "127 MiB", "128 MiB", "257 MiB", "abc1234567, 2026-01-02")
    assert [part for part in shown if part not in text] == []
    assert "old" not in text
