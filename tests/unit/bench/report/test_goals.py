"""The goals: a missed goal, and one that was not measured, are named."""

from __future__ import annotations

from bench.measurements.quota_scenarios import scenarios
from bench.report.goals import DEFAULTS, goals
from bench.report.results import Results
from bench.report.tables import PERFORMANCE_TABLES, goal_table
from tests.unit.bench.report.conftest import throughput_run


def _missed(results: Results) -> str:
    return PERFORMANCE_TABLES["missed"](results)


def test_a_missed_goal_is_named(results: Results) -> None:
    """In the table, and by name below it."""
    met = {goal.name.partition(":")[0] + goal.bound: goal.met for goal in goals(results)}

    assert "Of 25 goals 2 are missed:" in _missed(results)
    assert met["TLS, megabyte batches≥ 0.25"]
    assert not met["Added latency, linger 0, 1,000 events/s≤ 25 ms"]
    assert "30.0 ms, instead of ≤ 25 ms" in _missed(results)


def test_a_goal_that_was_not_measured_is_not_met(results: Results) -> None:
    """The list of goals is always the same.

    A goal without a figure is named, in the table and below it, whether its part is missing, its step, or
    every round of its step.
    """
    every = [goal.name for goal in goals(results)]
    results["latency"]["runs"]["linger-0"] = [None, None]
    del results["throughput"]["runs"]["http-30"]
    del results["startup"]
    results["quota"]["runs"]["300 ms"] = [None]

    unmeasured = [goal.name for goal in goals(results) if goal.met is None]
    assert [goal.name for goal in goals(results)] == every
    assert len(unmeasured) == 7
    assert "Of 25 goals 1 is missed and 7 are not measured:" in _missed(results)
    assert all(f"- {name}: not measured." in _missed(results) for name in unmeasured)
    assert PERFORMANCE_TABLES["goals"](results).count("| not measured | **not measured** |") == 7
    assert "Every goal is met." not in _missed({})
    assert len([goal for goal in goals({}) if goal.met is None]) == len(every)


def test_every_goal_can_be_met(results: Results) -> None:
    """Then, and only then, the document says so."""
    results["throughput"]["runs"]["tls-100kb"] = [throughput_run(5.0)] * 3
    results["latency"]["runs"]["linger-0"] = [{"p50": 1.0, "p99": 20.0, "p999": 40.0}]
    assert _missed(results) == "Every goal is met."


def test_the_most_memory_of_all_runs_says_how_many_rounds_failed(results: Results) -> None:
    """It is the most of the rounds that are left; what the failed ones held is not known."""
    results["throughput"]["runs"]["tls-0"][1] = None
    del results["throughput"]["runs"]["http-150"]

    assert len(DEFAULTS) == 8
    assert f"120 MB ({8 * 3 - 1 - 3} of {8 * 3} rounds)" in goal_table(results)


def test_only_the_goals_of_what_was_measured_are_printed(results: Results) -> None:
    """`ONLY=latency` ends with the goals of that part; the document has all of them."""
    assert len(goal_table(results, ["latency"]).splitlines()) == 3


def test_a_bridge_that_sends_nothing_misses_the_configured_rate(results: Results) -> None:
    """To stay below a rate is half of the goal: the rate has to be used, too."""
    name = scenarios(100)[-1].name
    run = results["quota"]["runs"][name][0]
    for sample in run["samples"]:
        sample["replicas"] = [[0.0, 0.0, 0.0, 2000.0, 8.0]] * 3

    missed = [goal.name for goal in goals(results) if goal.part == "quota" and not goal.met]
    assert missed == [f"Quota, {name}: share of it used once settled"]
