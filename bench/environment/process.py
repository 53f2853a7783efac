"""Start a Python process, talk to it in lines, and stop it; nothing that was started outlives its context."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

LINE_TIMEOUT_S = 180.0
"""How long a process may take to write its next line."""
_BYTECODE = Path(".cache/bench/bytecode")


def _environment() -> dict[str, str]:
    """Return the environment for a process that keeps its bytecode, as a process installed by pip does."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(_BYTECODE.absolute())}


class ChildProcess:
    """A process `python -m <module> <arguments>`, killed when the context ends.

    `wrapper` is a command that runs it, such as `perf record`; then the whole process group is killed.
    `pipes`: lines are exchanged over stdin and stdout. Otherwise stdout goes into the log, as stderr does.
    """

    def __init__(
        self, arguments: list[str], log: Path, *, pipes: bool = False, wrapper: Sequence[str] = ()
    ) -> None:
        self.log = log
        self.stop_requested = False
        self._unread = b""
        self._has_group = bool(wrapper)
        self.command = [*wrapper, sys.executable, "-m", *arguments]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE if pipes else None,
                stdout=subprocess.PIPE if pipes else out,
                stderr=out,
                text=True,
                bufsize=1,
                env=_environment(),
                start_new_session=self._has_group,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def wrapped_pid(self) -> int:
        """Return the id of the process that the wrapper started. Wait for it up to ten seconds."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
                if pids := children.read_text().split():
                    return int(pids[0])
            time.sleep(0.01)
        raise RuntimeError(f"{self.command} did not start a process:\n{self.log_tail()}")

    # -- lines ----------------------------------------------------------------------

    def write_line(self, line: str) -> None:
        """Write a line to the process's stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def request(self, line: str, response: str) -> None:
        """Write a line and read until its response comes. Lines before it belong to older requests."""
        self.write_line(line)
        for _ in range(100):
            if self.read_line() == response:
                return
        raise RuntimeError(f"{self.command} does not answer {response}:\n{self.log_tail()}")

    def read_line(
        self, timeout_s: float = LINE_TIMEOUT_S, *, unless_ended: Sequence[ChildProcess] = ()
    ) -> str:
        """Return the next line of the process's stdout.

        Raise RuntimeError when the process has ended, or one of `unless_ended`, without which no line can
        come; and TimeoutError when no line comes in time.
        """
        assert self.process.stdout is not None
        # The file descriptor, not the file: select does not see what lies in the file's buffer.
        stdout = self.process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            if select.select([stdout], [], [], 0.5)[0]:
                data = os.read(stdout, 1 << 16)
                if not data:
                    raise RuntimeError(f"{self.command} ended:\n{self.log_tail()}")
                self._unread += data
                continue
            for other in unless_ended:
                other.raise_if_ended()
            if time.monotonic() > deadline:
                tails = "\n".join(child.log_tail() for child in (self, *unless_ended))
                raise TimeoutError(f"{self.command} wrote no line for {timeout_s} s:\n{tails}")
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def log_tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    # -- the end --------------------------------------------------------------------

    def raise_if_ended(self) -> None:
        """Raise RuntimeError when the process has ended without a request to stop."""
        if not self.stop_requested and self.process.poll() is not None:
            code = self.process.returncode
            raise RuntimeError(f"{self.command} ended, exit code {code}:\n{self.log_tail()}")

    def request_stop(self, *, pid: int | None = None) -> None:
        """Send SIGTERM, to `pid` where a wrapper runs the process.

        It is sent once only: a second SIGTERM makes a bridge end at once, with its records unsettled.
        """
        if not self.stop_requested and self.process.poll() is None:
            self.stop_requested = True
            os.kill(pid or self.pid, signal.SIGTERM)

    def stop(self, timeout_s: float = 60, *, pid: int | None = None) -> int:
        """Request a stop, wait for the end, and return the exit code. Kill a process that takes too long."""
        self.request_stop(pid=pid)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def stop_cleanly(self, *, pid: int | None = None) -> None:
        """Stop it. Raise RuntimeError when it had ended before, and when its exit code is not 0."""
        self.raise_if_ended()
        if code := self.stop(pid=pid):
            raise RuntimeError(f"{self.command} left with exit code {code}:\n{self.log_tail()}")

    def kill(self) -> None:
        """Send SIGKILL, to the whole group where there is a wrapper, which may leave its process behind."""
        if self._has_group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@contextlib.contextmanager
def replicas() -> Iterator[list[ChildProcess]]:
    """Yield an empty list for replicas of one group, and stop all that are in it at the end.

    All get their SIGTERM before the first one is waited for. Raise RuntimeError when one did not end cleanly.
    After an exception in the context all are killed.
    """
    started: list[ChildProcess] = []
    try:
        yield started
        for child in started:
            child.raise_if_ended()
        for child in started:
            child.request_stop()
        for child in started:
            child.stop_cleanly()
    finally:
        for child in started:
            child.kill()
