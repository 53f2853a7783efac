"""`aep-bridge demo`: what it tells at its end, in one run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bridge.cli.demo import _print
from bridge.demo.demo import Demo, Report, as_json

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
    """One for all tests: it takes some seconds."""
    return Demo(400).run()


def test_every_event_is_accounted_for(report: Report) -> None:
    """In AEP or in a dead-letter topic, once."""
    assert ([], [], 0, 400) == (
        report.lost,
        report.wrongly_dead,
        report.duplicates,
        report.accepted + len(report.dead),
    )


def test_the_first_dead_letters_are_told_with_all_their_headers(report: Report) -> None:
    """One of each kind, for scripts: the record's own header first, then ours, in order."""
    letters = as_json(report)["first_dead_letters"]

    assert sorted({letter.kind for letter in report.dead}) == sorted(
        letter.kind for letter in report.first_of_each_kind()
    )
    assert 3 <= len(letters) <= 4
    for letter in letters:
        names = [name for name, _ in letter["headers"]]
        assert letter["headers"][0] == ["sample", "1"]
        assert set(OURS) < set(names)
        assert letter["headers"] == [
            list(pair) for each in report.dead if each.key == letter["key"] for pair in each.headers
        ]


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_them_too(report: Report, width: int) -> None:
    """Every header of each, whole lines of them, none broken, only long values without their middle."""
    console = Console(file=io.StringIO(), width=width)
    _print(report, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()

    for letter in report.first_of_each_kind():
        start = next(
            at for at, line in enumerate(lines) if line.startswith(f"{letter.topic}, key {letter.key}: ")
        )
        shown = "  ".join(
            line.strip() for line in lines[start + 1 : lines.index("", start)] if line.startswith("    ")
        )
        assert [name for name, _ in letter.headers] == [part.split("=")[0] for part in shown.split("  ")]
        assert f"aep.reason={letter.header('aep.reason')}  " in f"{shown}  "
        assert "__connect.errors.topic=" + letter.header("__connect.errors.topic") in shown
    assert max(len(line) for line in lines if line.startswith("    ") and len(line.split("  ")) > 3) <= width
