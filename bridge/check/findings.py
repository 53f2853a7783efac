"""What a check says: one line, its level, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

TIMEOUT_S = 10.0
"""For each question to an upstream."""


class Level(StrEnum):
    """How a finding ended."""

    OK = "ok"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check."""

    level: Level
    what: str
    found: str
    do: str = ""
    unreachable: bool = False
    """The upstream could not be reached at all: exit code 3 instead of 1."""
