"""Figures of several rounds."""

from __future__ import annotations

from bench.report.figures import Figure, ratio
from bench.report.results import Results
from bench.report.tables import PERFORMANCE_TABLES


def test_a_ratio_is_taken_within_its_round(results: Results) -> None:
    """It is the median of the rounds' ratios, not the ratio of medians.

    A round in which one of the two steps failed does not count, and the table says how many are left.
    """
    against_reading = ratio(results, "throughput", "read", "tls-0", "cpu_s_per_million")
    assert against_reading == Figure(0.25, 1 / 4.5, 0.3)
    with_a_failed_round = ratio(results, "throughput", "tls-100kb", "tls-0", "cpu_s_per_million")
    assert with_a_failed_round == Figure(2.0 - 1 / 9, 8 / 4.5, 2.0, (2, 3))
    assert with_a_failed_round.text(1, " x") == "1.9 (1.8–2.0) x (2 of 3 rounds)"
    assert "8.00 (2 of 3 rounds)" in PERFORMANCE_TABLES["throughput"](results)
