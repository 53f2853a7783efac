"""How far the run has come: a bar on a terminal, a line for each step everywhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class StepProgress:
    """A context that shows `total` steps."""

    def __init__(self, total: int, console: Console) -> None:
        self._total, self._console, self._done, self._started = total, console, 0, time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = self._bar.add_task("starting the broker", total=total) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def step_begins(self, name: str) -> None:
        """Show which step runs now."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=name)

    def step_ended(self, name: str, result: str) -> None:
        """Print a line with the step's result."""
        self._done += 1
        if self._bar and self._task is not None:
            self._bar.advance(self._task)
        seconds = time.monotonic() - self._started
        self._console.print(
            f"{seconds:6.0f} s  {self._done:3}/{self._total}  {name:<36} {result}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
