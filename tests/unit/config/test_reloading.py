"""What comes out of files, and the files change: the next one who asks gets the new value, and one that can't be used changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.config.reloading import FileValue
from bridge.config.secret_files import read_secret


class Watched:
    """Two files, read into a list, and what was told of them."""

    def __init__(self, folder: Path) -> None:
        self.files = [folder / "one", folder / "two"]
        for file in self.files:
            file.write_text(f"{file.name}-1\n")
        self.reads = self.changes = 0
        self.problems: list[str] = []
        self.now = FileValue(self.files, self._read, self._changed, self.problems.append)

    def _read(self) -> list[str]:
        self.reads += 1
        return [read_secret(file) for file in self.files]

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_nothing_is_read_while_no_file_changes(watched: Watched) -> None:
    """The same object, however often one asks."""
    first = watched.now()

    assert ["one-1", "two-1"] == first
    assert all(watched.now() is first for _ in range(10))
    assert (1, 0) == (watched.reads, watched.changes)


def in_place(file: Path, text: str) -> None:
    file.write_text(text)


def swapped(file: Path, text: str) -> None:
    """As Kubernetes does: another file of the same name, in one step."""
    other = file.with_suffix(".new")
    other.write_text(text)
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize("write", [in_place, swapped])
def test_a_change_is_seen_at_once(watched: Watched, write: Callable[[Path, str], None]) -> None:
    """Written over, or put in its place with the same size and age; the files that did not change keep their values."""
    write(watched.files[1], "two-2\n" if write is swapped else "two-number-2")

    assert ["one-1", "two-2" if write is swapped else "two-number-2"] == watched.now()
    assert watched.now() is watched.now()
    assert (2, 1, []) == (watched.reads, watched.changes, watched.problems)


def test_a_file_that_is_put_there_anew_with_the_same_content_is_no_change(watched: Watched) -> None:
    """Kubernetes puts all files of a secret there anew when one changes."""
    first = watched.now()
    swapped(watched.files[0], "one-1\n")

    assert watched.now() is first
    assert (2, 0) == (watched.reads, watched.changes)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda file: file.unlink(), "No such file"),
        (lambda file: file.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda file: file.write_text(""), "is empty"),
    ],
)
def test_what_cannot_be_used_leaves_the_last_one_in_force(
    watched: Watched, spoil: Callable[[Path], object], told: str
) -> None:
    """And is told once, not at each request; a writer that is half way through is a moment's matter."""
    first = watched.now()
    spoil(watched.files[0])

    assert all(watched.now() is first for _ in range(3))
    assert [True] == [told in problem for problem in watched.problems]

    watched.files[0].write_text("one-2")
    assert ["one-2", "two-1"] == watched.now()
    assert (1, 1) == (len(watched.problems), watched.changes)


def test_at_first_there_is_no_last_one(tmp_path: Path) -> None:
    """A wrong configuration is an error at start."""
    with pytest.raises(OSError, match="No such file"):
        FileValue([tmp_path / "nowhere"], lambda: read_secret(tmp_path / "nowhere"))
