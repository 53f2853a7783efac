"""A value out of files: a change is seen at the next call, and a file that can't be used changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.config.reloading import FileValue
from bridge.config.secret_files import read_secret


class Watched:
    """Two files that are read into a list, with counts of what happened."""

    def __init__(self, folder: Path) -> None:
        self.files = [folder / "one", folder / "two"]
        for file in self.files:
            file.write_text(f"{file.name}-1\n")
        self.reads = self.changes = 0
        self.problems: list[str] = []
        self.current = FileValue(self.files, self._read, self._changed, self.problems.append)

    def _read(self) -> list[str]:
        self.reads += 1
        return [read_secret(file) for file in self.files]

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_nothing_is_read_while_no_file_changes(watched: Watched) -> None:
    """It is called for each request; the same object lets the caller skip its own work, too."""
    first = watched.current()

    assert first == ["one-1", "two-1"]
    assert all(watched.current() is first for _ in range(10))
    assert watched.reads == 1
    assert watched.changes == 0


def in_place(file: Path, text: str) -> None:
    file.write_text(text)


def swapped(file: Path, text: str) -> None:
    """Put another file of the same name there in one step, as Kubernetes does."""
    other = file.with_suffix(".new")
    other.write_text(text)
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize(("write", "text"), [(in_place, "two-number-2"), (swapped, "two-2")])
def test_a_change_is_seen_at_once(watched: Watched, write: Callable[[Path, str], None], text: str) -> None:
    """Whether the file is written over, or replaced by one of the same size and age."""
    write(watched.files[1], text)

    assert watched.current() == ["one-1", text]
    assert watched.current() is watched.current()
    assert watched.reads == 2
    assert watched.changes == 1
    assert watched.problems == []


def test_a_new_file_with_the_same_content_is_no_change(watched: Watched) -> None:
    """Kubernetes replaces all files of a Secret when one of them changes."""
    first = watched.current()
    swapped(watched.files[0], "one-1\n")

    assert watched.current() is first
    assert watched.reads == 2
    assert watched.changes == 0


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda file: file.unlink(), "No such file"),
        (lambda file: file.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda file: file.write_text(""), "is empty"),
    ],
)
def test_a_file_that_cannot_be_used_leaves_the_last_value_in_force(
    watched: Watched, spoil: Callable[[Path], object], expected: str
) -> None:
    """A writer may be half way through. The problem is reported once, and not with each request."""
    first = watched.current()
    spoil(watched.files[0])

    assert all(watched.current() is first for _ in range(3))
    assert len(watched.problems) == 1
    assert expected in watched.problems[0]

    watched.files[0].write_text("one-2")
    assert watched.current() == ["one-2", "two-1"]
    assert len(watched.problems) == 1
    assert watched.changes == 1


def test_a_file_that_cannot_be_used_at_first_is_an_error(tmp_path: Path) -> None:
    """There is no last value yet, and a wrong configuration fails at start."""
    with pytest.raises(OSError, match="No such file"):
        FileValue([tmp_path / "nowhere"], lambda: read_secret(tmp_path / "nowhere"))
