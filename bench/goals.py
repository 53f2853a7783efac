"""The goals: a fixed list, each with what was measured, if anything was, and whether that meets it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.curves import WINDOW_S, figures
from bench.figures import Figure, Results, figure, of, ratio, rounds
from bench.scenarios import Scenario, scenarios

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
"""Steps that run at the bridge's defaults."""
BRIDGES = (*DEFAULTS, "tls-100kb", "tls-two-datasets", "tls-no-dataset", "tls-entity")
"""Steps that run the whole product, in any configuration."""
BATCH = 1000
"""Messages of a batch: a window of seconds can begin just before one and end just after one."""
RECOVERED_S = 15
"""What "within seconds" is taken to mean. Only a search that risks a 429 tells of a raise, and at ten requests a second less than 1% of 429s
leaves room for one search in some twelve seconds."""
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Goal:
    """One row. The median decides, but for what holds always."""

    part: str
    name: str
    bound: str
    measured: str
    met: bool | None
    """None: not measured, or the step failed in every round."""

    @property
    def verdict(self) -> str:
        return NOT_MEASURED if self.met is None else "met" if self.met else "missed"


def goals(results: Results) -> list[Goal]:
    """All of them, whatever was measured."""
    return [
        *_throughput(results),
        *_latency(results),
        *_startup(results),
        *(goal for scenario in scenarios(100) for goal in _quota(results, scenario)),
    ]


def _row(
    part: str,
    name: str,
    found: Figure | None,
    bound: float,
    unit: str = "",
    *,
    least: bool = False,
    digits: int = 2,
) -> Goal:
    told = f"{'≥' if least else '≤'} {bound:g}{unit}"
    if found is None:
        return Goal(part, name, told, NOT_MEASURED, None)
    return Goal(
        part, name, told, found.text(digits, unit), found.median >= bound if least else found.median <= bound
    )


def _throughput(results: Results) -> Iterator[Goal]:
    part, cpu = "throughput", "cpu_s_per_million"

    def against(above: str, below: str) -> Figure | None:
        return ratio(results, part, above, below, cpu)

    yield _row(
        part,
        "TLS, megabyte batches: events per CPU second, against reading alone",
        against("read", "tls-0"),
        0.25,
        least=True,
        digits=3,
    )
    yield _row(
        part,
        "Plain HTTP: CPU an event, against reading, validating and splicing",
        against("http-0", "prepare"),
        1.35,
    )
    yield _row(
        part,
        "100 KB batches over TLS: CPU an event, against megabyte batches",
        against("tls-100kb", "tls-0"),
        1.5,
    )
    yield _row(
        part,
        "The whole product: CPU an event, against its extras switched off",
        against("tls-0", "bare"),
        1.1,
    )
    peaks = _most(each.get("peak_mb") if each else None for each in _every(results, DEFAULTS))
    yield _row(part, "Peak memory at the defaults, the most of all runs", peaks, 150, " MB", digits=0)
    shares = _most(
        each["peak_mb"] / each["ceiling_mb"] if each and each.get("ceiling_mb") else None
        for each in _every(results, BRIDGES)
    )
    yield _row(
        part,
        "Peak memory, as a share of the ceiling that the process prints, the most of all runs",
        shares,
        1,
    )
    costs = [of(results, part, step, cpu) for step in ("http-0", "http-30", "tls-0", "tls-30")]
    worst = None if None in costs else max((cost for cost in costs if cost), key=lambda cost: cost.median)
    yield _row(
        part,
        "CPU seconds per million events at the defaults: the dearest of HTTP and TLS, 0 and 30 ms",
        worst,
        5,
    )


def _every(results: Results, steps: tuple[str, ...]) -> Iterator[dict[str, Any] | None]:
    """Each round of each of these steps; None for one that is not there."""
    asked = max((len(each) for each in results.get("throughput", {}).get("runs", {}).values()), default=0)
    for step in steps:
        found = rounds(results, "throughput", step)
        yield from [*found, *[None] * (asked - len(found))]


def _most(values: Iterator[float | None]) -> Figure | None:
    found = figure(values)
    return None if found is None else Figure(found.high, found.high, found.high, found.lost)


def _latency(results: Results) -> Iterator[Goal]:
    name = "Added latency, linger 0, 1,000 events/s: p99 from the producer's clock to the whole request at the far end"
    yield _row("latency", name, of(results, "latency", "linger-0", "p99"), 25, " ms", digits=1)


def _startup(results: Results) -> Iterator[Goal]:
    name = "Start of the process to its first 207, the group join included, where the broker lets a first member join at once"
    yield _row(
        "startup",
        name + " (`group.initial.rebalance.delay.ms=0`; Kafka's default waits 3 s)",
        of(results, "startup", "first 207", "s"),
        2,
        " s",
    )


def _quota(results: Results, scenario: Scenario) -> Iterator[Goal]:
    run = next(iter(rounds(results, "quota", scenario.name)), None)
    found: dict[str, float | None] = figures(run) if run else {}

    def row(what: str, key: str, bound: float, *, least: bool = False, digits: int = 0) -> Goal:
        value = found.get(key)
        return _row(
            "quota",
            f"Quota, {scenario.name}: {what}",
            None if value is None else figure([value * 100]),
            bound,
            "%",
            least=least,
            digits=digits,
        )

    if scenario.configured:
        at_once = (
            max(
                (sum(replica is not None for replica in sample["replicas"]) for sample in run["samples"]),
                default=0,
            )
            if run
            else 0
        )
        name = f"Quota, {scenario.name}: the most of any {WINDOW_S} seconds stays under it"
        told = f"≤ {scenario.configured:,.0f}/s, and a batch of each"
        most = found.get("most")
        met = None if most is None else most <= scenario.configured + at_once * BATCH / WINDOW_S
        yield Goal("quota", name, told, NOT_MEASURED if most is None else f"{most:,.0f}/s", met)
        yield row("share of it used once settled", "used", 95, least=True, digits=1)
        return
    yield row("share of it used once settled", "used", 95, least=True, digits=1)
    yield row("requests answered 429 once settled", "refused", 1, digits=2)
    if scenario.replicas > 1:
        yield row("the least of the replicas' shares, of an equal one", "least_share", 70, least=True)
    else:
        yield row(
            f"no oscillation that starves: the least of any {WINDOW_S} seconds once settled, of the quota",
            "least",
            50,
            least=True,
        )
    if scenario.raise_at is not None:
        name, bound = f"Quota, {scenario.name}: raised by half, until 95% of it is used", f"≤ {RECOVERED_S} s"
        back = found.get("recovered_s")
        told = NOT_MEASURED if not run else "not in this run" if back is None else f"{back:.0f} s"
        yield Goal("quota", name, bound, told, None if not run else back is not None and back <= RECOVERED_S)
