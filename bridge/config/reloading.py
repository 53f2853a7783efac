"""What comes out of files is read anew when a file changes, so that a rotated key needs no restart."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
_Mark = tuple[int, int, int] | None


class Rereading(Generic[T]):
    """What `read` makes of some files; call it for the current one, which is the same object as long as it is equal. Any thread may ask.

    What can't be used (a file that is gone, empty, half written) leaves the last one in force, is told to `on_problem` once, and tried again at the next call.
    Asking costs one `stat` a file.
    """

    def __init__(
        self,
        files: Sequence[Path],
        read: Callable[[], T],
        on_change: Callable[[], None] = lambda: None,
        on_problem: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Raises what `read` does: at first there is no last one."""
        self._files, self._read, self._on_change, self._on_problem = files, read, on_change, on_problem
        self._lock = Lock()
        self._told = ""
        self._marks = self._look()
        self._value = read()

    def __call__(self) -> T:
        if self._look() != self._marks:
            with self._lock:
                self._again()
        return self._value

    def _again(self) -> None:
        marks = self._look()  # before it is read: what is written meanwhile is seen at the next call
        if marks == self._marks:
            return
        try:
            value = self._read()
        except (OSError, ValueError) as problem:
            if str(problem) != self._told:
                self._told = str(problem)
                self._on_problem(self._told)
            return
        self._marks, self._told = marks, ""
        if value != self._value:
            self._value = value
            self._on_change()

    def _look(self) -> list[_Mark]:
        return [_mark(file) for file in self._files]


def _mark(file: Path) -> _Mark:
    try:
        found = os.stat(file)  # noqa: PTH116 - a third of the time, at every request
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
