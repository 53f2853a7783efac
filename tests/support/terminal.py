"""A process on a terminal of its own, for what behaves differently there: questions, tables, Ctrl-C."""

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

CTRL_C = "\x03"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\r")
_CHANGES_OUTPUT = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI"}
"""Environment variables that change what is shown."""

_EXEC_ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal the process's controlling terminal.

`preexec_fn` could do that too, but it would run Python in a fork of a process with threads.
"""


class Terminal:
    """Runs a command with a pseudo-terminal as its standard streams and its controlling terminal."""

    def __init__(self, command: list[str], *, cwd: Path, columns: int = 160, **environ: str) -> None:
        self._descriptor, command_end = pty.openpty()
        fcntl.ioctl(command_end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in _CHANGES_OUTPUT}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _EXEC_ON_TERMINAL, *command],
            stdin=command_end,
            stdout=command_end,
            stderr=command_end,
            cwd=cwd,
            start_new_session=True,
            env={**inherited, "TERM": "xterm-256color", **environ},
        )
        os.close(command_end)
        self.raw = ""
        self._expected_up_to = 0

    @property
    def text(self) -> str:
        """Everything that was shown, without colours and cursor movements."""
        return _ESCAPES.sub("", self.raw)

    def expect(self, wanted: str, timeout_s: float = 30) -> None:
        """Wait until this text is shown, after what was expected before."""
        deadline = time.monotonic() + timeout_s
        while (at := self.text.find(wanted, self._expected_up_to)) < 0:
            if time.monotonic() > deadline or not self._read(0.2):
                raise AssertionError(f"{wanted!r} was not shown:\n{self.text}")
        self._expected_up_to = at + len(wanted)

    def type_text(self, text: str) -> None:
        """Type a text. A line ends with a newline; Ctrl-C is `CTRL_C`."""
        os.write(self._descriptor, text.encode())

    def interrupt(self) -> int:
        """Press Ctrl-C at a question, every five seconds until the process ends. Return the exit code.

        CPython loses a Ctrl-C that comes just before it reads from the terminal: the handler only sets a
        flag, and the read does not look at it. A person would press it again too.
        """
        for _ in range(11):
            self.type_text(CTRL_C)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                if not self._read(0.2):
                    return self.process.wait(60)
        raise AssertionError(f"it did not end:\n{self.text}")

    def wait(self, timeout_s: float = 60) -> int:
        """Read to the end, and return the exit code."""
        deadline = time.monotonic() + timeout_s
        while self._read(0.2):
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not end:\n{self.text}")
        return self.process.wait(timeout_s)

    def _read(self, timeout_s: float) -> bool:
        """Read what there is within the time-out. Return False at the end of the output."""
        if not select.select([self._descriptor], [], [], timeout_s)[0]:
            return True
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # the last process has closed the terminal
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)
        os.close(self._descriptor)
