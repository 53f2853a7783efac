"""The campaign's journal: its faults, its problems, and a timeline of everything that happened."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.timeline import FaultWindow


class Journal:
    """Prints the faults, and writes `timeline.jsonl`. Several threads may use it."""

    def __init__(self, folder: Path) -> None:
        self.began = time.time()
        self.alone = False
        """Whether faults come one by one now, with calm between them."""
        self.windows: list[FaultWindow] = []
        self.problems: list[str] = []
        self._lock = threading.RLock()
        self._file = (folder / "timeline.jsonl").open("w")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def note(self, event: str, **fields: Any) -> None:
        """Write one line of the timeline."""
        with self._lock:
            entry = {"at_s": round(time.time() - self.began, 2), "event": event, **fields}
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def report_problem(self, text: str) -> None:
        """Note something that must not happen: the campaign fails."""
        self.problems.append(text)
        self.note("problem", text=text)
        print(f"  PROBLEM: {text}", flush=True)

    @contextmanager
    def fault_window(self, kind: str, **fields: Any) -> Iterator[FaultWindow]:
        """Begin a fault, which ends at the end of the block. `fields` are those of the window."""
        window = FaultWindow(kind, time.time(), alone=self.alone, **fields)
        detail = window.detail
        with self._lock:
            self.windows.append(window)
        if window.replica:
            detail["name"] = window.replica
        self.note("fault.begins", kind=kind, alone=window.alone, **detail)
        shown = " ".join(f"{key}={value}" for key, value in detail.items())
        print(f"  {time.time() - self.began:6.1f} s  {kind:<24} {shown}", flush=True)
        try:
            yield window
        finally:
            window.end = time.time()
            seconds = round(window.end - window.start, 2)
            self.note("fault.over", kind=kind, seconds=seconds, hits=window.hits, **window.detail)

    def forget_older_faults(self) -> None:
        """Note that everything is settled and committed now: no earlier fault explains what comes later."""
        now = time.time()
        for window in self.windows:
            window.explain_only_before(now)
        self.note("calm")
