"""The goals, each with what was measured and whether that meets it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.curves import WINDOW_S, figures
from bench.figures import Figure, Results, figure, of, ratio, rounds

DEFAULTS = ("http-0", "http-30", "http-150", "tls-0", "tls-30", "tls-150", "tls-200b-events", "tls-10kb-events")
"""Steps that run at the bridge's defaults."""
BATCH = 1000
"""Messages of a batch: a window of seconds can begin just before one and end just after one."""
RECOVERED_S = 15
"""What "within seconds" is taken to mean. Only a search that risks a 429 tells of a raise, and at ten requests a second less than 1% of 429s
leaves room for one search in some twelve seconds."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One row. The median decides, but for what holds always."""

    name: str
    bound: str
    measured: str
    met: bool


def goals(results: Results) -> list[Goal]:
    """Those of the parts that were measured."""
    return [*_throughput(results), *_latency(results), *_quota(results)]


def _row(name: str, found: Figure | None, bound: float, unit: str = "", *, least: bool = False, digits: int = 2) -> Iterator[Goal]:
    if found is not None:
        met = found.median >= bound if least else found.median <= bound
        yield Goal(name, f"{'≥' if least else '≤'} {bound:g}{unit}", f"{found.text(digits)}{unit}", met)


def _throughput(results: Results) -> Iterator[Goal]:
    cpu = "cpu_s_per_million"

    def against(above: str, below: str) -> Figure | None:
        return ratio(results, "throughput", above, below, cpu)

    yield from _row("TLS, megabyte batches: events per CPU second, against reading alone", against("read", "tls-0"), 0.25, least=True, digits=3)
    yield from _row("Plain HTTP: CPU an event, against reading, validating and splicing", against("http-0", "prepare"), 1.35)
    yield from _row("100 KB batches over TLS: CPU an event, against megabyte batches", against("tls-100kb", "tls-0"), 1.5)
    yield from _row("The whole product: CPU an event, against its extras switched off", against("tls-0", "bare"), 1.1)
    peaks = [each["peak_mb"] for step in DEFAULTS for each in rounds(results, "throughput", step) if each]
    if peaks:
        yield from _row("Peak memory at the defaults, the most of all runs", Figure(max(peaks), max(peaks), max(peaks)), 150, " MB", digits=0)
    shares = [
        each["peak_mb"] / each["ceiling_mb"]
        for step in results.get("throughput", {}).get("runs", {})
        for each in rounds(results, "throughput", step)
        if each and each.get("ceiling_mb")
    ]
    if shares:
        yield from _row(
            "Peak memory, as a share of the ceiling that the process prints, the most of all runs", Figure(max(shares), max(shares), max(shares)), 1
        )
    costs = [found for step in ("http-0", "http-30", "tls-0", "tls-30") if (found := of(results, "throughput", step, cpu)) is not None]
    if costs:
        worst = max(costs, key=lambda cost: cost.median)
        yield from _row("CPU seconds per million events at the defaults: the dearest of HTTP and TLS, 0 and 30 ms", worst, 5)


def _latency(results: Results) -> Iterator[Goal]:
    yield from _row(
        "Added latency, linger 0, 1,000 events/s: p99 from the producer's clock to the 207", of(results, "latency", "linger-0", "p99"), 25, " ms", digits=1
    )
    yield from _row("Start of the process to its first 207, the group join included", of(results, "startup", "first 207", "s"), 2, " s")


def _quota(results: Results) -> Iterator[Goal]:
    for name, (run, *_) in results.get("quota", {}).get("runs", {}).items():
        if not run:
            continue
        found = figures(run)
        used, refused, share, most = (found[key] or 0.0 for key in ("used", "refused", "least_share", "most"))
        if run["configured"]:
            at_once = max(sum(replica is not None for replica in sample["replicas"]) for sample in run["samples"])
            bound = run["configured"] + at_once * BATCH / WINDOW_S
            told = f"≤ {run['configured']:,.0f}/s, and a batch of each"
            yield Goal(f"Quota, {name}: the most of any {WINDOW_S} seconds stays under it", told, f"{most:,.0f}/s", most <= bound)
            continue
        yield from _row(f"Quota, {name}: share of it used once settled", figure([used * 100]), 95, "%", least=True, digits=1)
        yield from _row(f"Quota, {name}: requests answered 429 once settled", figure([refused * 100]), 1, "%")
        if len(run["samples"][0]["replicas"]) > 1:
            yield from _row(f"Quota, {name}: the least of the replicas' shares, of an equal one", figure([share * 100]), 70, "%", least=True, digits=0)
        if run["raised_at"] is not None and run["samples"][-1]["s"] > run["raised_at"]:
            back = found["recovered_s"]
            told = "not in this run" if back is None else f"{back:.0f} s"
            yield Goal(f"Quota, {name}: raised by half, until 95% of it is used", f"≤ {RECOVERED_S} s", told, back is not None and back <= RECOVERED_S)
