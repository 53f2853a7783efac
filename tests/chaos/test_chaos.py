"""The campaign's schedule, and what is written of it. The campaign itself is `make chaos`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import campaign
from tests.chaos.campaign import ALONE, BRIEF, order
from tests.chaos.faults import Fault
from tests.chaos.report import BEGIN, END, MEMORY_BEGIN, MEMORY_END, write, write_memory
from tests.chaos.stage import Plan
from tests.chaos.timeline import Window


def test_a_seed_is_a_schedule() -> None:
    """The same order for the same seed, every name once in each round."""
    names = [str(number) for number in range(10)]
    first, second = order(names, 7, "p"), order(names, 7, "p")
    seen = [next(first) for _ in range(20)]

    assert seen == [next(second) for _ in range(20)]
    assert sorted(names) == sorted(seen[:10]) == sorted(seen[10:])


def test_what_the_short_form_leaves_out_beside_others_is_alone() -> None:
    """Each kind comes in the short form too."""

    assert set(ALONE) >= BRIEF


class _Stage:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.plan = Plan(seed=7)
        self.hits: dict[str, int] = {}
        self.alone = False
        self.done: list[tuple[str, bool]] = []
        self.problems: list[str] = []

    def calm(self) -> None:
        self.done.append(("calm", self.alone))

    def problem(self, text: str) -> None:
        self.problems.append(text)

    def note(self, event: str, **fields: Any) -> None:
        pass


def test_the_short_form_has_each_kind_once_those_alone_first_and_what_hit_nothing_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault that can't be made is a problem, and comes once more too."""

    def fault(name: str, *hits: int) -> Fault:
        following = iter(hits)

        def make(stage: Any) -> Window:
            stage.done.append((name, stage.alone))
            if (found := next(following)) < 0:
                raise OSError("no")
            return Window(name, 0, hits=found)

        return make

    faults = {
        "terminated": fault("terminated", 1, 1),
        "throttled": fault("throttled", 1),
        "hang": fault("hang", 0, 3),
        "drip": fault("drip", -1, 1),
    }
    for name, value in {
        "ALL": faults,
        "PROCESSES": {"terminated": 0},
        "NEIGHBOURS": {"throttled": 0, "hang": 0, "drip": 0},
        "GAP_S": 0,
    }.items():
        monkeypatch.setattr(campaign, name, value)
    stage: Any = _Stage()
    campaign._faults(stage, list(faults))

    assert ("calm", True) == stage.done[0]
    assert {("terminated", True), ("throttled", True)} == set(stage.done[1:3])
    assert {("terminated", False), ("hang", False), ("drip", False)} == set(stage.done[3:6])
    assert [("hang", False), ("drip", False)] == stage.done[6:]
    assert ["the fault drip could not be made: OSError('no')"] == stage.problems
    assert {"terminated": 2, "throttled": 1, "hang": 3, "drip": 1} == stage.hits


def _verdict(folder: Path, *problems: str, **figures: Any) -> Path:
    told = dict.fromkeys(
        (
            "lost",
            "copies_unexplained",
            "copies_behind_waiting_records",
            "commits_that_went_back",
            "dead_letter_copies",
            "faults_alone",
            "faults_without_a_hit",
            "replicas_started",
            "files_written",
        ),
        0,
    )
    told |= dict.fromkeys(
        (
            "events_produced",
            "events_accepted",
            "events_dead_lettered",
            "copies",
            "copies_bound",
            "fault_kinds",
            "peak_memory_mib",
        ),
        1,
    )
    told |= {"seconds": 60, "faults": 2, "dead_lettered_wrongly": 0, "settled_after_s": 1.5, **figures}
    told |= {"added_copies_noticed": "300 of 300", "added_copies_noticed_among_other_faults": "7 of 300"}
    window = {"kind": "hang", "start": 1, "end": 6, "hits": 9, "copies": 0, "repeats": 0}
    plan = {"seed": 7, "minutes": 1.0, "per_s": 300.0, "fault_s": 8.0, "outage_s": 40.0}
    path = folder / "verdict.json"
    path.write_text(
        json.dumps(
            {
                "plan": plan,
                "revision": "abc1234567",
                "date": "2026-01-02",
                "figures": told,
                "windows": [window],
                "problems": problems,
            }
        )
    )
    return path


def test_the_report_names_what_was_tested_and_counts_what_was_found(tmp_path: Path) -> None:
    """Revision, date, command, hits of each kind; nothing is written that was not counted. A smaller campaign replaces no larger one that passed."""
    document = tmp_path / "doc.md"
    document.write_text(f"before\n{BEGIN}\n{END}\nafter\n")

    assert write(document, _verdict(tmp_path, "a replica hung", dead_lettered_wrongly=4))
    text = document.read_text()
    assert "**It did not pass**: a replica hung." in text
    assert "Revision abc1234567, 2026-01-02." in text
    assert "`make chaos-long SEED=7 MINUTES=1 ARGS='--fault-s 8 --outage-s 40'`" in text
    assert "| Wrongly dead-lettered | 4 |" in text
    assert "| hang | 1 | 5 | 9 | 0 | 0 |" in text
    assert (text.startswith("before\n"), text.endswith("\nafter\n")) == (True, True)
    assert write(document, _verdict(tmp_path, faults=1))
    assert not write(document, _verdict(tmp_path, faults=0))


def test_the_figures_about_memory_are_written_too(tmp_path: Path) -> None:
    """Backlog, peaks and ceiling."""
    document, figures = tmp_path / "doc.md", tmp_path / "memory.json"
    document.write_text(f"a\n{MEMORY_BEGIN}\nold\n{MEMORY_END}\nb\n")
    figures.write_text(
        json.dumps(
            {
                "backlog_mb": 4145,
                "records": 5010000,
                "stopped_s": 60.0,
                "stopped_mib": 127,
                "peak_mib": 128,
                "ceiling_mib": 257,
            }
        )
    )
    write_memory(document, figures, "abc1234567, 2026-01-02")

    assert all(
        each in document.read_text()
        for each in (
            "4,145 MB",
            "5,010,000",
            "60 s",
            "127 MiB",
            "128 MiB",
            "257 MiB",
            "abc1234567, 2026-01-02",
        )
    )
    assert "old" not in document.read_text()
