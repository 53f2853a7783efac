"""Planned replicas against the partitions that there are."""

from __future__ import annotations

from bridge.check.findings import Finding, Level, exit_code
from bridge.check.topics import check_replicas


def test_replicas_without_a_partition_are_a_warning() -> None:
    """They would run for nothing; the number that has work is named."""
    finding = check_replicas(4, 6)

    assert finding.level is Level.WARN
    assert "2 of them" in finding.text
    assert "at most 4" in finding.next_step


def test_as_many_replicas_as_partitions_are_fine() -> None:
    """So are fewer, and so is a number that nobody gave."""
    assert check_replicas(4, 3).level is Level.OK
    assert check_replicas(4, 3).text == "4 in all, for 3 replicas: up to 2 each"
    assert check_replicas(4, 4).level is Level.OK
    assert "at most 4 replicas have work" in check_replicas(4, 0).text


def test_an_upstream_that_is_away_decides_the_exit_code() -> None:
    """Scripts try again on 3, and call somebody on 1."""
    ok, warning = Finding(Level.OK, "a", ""), Finding(Level.WARN, "b", "")
    failure = Finding(Level.FAIL, "c", "")
    away = Finding(Level.FAIL, "d", "", unreachable=True)

    assert exit_code([ok, warning]) == 0
    assert exit_code([ok, failure]) == 1
    assert exit_code([failure, away]) == 3
