"""What a process has used, out of /proc; and how one is started with its output in a file."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_SCHEDULED = 2
"""The kernel's name for the clock of what a process has run; `/proc/*/stat` only counts ticks of 10 ms."""
ANSWER_S = 180.0
"""How long anything may take before the bench gives it up."""


def cpu_s(pid: int | None = None) -> float:
    """User and system seconds of all threads of a process so far, the ended ones included; without `pid` of this one. To the nanosecond."""
    return time.process_time() if pid is None else time.clock_gettime(~pid << 3 | _SCHEDULED)


def threads_s(pid: int) -> dict[str, float]:
    """The same by kind of thread: `client` (librdkafka's own), `main` (the process's first one, the pump's), `others` (those that connect, the admin port; ended ones count here)."""
    client = main = 0.0
    for folder in Path(f"/proc/{pid}/task").iterdir():
        try:
            used = int((folder / "schedstat").read_text().split()[0]) / 1e9
            if folder.name == str(pid):
                main += used
            elif (folder / "comm").read_text().startswith("rdk:"):
                client += used
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
    return {"client": client, "main": main, "others": max(0.0, cpu_s(pid) - client - main)}


def peak_mb(pid: int) -> float:
    """The most memory it ever held, in MB of 1,000,000 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def compiled() -> dict[str, str]:
    """The environment, with bytecode kept from one start to the next, as pip and the image keep it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(Path(".cache/bench/bytecode").absolute())}


class Child:
    """A Python process of ours: `python -m <module> <arguments>`, run by another command where `before` names one."""

    def __init__(self, arguments: list[str], log: Path, *, pipes: bool = False, before: Sequence[str] = ()) -> None:
        self.log = log
        with log.open("ab") as out:
            self.command = [*before, sys.executable, "-m", *arguments]
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE if pipes else None,
                stdout=subprocess.PIPE if pipes else out,
                stderr=out,
                text=True,
                bufsize=1,
                env=compiled(),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def inner(self) -> int:
        """The process that the command before it started."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
                if found := children.read_text().split():
                    return int(found[0])
            time.sleep(0.01)
        raise RuntimeError(f"{self.command} did not start anything:\n{self.tail()}")

    def ask(self, line: str) -> str:
        """Writes a line and waits for the next one that comes back."""
        self.say(line)
        return self.hear()

    def say(self, line: str) -> None:
        """Writes a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self, timeout_s: float = ANSWER_S, *, unless_ended: Child | None = None) -> str:
        """The next line. Raises where the process has ended instead, where it says nothing for so long, and where another one that it needs has ended."""
        assert self.process.stdout is not None
        for _ in range(int(timeout_s / 0.5)):
            if select.select([self.process.stdout], [], [], 0.5)[0]:
                break
            if unless_ended is not None and unless_ended.process.poll() is not None:
                raise RuntimeError(f"{unless_ended.command} ended:\n{unless_ended.tail()}")
        else:
            raise TimeoutError(f"{self.command} said nothing for {timeout_s} s:\n{self.tail()}\n{unless_ended.tail() if unless_ended else ''}")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.command} ended:\n{self.tail()}")
        return line

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self, timeout_s: float = 60, *, pid: int | None = None) -> int:
        """SIGTERM (to `pid`, where a command runs the process), and the exit code; SIGKILL where that takes too long."""
        if self.process.poll() is None:
            os.kill(pid or self.pid, signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def stop_all(children: Iterable[Child]) -> None:
    """Asks all of them to end, then waits for each."""
    started = list(children)
    for child in started:
        if child.process.poll() is None:
            child.process.terminate()
    for child in started:
        child.stop()
