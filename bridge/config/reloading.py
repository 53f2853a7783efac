"""A value that is read from files, and read again when one of them changes: a rotation needs no restart."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
_Version = tuple[int, int, int] | None
"""What a change of a file changes: inode, size and time of the last change. None: the file is not there."""


class FileValue(Generic[T]):
    """What `read` returns for some files. Call it for the current value; any thread may.

    The value stays the same object as long as it is equal. If the files can't be used (gone, empty, half
    written) the last value stays in force, the problem is reported to `on_problem` once, and the next call
    tries again. A call costs one `stat` for each file.
    """

    def __init__(
        self,
        files: Sequence[Path],
        read: Callable[[], T],
        on_change: Callable[[], None] = lambda: None,
        on_problem: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Raises what `read` raises, because there is no last value yet."""
        self._files, self._read, self._on_change, self._on_problem = files, read, on_change, on_problem
        self._lock = Lock()
        self._reported = ""
        self._versions = self._current_versions()
        self._value = read()

    def __call__(self) -> T:
        if self._current_versions() != self._versions:
            with self._lock:
                self._read_again()
        return self._value

    def _read_again(self) -> None:
        # Before the files are read: what is written in the meantime is seen at the next call.
        versions = self._current_versions()
        if versions == self._versions:
            return
        try:
            value = self._read()
        except (OSError, ValueError) as problem:
            if str(problem) != self._reported:
                self._reported = str(problem)
                self._on_problem(self._reported)
            return
        self._versions, self._reported = versions, ""
        if value != self._value:
            self._value = value
            self._on_change()

    def _current_versions(self) -> list[_Version]:
        return [_version(file) for file in self._files]


def _version(file: Path) -> _Version:
    try:
        # A third of the time that `Path.stat` takes, and this is done for each request.
        status = os.stat(file)  # noqa: PTH116
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
