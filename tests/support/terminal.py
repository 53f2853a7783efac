"""A process on a terminal of its own, for what behaves differently there: questions, tables, progress, Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Self

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\r")

_TAKE_IT = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
"""Makes the terminal the process's own; `preexec_fn` would run Python in a fork of a process with threads."""


class Terminal:
    """Runs a command with a pseudo-terminal as its standard streams and its controlling terminal."""

    def __init__(self, command: list[str], *, cwd: Path, columns: int = 160, **environ: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        plain = {
            name: value
            for name, value in os.environ.items()
            if name not in {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI"}
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_IT, *command], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, start_new_session=True,
            env={**plain, "TERM": "xterm-256color", **environ},
        )  # fmt: skip
        os.close(theirs)
        self.raw = ""
        self._seen = 0

    @property
    def text(self) -> str:
        """Everything that was shown, without colours and cursor movements."""
        return _ESCAPES.sub("", self.raw)

    def expect(self, wanted: str, timeout_s: float = 30) -> None:
        """Waits until this is shown, after what was expected before."""
        deadline = time.monotonic() + timeout_s
        while (at := self.text.find(wanted, self._seen)) < 0:
            if time.monotonic() > deadline or not self._read(0.2):
                raise AssertionError(f"{wanted!r} was not shown:\n{self.text}")
        self._seen = at + len(wanted)

    def say(self, text: str) -> None:
        """Types; a line ends with a newline, and Ctrl-C is \\x03."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> int:
        """Presses Ctrl-C at a question, and again after five seconds each if nothing comes of it, as a person would; the exit code.

        CPython loses one that comes just before it reads from the terminal: the handler only sets a flag, and the read knows nothing of it.
        """
        for _ in range(11):
            self.say("\x03")
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                if not self._read(0.2):
                    return self.process.wait(60)
        raise AssertionError(f"it did not end:\n{self.text}")

    def wait(self, timeout_s: float = 60) -> int:
        """Reads to the end; the exit code."""
        deadline = time.monotonic() + timeout_s
        while self._read(0.2):
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not end:\n{self.text}")
        return self.process.wait(timeout_s)

    def _read(self, timeout_s: float) -> bool:
        """Takes in what there is; False at the end."""
        if not select.select([self._ours], [], [], timeout_s)[0]:
            return True
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the last process let the terminal go
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)
        os.close(self._ours)
