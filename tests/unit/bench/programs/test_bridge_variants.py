"""The variants of the bridge replace functions that exist."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.programs.bridge_with_timers import PARTS
from bench.report.tables_profile import NEEDED

ROOT = Path(__file__).parents[4]


def test_every_extra_that_is_switched_off_exists() -> None:
    """A function of the bridge that was renamed would silently stay switched on.

    The test has a process of its own, because what is switched off stays off.
    """
    code = "from bench.programs.bridge_without_extras import remove_extras; remove_extras()"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr


def test_every_function_that_is_timed_exists() -> None:
    """A function of the bridge that was renamed would count as nothing."""
    for functions in PARTS.values():
        assert all(callable(getattr(owner, name)) for owner, name in functions)


def test_every_function_that_is_timed_is_public() -> None:
    """A room may rename and split its private functions without asking the bench."""
    timed = [name for functions in PARTS.values() for _, name in functions]
    assert [name for name in timed if name.startswith("_")] == []


def test_the_parts_that_every_bridge_needs_are_timed() -> None:
    """All of them, except Kafka's client, whose threads are measured by the kernel."""
    assert len(PARTS.keys() & set(NEEDED)) == len(NEEDED) - 1
