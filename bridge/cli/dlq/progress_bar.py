"""How far a replay is, shown while it runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from bridge.replay.progress import ReplayProgress


class ProgressBar:
    """A bar on a terminal; elsewhere a line whenever the reason changes for which the replay waits."""

    def __init__(self, progress: ReplayProgress, total: int) -> None:
        self._progress, self._total = progress, total
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("replaying", total=total)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._paint, name="progress", daemon=True)

    def __enter__(self) -> None:
        self._bar.start()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._bar.update(self._task, completed=self._progress.settled)
        self._bar.stop()

    def _paint(self) -> None:
        last_reason = ""
        while not self._ended.wait(0.2):
            waiting_for, settled = self._progress.waiting_for, self._progress.settled
            self._bar.update(self._task, completed=settled, description=waiting_for or "replaying")
            reason = waiting_for.partition(", next try")[0]
            if not self._console.is_terminal and reason not in {"", last_reason}:
                last_reason = reason
                typer.echo(f"{settled:,} of {self._total:,} done; waits: {waiting_for}", err=True)
