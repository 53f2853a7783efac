"""The campaign's schedule. `make chaos` runs the campaign itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos import campaign
from tests.chaos.campaign import ALONE, ONLY_ALONE_IN_SHORT_FORM, inject_all, shuffled_rounds
from tests.chaos.harness import Fault, Plan
from tests.chaos.timeline import FaultWindow


def test_a_seed_always_gives_the_same_schedule() -> None:
    """A failure can be repeated by its seed. Each round has every name once."""
    names = [str(number) for number in range(10)]
    first, second = shuffled_rounds(names, 7, "p"), shuffled_rounds(names, 7, "p")
    schedule = [next(first) for _ in range(20)]

    assert schedule == [next(second) for _ in range(20)]
    assert sorted(schedule[:10]) == sorted(names)
    assert sorted(schedule[10:]) == sorted(names)


def test_what_the_short_form_leaves_out_beside_others_comes_alone() -> None:
    """So each kind of fault comes in the short form too."""
    assert set(ALONE) >= ONLY_ALONE_IN_SHORT_FORM


class _Journal:
    """Notes the problems."""

    def __init__(self) -> None:
        self.alone = False
        self.problems: list[str] = []

    def report_problem(self, text: str) -> None:
        self.problems.append(text)

    def note(self, event: str, **fields: Any) -> None:
        pass


class _Harness:
    """Notes the faults and the calm between them, each with whether faults came alone."""

    def __init__(self) -> None:
        self.plan = Plan(seed=7)
        self.hits: dict[str, int] = {}
        self.journal = _Journal()
        self.steps: list[tuple[str, bool]] = []

    def wait_until_calm(self) -> None:
        self.steps.append(("calm", self.journal.alone))


def _fault(name: str, *hits: int) -> Fault:
    """Return a fault that has so many hits at each of its turns, and raises an error where that is -1."""
    remaining = iter(hits)

    def inject(harness: Any) -> FaultWindow:
        harness.steps.append((name, harness.journal.alone))
        if (count := next(remaining)) < 0:
            raise OSError("no")
        return FaultWindow(name, 0, hits=count)

    return inject


def test_the_short_form_has_each_fault_alone_then_all_once_then_those_without_hits_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault that raises an error is a problem, and comes once more too."""
    process_faults = {"terminated": _fault("terminated", 1, 1)}
    aep_faults = {
        "throttled": _fault("throttled", 1),
        "hang": _fault("hang", 0, 3),
        "drip": _fault("drip", -1, 1),
    }
    monkeypatch.setattr(campaign, "FAULTS", process_faults | aep_faults)
    monkeypatch.setattr(campaign, "TRACKS", [process_faults, aep_faults])
    monkeypatch.setattr(campaign, "PAUSE_S", 0)
    harness: Any = _Harness()
    inject_all(harness, list(campaign.FAULTS))

    assert harness.steps[0] == ("calm", True)
    assert set(harness.steps[1:3]) == {("terminated", True), ("throttled", True)}
    assert set(harness.steps[3:6]) == {("terminated", False), ("hang", False), ("drip", False)}
    assert harness.steps[6:] == [("hang", False), ("drip", False)]
    assert harness.journal.problems == ["the fault drip could not be injected: OSError('no')"]
    assert harness.hits == {"terminated": 2, "throttled": 1, "hang": 3, "drip": 1}
