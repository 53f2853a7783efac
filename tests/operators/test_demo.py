"""`aep-bridge demo`: what it says at its end, in one run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bridge.cli.demo import print_report
from bridge.demo.demo import Demo
from bridge.demo.report import Report

OURS = [
    "__connect.errors.topic",
    "__connect.errors.offset",
    "aep.status",
    "aep.error",
    "aep.reason",
    "aep.inlet.id",
    "aep.dataset.id",
    "aep.replay.count",
]


@pytest.fixture(scope="module")
def report() -> Report:
    """One run for all tests: it takes some seconds."""
    return Demo(400).run()


def test_every_event_is_accounted_for(report: Report) -> None:
    """Each is in AEP or in a dead-letter topic, once."""
    assert report.lost == []
    assert report.wrongly_dead_lettered == []
    assert report.duplicates == 0
    assert report.accepted + len(report.dead_letters) == 400
    assert report.retries > 0


def test_the_first_dead_letters_are_shown_with_all_their_headers(report: Report) -> None:
    """One of each kind, for scripts: the record's own header first, then ours, in order."""
    letters = report.as_json()["first_dead_letters"]
    kinds = {letter.kind for letter in report.dead_letters}

    assert sorted(letter.kind for letter in report.first_of_each_kind()) == sorted(kinds)
    assert 3 <= len(letters) <= 4
    for letter in letters:
        headers = [
            list(pair) for each in report.dead_letters if each.key == letter["key"] for pair in each.headers
        ]
        assert letter["headers"] == headers
        assert letter["headers"][0] == ["sample", "1"]
        assert set(OURS) < {name for name, _ in letter["headers"]}


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_them_too(report: Report, width: int) -> None:
    """Every header of each is there, in whole lines, none broken; only long values lack their middle."""
    console = Console(file=io.StringIO(), width=width)
    print_report(report, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()

    for letter in report.first_of_each_kind():
        title = f"{letter.topic}, key {letter.key}: "
        start = next(number for number, line in enumerate(lines) if line.startswith(title))
        end = lines.index("", start)
        shown = "  ".join(line.strip() for line in lines[start + 1 : end] if line.startswith("    "))
        assert [part.split("=")[0] for part in shown.split("  ")] == [name for name, _ in letter.headers]
        assert f"aep.reason={letter.header('aep.reason')}  " in f"{shown}  "
        assert "__connect.errors.topic=" + letter.header("__connect.errors.topic") in shown
    assert max(len(line) for line in lines if line.startswith("    ") and len(line.split("  ")) > 3) <= width
