"""The bridge as a user runs it: a process with a configuration file, watched through its admin port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from tests.support.clients import until
from tests.support.ports import free_port

CRASH_MARKS = (
    "Traceback",
    "request.crashed",
    "callback.failed",
    "Exception in thread",
    "kafka.fatal",
    "unexpected:",
    "Fatal Python",
)
"""What a log line contains if something happened that the bridge does not expect."""


class Bridge:
    """`aep-bridge run`. `config` is the content of the configuration file; the admin port is added to it."""

    def __init__(
        self,
        config: dict[str, Any],
        folder: Path,
        *,
        name: str = "bridge",
        environ: dict[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.admin_url = f"http://127.0.0.1:{self.port}"
        config = {"logging": {"level": "info", "format": "json"}, **config}
        config["admin"] = {"host": "127.0.0.1", "port": self.port, **config.get("admin", {})}
        self.config_path = folder / f"{name}.yaml"
        self.config_path.write_text(yaml.safe_dump(config, sort_keys=False))
        self.log_path = folder / f"{name}.log"
        self.environ = {**os.environ, **(environ or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the process, and wait for nothing."""
        command = [sys.executable, "-m", "bridge", "run", "--config", str(self.config_path)]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self.environ)
        return self

    def wait_ready(self, timeout_s: float = 60) -> Self:
        """Wait until /readyz answers 200."""
        message = f"the bridge is not ready:\n{self.tail()}"
        until(lambda: self.status_code("/readyz") == 200, timeout_s, message)
        return self

    def wait_assigned(self, partitions: int, timeout_s: float = 60) -> Self:
        """Wait until at least so many partitions are assigned to the bridge."""
        message = f"no {partitions} partitions:\n{self.tail()}"
        until(lambda: len(self.status().get("partitions", [])) >= partitions, timeout_s, message)
        return self

    def status_code(self, path: str) -> int:
        """Return the status of an admin path; 0 while the port does not answer. The process must run."""
        assert self.process is not None
        assert self.process.poll() is None, f"the bridge ended with {self.process.returncode}:\n{self.tail()}"
        try:
            return httpx.get(self.admin_url + path, timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def status(self) -> dict[str, Any]:
        """Return /api/status; an empty dictionary while the port does not answer."""
        try:
            return dict(httpx.get(self.admin_url + "/api/status", timeout=5).json())
        except (httpx.HTTPError, ValueError):
            return {}

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all its series that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = httpx.get(self.admin_url + "/metrics", timeout=5).text.splitlines()
        series = [line for line in lines if line.startswith((name + "{", name + " "))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in series if all(label in line for label in wanted))

    def signal(self, number: int) -> None:
        """Send a signal to this process only."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, timeout_s: float = 60) -> int:
        """Send SIGTERM, and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def log_text(self) -> str:
        """Return everything that the process has logged; nothing if it has not started."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_entries(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return the log lines, or those of one event. A line that is not JSON counts as an event itself."""
        entries = [_parsed(line) for line in self.log_text().splitlines()]
        return [entry for entry in entries if event in (None, entry["event"])]

    def has_logged(self, event: str) -> bool:
        """Say whether the log has this event."""
        return bool(self.log_entries(event))

    def crash_lines(self) -> list[str]:
        """Return the log lines about something that the bridge does not expect."""
        return [line for line in self.log_text().splitlines() if any(mark in line for mark in CRASH_MARKS)]

    def tail(self, lines: int = 40) -> str:
        """Return the end of the log."""
        return "\n".join(self.log_text().splitlines()[-lines:]) or "(no log)"

    def peak_bytes(self) -> int:
        """Return the peak of the process's memory so far, by the kernel (VmHWM)."""
        return self._memory("VmHWM")

    def memory_bytes(self) -> int:
        """Return the memory that the process has now, by the kernel (VmRSS)."""
        return self._memory("VmRSS")

    def _memory(self, field: str) -> int:
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))

    def printed_ceiling_bytes(self) -> int:
        """Return the memory ceiling that the process printed at its start."""
        return int(self.log_entries("memory.ceiling")[0]["bytes"])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


def _parsed(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {"event": line}


def merge_sections(config: dict[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with these sections merged over it. Only mappings are merged."""
    merged = dict(config)
    for name, section in sections.items():
        merged[name] = {**merged.get(name, {}), **section} if isinstance(section, dict) else section
    return merged
