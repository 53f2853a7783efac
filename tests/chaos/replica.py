"""One replica of the bridge as a process, and what the campaign learns from its log and from the kernel."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.chaos.accounting import REPLICA_HEADER
from tests.chaos.timeline import PartitionEvent, partitions_held
from tests.support.ports import free_port

_LOG_EVENTS = (b"partition.assigned", b"partition.revoked", b"partition.lost", b"drain.finished")
"""The log events that say which partitions a replica has."""


class Replica:
    """`python -m bridge run`. Its output goes into a pipe, since the kernel lets it write to no file."""

    def __init__(self, number: int, config: Mapping[str, Any], folder: Path) -> None:
        self.number, self.port = number, free_port()
        self.name = f"replica-{number}"
        self.log = folder / f"{self.name}.log"
        self.started = time.time()
        self.stopped = False
        """Whether the campaign ended the process, or asked it to end."""
        self.files: set[str] = set()
        """Paths of files that the process had open for writing."""
        self.peak_bytes = 0
        self.partition_events: list[PartitionEvent] = []
        path = folder / f"{self.name}.yaml"
        own = {
            "aep": {**config["aep"], "headers": {REPLICA_HEADER: self.name}},
            "admin": {"host": "127.0.0.1", "port": self.port},
        }
        path.write_text(yaml.safe_dump({**config, **own}, sort_keys=False))
        environ = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": str(folder / "code"),
        }
        command = [sys.executable, "-m", "bridge", "run", "--config", str(path)]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            cwd="/proc",  # nobody can create a file there
        )
        # The kernel refuses every byte that the process would write to a file.
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, 0))
        self._reader = threading.Thread(target=self._read_log, name=self.name, daemon=True)
        self._reader.start()

    def _read_log(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("wb") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                if any(event in line for event in _LOG_EVENTS):
                    self._note(json.loads(line))

    def _note(self, entry: Mapping[str, Any]) -> None:
        at, event = datetime.fromisoformat(entry["timestamp"]).timestamp(), entry["event"]
        partitions = frozenset(int(each.rpartition("/")[2]) for each in entry.get("partitions", ()))
        if event == "drain.finished":
            if entry["abandoned_records"]:
                self.partition_events.append(PartitionEvent(at, "cut off", frozenset()))
            return
        if event == "partition.revoked" and entry["open_requests"]:
            self.partition_events.append(PartitionEvent(at, "cut off", partitions))
        self.partition_events.append(PartitionEvent(at, event.removeprefix("partition."), partitions))

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that the replica has now, by its own log."""
        return partitions_held(list(self.partition_events))

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def inspect(self) -> None:
        """Note which files the process has open for writing, and its peak memory."""
        with suppress(OSError, ValueError):
            for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
                with suppress(OSError):
                    target = str(descriptor.readlink())
                    is_file = target.startswith("/") and not target.startswith("/dev/")
                    if is_file and self._open_flags(descriptor.name) & (os.O_WRONLY | os.O_RDWR):
                        self.files.add(target)
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.peak_bytes = max(self.peak_bytes, int(line.split()[1]) << 10)

    def _open_flags(self, descriptor: str) -> int:
        text = Path(f"/proc/{self.pid}/fdinfo/{descriptor}").read_text()
        return int(text.split("flags:")[1].split()[0], 8)

    @property
    def began_to_read(self) -> bool:
        """Whether the process got as far as reading records; before that it does not handle SIGTERM."""
        return b"bridge.started" in self.log.read_bytes()

    def ready(self) -> bool:
        """Say whether /readyz answers 200."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def signal(self, number: int) -> None:
        """Send a signal to this process only."""
        self.inspect()
        if number in {signal.SIGTERM, signal.SIGKILL}:
            self.stopped = True
        self.process.send_signal(number)

    def end(self, timeout_s: float) -> int:
        """Send SIGTERM, and SIGABRT at the time-out, which logs all stacks. Return the exit code."""
        if self.alive and not self.stopped:  # a second SIGTERM would end it at once
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            code = self.process.wait(30)
        self._reader.join(5)
        return code
