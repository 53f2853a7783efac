"""The bridge as a user runs it: a process of its own, with a configuration file, watched through its admin port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from tests.support.clients import until
from tests.support.ports import free_port


class Bridge:
    """`aep-bridge run`. `config` is the configuration file's content; the admin port is added."""

    def __init__(
        self,
        config: dict[str, Any],
        folder: Path,
        *,
        name: str = "bridge",
        environ: dict[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.admin = f"http://127.0.0.1:{self.port}"
        config = {"logging": {"level": "info", "format": "json"}, **config}
        config["admin"] = {"host": "127.0.0.1", "port": self.port, **config.get("admin", {})}
        self.path = folder / f"{name}.yaml"
        self.path.write_text(yaml.safe_dump(config, sort_keys=False))
        self.log_path = folder / f"{name}.log"
        self.environ = {**os.environ, **(environ or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts the process, without waiting for anything."""
        with self.log_path.open("ab") as log:
            command = [sys.executable, "-m", "bridge", "run", "--config", str(self.path)]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self.environ)
        return self

    def wait_ready(self, timeout_s: float = 60) -> Self:
        """Until /readyz says so."""
        until(lambda: self._get("/readyz") == 200, timeout_s, f"the bridge is not ready:\n{self.tail()}")
        return self

    def wait_assigned(self, partitions: int, timeout_s: float = 60) -> Self:
        """Until it has so many partitions."""
        until(
            lambda: len(self.status().get("partitions", [])) >= partitions,
            timeout_s,
            f"no {partitions} partitions:\n{self.tail()}",
        )
        return self

    def _get(self, path: str) -> int:
        assert self.process is not None
        assert self.process.poll() is None, f"the bridge ended with {self.process.returncode}:\n{self.tail()}"
        try:
            return httpx.get(self.admin + path, timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def status(self) -> dict[str, Any]:
        """/api/status, or nothing while it can't be reached."""
        try:
            return dict(httpx.get(self.admin + "/api/status", timeout=5).json())
        except (httpx.HTTPError, ValueError):
            return {}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over the label sets that hold these labels."""
        total = 0.0
        for line in httpx.get(self.admin + "/metrics", timeout=5).text.splitlines():
            if line.startswith((name + "{", name + " ")) and all(
                f'{key}="{value}"' in line for key, value in labels.items()
            ):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def signal(self, number: int) -> None:
        """Sends a signal to this process only."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, timeout_s: float = 60) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def events(self) -> list[dict[str, Any]]:
        """The log lines."""
        found = []
        for line in self.log_path.read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"event": line})
        return found

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        return (
            "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
            if self.log_path.exists()
            else "(no log)"
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
