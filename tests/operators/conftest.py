"""What the operators' tests start from: a configuration, and the command line as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.simulator import Simulator
from tests.support.clients import unique
from tests.support.kafka import Kafka
from tests.support.terminal import Terminal

Configure = Callable[..., dict[str, Any]]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def configure(kafka: Kafka) -> Configure:
    """Return what makes a configuration for some topics; keyword arguments are sections merged over it."""

    def make(sim: Simulator, *topics: str, **sections: Any) -> dict[str, Any]:
        config: dict[str, Any] = {
            "kafka": {"bootstrap_servers": kafka.bootstrap(), "group_id": unique("group")},
            "aep": {"inlet_url": sim.inlet_url, "ims_org_id": sim.config.org},
            "topics": [{"topic": topic} for topic in topics],
            "batch": {"linger_ms": 50},
        }
        for name, section in sections.items():
            config[name] = {**config.get(name, {}), **section} if isinstance(section, dict) else section
        return config

    return make


def write(config: dict[str, Any], path: Path) -> Path:
    """Write a configuration file; return its path."""
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def on_a_terminal(*arguments: object, **environ: str) -> Terminal:
    """Start `aep-bridge` on a terminal."""
    return Terminal([sys.executable, "-m", "bridge", *map(str, arguments)], cwd=ROOT, **environ)


def aep_bridge(
    *arguments: object, code: int | None = 0, timeout_s: float = 90, stdin: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run `aep-bridge` as a process. Fail if its exit code is another than `code`; None allows any."""
    words = [*map(str, arguments)]
    done = subprocess.run(
        [sys.executable, "-m", "bridge", *words],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        input=stdin,
        env={**os.environ, "COLUMNS": "200", **environ},
        cwd=ROOT,
    )
    if code is not None and done.returncode != code:
        problem = f"aep-bridge {' '.join(words)}: exit code {done.returncode}, not {code}"
        raise AssertionError(f"{problem}\n{done.stdout}\n{done.stderr}")
    return done
