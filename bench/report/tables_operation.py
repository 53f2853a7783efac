"""The tables about operation: latency, replicas, start, and the CPU that a pod needs by rate. Pure."""

from __future__ import annotations

from bench.measurements.large_fetches import LARGE_FETCHES
from bench.report.figures import Figure, figure_of, ratio
from bench.report.goals import NOT_MEASURED
from bench.report.markdown import cell, table
from bench.report.results import Results


def latency(results: Results) -> str:
    """Return percentiles by linger."""
    keys = (("p50", 1), ("p99", 1), ("p999", 1), ("events_per_s", 0))
    rows = []
    for step in results.get("latency", {}).get("runs", {}):
        values = [cell(figure_of(results, "latency", step, key), digits) for key, digits in keys]
        rows.append((step.partition("-")[2], *values))
    return table(("`linger_ms`", "p50, ms", "p99, ms", "p99.9, ms", "rate that was kept, events/s"), rows)


def scaling(results: Results) -> str:
    """Return how much of n times the work n replicas do."""
    rows = []
    for step in results.get("scaling", {}).get("runs", {}):
        speed = cell(figure_of(results, "scaling", step, "events_per_s"), 0)
        share = cell(_share_of_n_times(results, int(step)))
        cost = cell(figure_of(results, "scaling", step, "cpu_s_per_million"))
        rows.append((step, speed, share, cost))
    return table(("replicas", "events/s", "of n × one", "CPU s per million"), rows, left=0)


def _share_of_n_times(results: Results, replicas: int) -> Figure | None:
    def share(together: float, one: float) -> float:
        return together / one / replicas

    return ratio(results, "scaling", str(replicas), "1", "events_per_s", share)


def startup(results: Results) -> str:
    """Return the seconds to the first 207, by how long the broker waits for more members."""
    without_delay = "`group.initial.rebalance.delay.ms=0`: the goal"
    brokers = {
        "first 207": f"a broker that lets a first member join at once, {without_delay}",
        "first 207, delayed": "Kafka's default: an empty group waits 3 s, once, for more members",
    }
    rows = []
    for step, name in brokers.items():
        seconds = figure_of(results, "startup", step, "s")
        rows.append((name, NOT_MEASURED if seconds is None else seconds.text()))
    return table(("", "from the start of the process to its first 207, s"), rows)


def rates(results: Results) -> str:
    """Return the CPU that a pod needs, by the rate of its events."""
    properties = ", ".join(f"`{name}: {value}`" for name, value in LARGE_FETCHES.items())
    rows = []
    for per_s, remark in ((1000, ""), (10_000, ", Adobe's guidance for a whole organisation")):
        steps = (str(per_s), f"{per_s}, large fetches")
        cpu = [figure_of(results, "steady", step, "cpu_m") for step in steps]
        cells = [NOT_MEASURED if each is None else each.text(0, "m") for each in cpu]
        rows.append((f"{per_s:,}{remark}", *cells))
    cost = figure_of(results, "throughput", "tls-30", "cpu_s_per_million")
    if cost is not None:
        full_speed = (
            f"{1e6 / cost.median:,.0f}, calculated from {cost.median:.2f} s per million at full speed"
        )
        rows.append((full_speed, "a whole core; a process uses little more than one", "–"))
    return table(("events per second of one replica", "CPU", f"CPU, with {properties}"), rows)
