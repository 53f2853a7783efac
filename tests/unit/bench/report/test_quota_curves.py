"""The figures of a quota run: what a mean would hide is in them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.measurements.quota_scenarios import scenarios
from bench.report.quota_curves import curves, quota_figures
from bench.report.results import Results
from bench.report.tables import PERFORMANCE_TABLES


def _run(results: Results, scenario: str) -> dict[str, Any]:
    run: dict[str, Any] = results["quota"]["runs"][scenario][0]
    return run


def test_figures_are_of_the_settled_time(results: Results) -> None:
    """The 429s of the first second do not count; the rise of the quota does, from its moment on."""
    run = _run(results, "30 ms")
    figures = quota_figures(run)

    assert (figures["used"], figures["refused"], figures["least_share"]) == (1.0, 0.0, 1.0)
    assert figures["recovered_s"] == 0
    assert sum(curves(run).refused) == 10
    configured = quota_figures(_run(results, scenarios(100)[-1].name))
    assert round(configured["most"] or 0) == 6000


def test_a_rate_that_goes_up_and_down_is_a_missed_goal(results: Results) -> None:
    """Its mean is high enough, but for ten seconds nothing goes through."""
    run = _run(results, "30 ms")
    for sample in run["samples"][65:75]:
        sample["replicas"] = run["samples"][64]["replicas"]

    assert quota_figures(run)["least"] == 0.0
    assert "0%, instead of ≥ 50%" in PERFORMANCE_TABLES["missed"](results)


def test_ten_seconds_that_starve_are_shown(results: Results) -> None:
    """The mean of a minute would hide them."""
    run = _run(results, "three replicas, 30 ms")
    assert quota_figures(run)["least"] == pytest.approx(1.0)
    for sample in run["samples"][70:82]:
        sample["replicas"] = run["samples"][70]["replicas"]

    assert quota_figures(run)["least"] == 0.0


def test_the_worst_minute_stands_beside_the_mean(results: Results) -> None:
    """429s that come together, and a replica that starves for half a minute."""
    run = _run(results, "three replicas, 30 ms")
    last = run["samples"][-1]
    extended = []
    for n in range(100):
        replicas = [list(last["replicas"][0]) for _ in range(3)]
        extended.append({**last, "s": 100.0 + n, "replicas": replicas})
    for n, sample in enumerate(extended):
        for number, replica in enumerate(sample["replicas"]):
            replica[0] += 3333.3 * (n + 1)
            replica[1] += 3.0 * (n + 1)
            replica[2] += min(n + 1, 9) if number == 0 else 0
    for n, sample in enumerate(extended[30:]):  # the second replica sends nothing for 30 seconds
        sample["replicas"][1][0] -= 3333.3 * min(n, 30)
    run["samples"] += extended

    figures = quota_figures(run)
    assert 9 / (60 * 9) <= figures["worst_refused"] < 9 / (60 * 9) * 1.3
    assert 0.01 > figures["worst_share"] >= 0.0
    assert figures["least_share"] > 0.5


def test_what_a_replica_did_without_a_sample_counts_in_its_next_second(results: Results) -> None:
    """Nothing that was accepted is left out, and no earlier second counts it."""
    run = _run(results, "three replicas, 30 ms")
    run["samples"][50]["replicas"][1] = None

    curve = curves(run).by_replica[1]
    assert [round(each) for each in curve[49:51]] == [0, 6667]
    assert round(sum(curve)) == 330_000
