"""A step that fails costs no other step, and old results stay where all new ones failed."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pytest
from rich.console import Console

from bench import __main__ as bench
from bench.environment.lab import Lab
from bench.plan import Step
from bench.report.results import Results


def _results(part: str, rounds: list[Any], revision: str) -> Results:
    return {part: {"machine": {"revision": revision}, "command": "", "took_s": 0.0, "runs": {"a": rounds}}}


def test_a_part_that_failed_in_every_round_does_not_replace_older_results() -> None:
    """One good round is enough to replace them."""
    before = {
        **_results("latency", [{"p50": 1}], "old"),
        **_results("scaling", [{"p50": 1}], "old"),
        **_results("quota", [{"p50": 1}], "old"),
    }
    new = {
        **_results("latency", [None, None], "new"),
        **_results("scaling", [None, {"p50": 2}], "new"),
        **_results("startup", [None], "new"),
    }

    revisions = {part: each["machine"]["revision"] for part, each in bench.merge(new, before).items()}
    assert revisions == {"latency": "old", "scaling": "new", "startup": "new", "quota": "old"}


class _Describe:
    """`describe`, called each time a minute later and at another revision."""

    def __init__(self) -> None:
        self.minutes = itertools.count()

    def __call__(self) -> dict[str, Any]:
        minute = next(self.minutes)
        return {"date": minute, "revision": f"r{minute}"}


def test_a_step_that_fails_costs_no_other_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when the quota's topic can't be filled.

    A part is dated before its first step, and its revision is that of the beginning of the run.
    """

    def fail(*_: Any) -> str:
        raise OSError("no space left")

    dates: list[int] = []
    monkeypatch.setattr(bench, "describe", describe := _Describe())
    monkeypatch.setattr(Lab, "__enter__", lambda self: self)
    monkeypatch.setattr(Lab, "__exit__", lambda *_: None)
    monkeypatch.setattr(Lab, "create_filled_topic", fail)
    step = Step("latency", "a", lambda: dates.append(next(describe.minutes)) or {"p50": 1.0})
    monkeypatch.setattr(bench, "steps", lambda *_: [step])

    results: Results = {}
    console = Console(file=io.StringIO())
    failures = bench.measure(bench.QUICK, ("latency", "quota"), "make bench", console, results)
    assert results["latency"]["runs"]["a"] == [{"p50": 1.0}]
    assert results["quota"]["runs"] == {"30 ms": [None], "three replicas, 6,000/s configured": [None]}
    assert len([each for each in failures if "no space left" in each]) == 2
    machine = results["latency"]["machine"]
    assert machine["revision"] == "r0"
    assert machine["date"] < dates[0]
