"""PromQL expressions over the metrics of one release."""

from __future__ import annotations

RELEASE = 'namespace="$namespace",job="$job",pod=~"$pod"'
"""Selects the pods of one release: each monitor of the chart is a job of its own."""
WINDOW = "$__rate_interval"
"""Grafana's variable: a span that holds enough samples for a rate."""


def metric(name: str) -> str:
    """Return the series of a metric."""
    return f"{name}{{{RELEASE}}}"


def per_second(name: str) -> str:
    """Return a counter's rate."""
    return f"rate({metric(name)}[{WINDOW}])"


def increase(name: str, span: str) -> str:
    """Return by how much a counter grew in a span such as `1h`."""
    return f"increase({metric(name)}[{span}])"


def total(vector: str, by: str = "") -> str:
    """Return the sum of a vector, by labels such as `inlet, reason`."""
    return f"sum {_by(by)}({vector})" if by else f"sum({vector})"


def highest(vector: str, by: str = "") -> str:
    """Return the maximum of a vector, by labels."""
    return f"max {_by(by)}({vector})" if by else f"max({vector})"


def count(vector: str, by: str = "") -> str:
    """Return the number of series in a vector, by labels."""
    return f"count {_by(by)}({vector})" if by else f"count({vector})"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """Return a quantile of a histogram, by labels."""
    buckets = total(per_second(f"{histogram}_bucket"), by=f"le, {by}" if by else "le")
    return f"histogram_quantile({share}, {buckets})"


def _by(labels: str) -> str:
    return f"by ({labels}) "
