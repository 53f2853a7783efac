"""One line of a check: its level, what was looked at, what is so, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
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
    subject: str
    """What was looked at, such as `topic web-events`."""
    text: str
    next_step: str = ""
    unreachable: bool = False
    """The upstream could not be reached at all: exit code 3 instead of 1."""

    def as_json(self) -> dict[str, str]:
        """Return the finding as the command prints it for scripts."""
        return {"level": self.level.value, "what": self.subject, "found": self.text, "do": self.next_step}


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 where nothing failed, 3 where an upstream could not be reached, 1 for every other failure."""
    failures = [finding for finding in findings if finding.level is Level.FAIL]
    if any(finding.unreachable for finding in failures):
        return 3
    return 1 if failures else 0
