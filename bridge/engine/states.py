"""What the loop is doing: it runs, then drains, then leaves the group. There is no way back."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Running:
    """Reads and delivers."""

    deadline: float = math.inf


@dataclass(frozen=True, slots=True)
class Draining:
    """Reads no more, and settles what was read until the deadline, in seconds of the loop's clock."""

    deadline: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """Everything is settled and stored, or given up: only the brokers are waited for, with the last commit
    and the leaving of the group.
    """

    deadline: float


State = Running | Draining | Leaving
