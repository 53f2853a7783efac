"""The local AEP of the lab: a simulator on the node's address, its faults, and what it accepted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kubernetes.lab import AEP_PORT, AEP_URL, HOST, ROOT, fetch, responds, until


@contextmanager
def local_aep() -> Iterator[None]:
    """Run a local AEP that asks for tokens."""
    command = [sys.executable, "-m", "bridge", "simulate", "--host", HOST, "--port", str(AEP_PORT)]
    process = subprocess.Popen([*command, "--require-auth"], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        until(lambda: responds(f"{AEP_URL}/__admin/health"), 30, "the local AEP")
        yield
    finally:
        process.terminate()
        process.wait(10)


def accepted() -> dict[str, int]:
    """Return every event that AEP accepted, and how often."""
    entries = map(json.loads, fetch(f"{AEP_URL}/__admin/accepted").splitlines())
    return {entry["id"]: entry["n"] for entry in entries}


def add_fault(**rule: object) -> None:
    """Add a fault to the local AEP."""
    fetch(f"{AEP_URL}/__admin/faults", "POST", rule)


def clear_faults() -> None:
    """Remove all faults of the local AEP."""
    fetch(f"{AEP_URL}/__admin/faults", "DELETE")
