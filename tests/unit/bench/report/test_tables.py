"""Single tables."""

from __future__ import annotations

from bench.report.goals import goals
from bench.report.results import Results
from bench.report.tables import KUBERNETES_TABLES, PERFORMANCE_TABLES


def test_the_cpu_of_a_pod_is_what_was_measured(results: Results) -> None:
    """A rate that was not measured has no figure; only the last row is calculated, from full speed."""
    rows = KUBERNETES_TABLES["rates"](results).splitlines()[2:]
    assert rows[0] == "| 1,000 | 12m | not measured |"
    assert rows[1].endswith("| not measured | not measured |")
    assert rows[2].startswith("| 222,222, calculated from 4.50 s per million at full speed |")
    without_results = KUBERNETES_TABLES["rates"]({}).splitlines()[2:]
    assert len([row for row in without_results if "not measured" in row]) == 2


def test_the_start_is_shown_for_both_brokers(results: Results) -> None:
    """The goal is the start at a broker that does not wait, and says so; the other start stands beside it."""
    table = PERFORMANCE_TABLES["startup"](results)
    for text in ("`group.initial.rebalance.delay.ms=0`", "1.50", "Kafka's default", "4.50"):
        assert text in table
    [name] = [goal.name for goal in goals(results) if goal.part == "startup"]
    assert "`group.initial.rebalance.delay.ms=0`; Kafka's default waits 3 s" in name
    assert "not measured" in PERFORMANCE_TABLES["startup"]({})
