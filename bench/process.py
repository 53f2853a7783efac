"""What a process has used, out of /proc; and how one is started with its output in a file."""

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
    """A Python process of ours: `python -m <module> <arguments>`, run by another command where `before` names one. Both are gone when the context ends."""

    def __init__(
        self, arguments: list[str], log: Path, *, pipes: bool = False, before: Sequence[str] = ()
    ) -> None:
        self.log = log
        self.told_to_end = False
        self._heard = b""
        self._group = bool(before)
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
                start_new_session=self._group,
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

    def ask(self, line: str, answer: str) -> None:
        """Writes a line and waits for its answer. What was said before that answers an older one, and is dropped."""
        self.say(line)
        for _ in range(100):
            if self.hear() == answer:
                return
        raise RuntimeError(f"{self.command} does not answer {answer}:\n{self.tail()}")

    def say(self, line: str) -> None:
        """Writes a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self, timeout_s: float = ANSWER_S, *, unless_ended: Sequence[Child] = ()) -> str:
        """The next line. Raises where the process has ended instead, where it says nothing for so long, and where one of those that it needs has ended."""
        assert self.process.stdout is not None
        said, deadline = (
            self.process.stdout.fileno(),
            time.monotonic() + timeout_s,
        )  # not the file: select does not see what lies in its buffer
        while b"\n" not in self._heard:
            if select.select([said], [], [], 0.5)[0]:
                more = os.read(said, 1 << 16)
                if not more:
                    raise RuntimeError(f"{self.command} ended:\n{self.tail()}")
                self._heard += more
                continue
            for other in unless_ended:
                other.check()
            if time.monotonic() > deadline:
                tails = "\n".join(child.tail() for child in (self, *unless_ended))
                raise TimeoutError(f"{self.command} said nothing for {timeout_s} s:\n{tails}")
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def check(self) -> None:
        """Raises RuntimeError where it has ended without having been told to."""
        if not self.told_to_end and self.process.poll() is not None:
            raise RuntimeError(f"{self.command} ended, exit code {self.process.returncode}:\n{self.tail()}")

    def end(self, *, pid: int | None = None) -> None:
        """SIGTERM (to `pid`, where a command runs the process), once: to a bridge a second one means to leave everything as it is."""
        if not self.told_to_end and self.process.poll() is None:
            self.told_to_end = True
            os.kill(pid or self.pid, signal.SIGTERM)

    def stop(self, timeout_s: float = 60, *, pid: int | None = None) -> int:
        """Tells it to end, and waits for that: the exit code. SIGKILL where it takes too long."""
        self.end(pid=pid)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def stop_well(self, *, pid: int | None = None) -> None:
        """The same. Raises RuntimeError where it had ended before, and where its exit code is not 0."""
        self.check()
        if code := self.stop(pid=pid):
            raise RuntimeError(f"{self.command} left with exit code {code}:\n{self.tail()}")

    def kill(self) -> None:
        """SIGKILL, to all of its group where a command runs the process: `perf` would leave it behind."""
        if self._group:
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
def together() -> Iterator[list[Child]]:
    """Put replicas into the list: at the end all are told to end, then each is waited for. Raises where one did not end well; kills where something else was raised."""
    started: list[Child] = []
    try:
        yield started
        for child in started:
            child.check()
        for child in started:
            child.end()
        for child in started:
            child.stop_well()
    finally:
        for child in started:
            child.kill()
