"""The goals: a fixed list, each with what was measured, and whether that meets it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.measurements.quota_scenarios import Scenario, scenarios
from bench.report.figures import Figure, figure, figure_of, ratio, rounds
from bench.report.quota_curves import WINDOW_S, quota_figures
from bench.report.results import Results

DEFAULTS = (
    "http-0",
    "http-30",
    "http-150",
    "tls-0",
    "tls-30",
    "tls-150",
    "tls-200b-events",
    "tls-10kb-events",
)
"""Steps that run the bridge with its defaults."""
BRIDGES = (*DEFAULTS, "tls-100kb", "tls-two-datasets", "tls-no-dataset", "tls-entity")
"""Steps that run the whole bridge, in any configuration."""
BATCH = 1000
"""Messages of a batch: a window of seconds can begin just before one and end just after one."""
RECOVERED_WITHIN_S = 15
"""How "within seconds" is read. Only a search that risks a 429 shows that the quota was raised, and at ten
requests per second less than 1% of 429s leaves room for one search in some twelve seconds."""
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Goal:
    """One row of the table. The median decides, except for goals that must hold in every round."""

    part: str
    name: str
    bound: str
    measured: str
    met: bool | None
    """None where it was not measured, or the step failed in every round."""

    @property
    def verdict(self) -> str:
        if self.met is None:
            return NOT_MEASURED
        return "met" if self.met else "missed"


def goals(results: Results) -> list[Goal]:
    """Return all goals, whatever was measured."""
    return [
        *_throughput(results),
        *_latency(results),
        *_startup(results),
        *(goal for scenario in scenarios(100) for goal in _quota(results, scenario)),
    ]


def _at_most(
    part: str, name: str, measured: Figure | None, bound: float, unit: str = "", *, digits: int = 2
) -> Goal:
    met = None if measured is None else measured.median <= bound
    return Goal(part, name, f"≤ {bound:g}{unit}", _text(measured, digits, unit), met)


def _at_least(
    part: str, name: str, measured: Figure | None, bound: float, unit: str = "", *, digits: int = 2
) -> Goal:
    met = None if measured is None else measured.median >= bound
    return Goal(part, name, f"≥ {bound:g}{unit}", _text(measured, digits, unit), met)


def _text(measured: Figure | None, digits: int, unit: str) -> str:
    return NOT_MEASURED if measured is None else measured.text(digits, unit)


def _throughput(results: Results) -> Iterator[Goal]:
    part, cpu = "throughput", "cpu_s_per_million"

    def cpu_ratio(above: str, below: str) -> Figure | None:
        return ratio(results, part, above, below, cpu)

    name = "TLS, megabyte batches: events per CPU second, against reading alone"
    yield _at_least(part, name, cpu_ratio("read", "tls-0"), 0.25, digits=3)
    name = "Plain HTTP: CPU per event, against reading, validating and building bodies"
    yield _at_most(part, name, cpu_ratio("http-0", "prepare"), 1.35)
    name = "100 KB batches over TLS: CPU per event, against megabyte batches"
    yield _at_most(part, name, cpu_ratio("tls-100kb", "tls-0"), 1.5)
    name = "The whole product: CPU per event, against its extras switched off"
    yield _at_most(part, name, cpu_ratio("tls-0", "without-extras"), 1.1)
    name = "Peak memory at the defaults, the most of all runs"
    peaks = _most(run.get("peak_mb") if run else None for run in _every_round(results, DEFAULTS))
    yield _at_most(part, name, peaks, 150, " MB", digits=0)
    name = "Peak memory, as a share of the ceiling that the process prints, the most of all runs"
    shares = _most(map(_share_of_ceiling, _every_round(results, BRIDGES)))
    yield _at_most(part, name, shares, 1)
    name = "CPU seconds per million events at the defaults: the dearest of HTTP and TLS, 0 and 30 ms"
    costs = [figure_of(results, part, step, cpu) for step in ("http-0", "http-30", "tls-0", "tls-30")]
    measured = [cost for cost in costs if cost is not None]
    worst = max(measured, key=lambda cost: cost.median) if len(measured) == len(costs) else None
    yield _at_most(part, name, worst, 5)


def _every_round(results: Results, steps: tuple[str, ...]) -> Iterator[dict[str, Any] | None]:
    """Yield each round of each of these steps, and None for a round that is missing."""
    runs = results.get("throughput", {}).get("runs", {})
    round_count = max(map(len, runs.values()), default=0)
    for step in steps:
        step_rounds = rounds(results, "throughput", step)
        yield from step_rounds
        yield from [None] * (round_count - len(step_rounds))


def _share_of_ceiling(run: dict[str, Any] | None) -> float | None:
    return run["peak_mb"] / run["ceiling_mb"] if run and run.get("ceiling_mb") else None


def _most(values: Iterator[float | None]) -> Figure | None:
    each = figure(values)
    return None if each is None else Figure(each.high, each.high, each.high, each.rounds_left)


def _latency(results: Results) -> Iterator[Goal]:
    name = (
        "Added latency, linger 0, 1,000 events/s: "
        "p99 from the producer's clock to the whole request at the sink"
    )
    yield _at_most("latency", name, figure_of(results, "latency", "linger-0", "p99"), 25, " ms", digits=1)


def _startup(results: Results) -> Iterator[Goal]:
    name = (
        "Start of the process to its first 207, the group join included, where the broker lets a first "
        "member join at once (`group.initial.rebalance.delay.ms=0`; Kafka's default waits 3 s)"
    )
    yield _at_most("startup", name, figure_of(results, "startup", "first 207", "s"), 2, " s")


def _quota(results: Results, scenario: Scenario) -> Iterator[Goal]:
    run = next(iter(rounds(results, "quota", scenario.name)), None)
    values: dict[str, float | None] = quota_figures(run) if run else {}
    prefix = f"Quota, {scenario.name}:"

    def percent(key: str) -> Figure | None:
        value = values.get(key)
        return None if value is None else figure([value * 100])

    name = f"{prefix} share of it used once settled"
    used = _at_least("quota", name, percent("used"), 95, "%", digits=1)
    if scenario.configured:
        yield _configured_rate(run, values.get("most"), scenario.configured, prefix)
        yield used
        return
    yield used
    name = f"{prefix} requests answered 429 once settled"
    yield _at_most("quota", name, percent("refused"), 1, "%", digits=2)
    if scenario.replicas > 1:
        name = f"{prefix} the least of the replicas' shares, of an equal one"
        yield _at_least("quota", name, percent("least_share"), 70, "%", digits=0)
    else:
        least = f"the least of any {WINDOW_S} seconds once settled, of the quota"
        name = f"{prefix} no oscillation that starves: {least}"
        yield _at_least("quota", name, percent("least"), 50, "%", digits=0)
    if scenario.raise_at is not None:
        yield _raised_quota(bool(run), values.get("recovered_s"), prefix)


def _configured_rate(run: dict[str, Any] | None, most: float | None, configured: float, prefix: str) -> Goal:
    name = f"{prefix} the most of any {WINDOW_S} seconds stays under it"
    bound = f"≤ {configured:,.0f}/s, and a batch of each"
    if run is None or most is None:
        return Goal("quota", name, bound, NOT_MEASURED, None)
    replica_counts = [sum(replica is not None for replica in sample["replicas"]) for sample in run["samples"]]
    met = most <= configured + max(replica_counts, default=0) * BATCH / WINDOW_S
    return Goal("quota", name, bound, f"{most:,.0f}/s", met)


def _raised_quota(was_run: bool, recovered_s: float | None, prefix: str) -> Goal:
    name = f"{prefix} raised by half, until 95% of it is used"
    bound = f"≤ {RECOVERED_WITHIN_S} s"
    if not was_run:
        return Goal("quota", name, bound, NOT_MEASURED, None)
    if recovered_s is None:
        return Goal("quota", name, bound, "not in this run", met=False)
    return Goal("quota", name, bound, f"{recovered_s:.0f} s", recovered_s <= RECOVERED_WITHIN_S)
