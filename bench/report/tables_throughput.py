"""The tables of the throughput part: cost and speed, threads, the sink, and Adobe's connector. Pure."""

from __future__ import annotations

from bench.report.figures import Figure, figure_of, figures_by_name, ratio
from bench.report.goals import NOT_MEASURED
from bench.report.markdown import THREAD_KINDS, cell, table
from bench.report.results import Results

STEP_NAMES = {
    "read": "reading alone (`consume` and drop)",
    "prepare": "reading, validating, building bodies",
    "http-0": "HTTP, 0 ms",
    "http-30": "HTTP, 30 ms",
    "http-150": "HTTP, 150 ms",
    "tls-0": "TLS, 0 ms",
    "tls-30": "TLS, 30 ms",
    "tls-150": "TLS, 150 ms",
    "without-extras": "TLS, 0 ms, extras switched off",
    "tls-100kb": "TLS, 0 ms, batches of 100 KB",
    "tls-200b-events": "TLS, 0 ms, events of 200 B",
    "tls-10kb-events": "TLS, 0 ms, events of 10 KB",
    "tls-two-datasets": "TLS, 0 ms, two datasets in turn",
    "tls-no-dataset": "TLS, 0 ms, no `datasetId`: it is inserted",
    "tls-entity": "TLS, 0 ms, `format: entity`: wrapped",
}
"""Steps of the throughput part, and what the document calls them."""
_CONNECTOR = (
    ("its defaults (4 KB flush), 1 task", "10,900 / 126", "139 / 547", "1.4 GB"),
    ("its defaults, 4 tasks", "8,000 / 500", "204 / 376", "1.3 GB"),
    ("tuned by hand, JsonConverter, 1 task", "26,800 / 12,800", "57 / 61", "2.1 GB"),
    ("tuned by hand, JsonConverter, 4 tasks", "27,700 / 24,600", "72 / 73", "1.9 GB"),
    ("tuned by hand, StringConverter (its fastest), 1 task", "49,600 / 17,400", "28 / 29", "1.6 GB"),
    ("tuned by hand, StringConverter, 4 tasks", "48,100 / 46,100", "41 / 34", "1.6 GB"),
)
"""Adobe's connector 0.0.30, measured once before this project began, on this kind of machine and with the
same events. `make bench` does not measure it."""


def throughput(results: Results) -> str:
    """Return the cost and the speed of each run."""
    keys = ("events_per_s", "mb_per_s", "peak_mb", "requests", "most_in_flight")
    head = ("CPU s per million", "events per CPU s, of reading alone", "events/s", "MB/s", "peak MB")
    rows = []
    for step, name in STEP_NAMES.items():
        cost = figure_of(results, "throughput", step, "cpu_s_per_million")
        if cost is None:
            rows.append((name, NOT_MEASURED, *["–"] * 6))
            continue
        against_reading = ratio(results, "throughput", "read", step, "cpu_s_per_million")
        values = [figure_of(results, "throughput", step, key) for key in keys]
        rows.append((name, cell(cost), cell(against_reading), *(cell(value, 0) for value in values)))
    return table(("", *head, "requests", "at once"), rows)


def threads(results: Results) -> str:
    """Return the same CPU by kind of thread."""
    rows = []
    for step, name in STEP_NAMES.items():
        split = figures_by_name(results, "throughput", step, "split_us")
        if split:
            rows.append((name, *(cell(split.get(kind)) for kind in THREAD_KINDS)))
    return table(("µs per event", *THREAD_KINDS.values()), rows)


def sink(results: Results) -> str:
    """Return what the sink can take, and what the bridge gives it."""
    rows = []
    for kind in ("http", "tls"):
        capacity = figure_of(results, "throughput", f"sink-{kind}", "events_per_s")
        from_bridge = figure_of(results, "throughput", f"{kind}-0", "events_per_s")
        if capacity is not None and from_bridge is not None:
            times = ratio(results, "throughput", f"sink-{kind}", f"{kind}-0", "events_per_s")
            cores = figure_of(results, "throughput", f"{kind}-0", "sink_cores")
            rows.append((kind.upper(), cell(capacity, 0), cell(from_bridge, 0), cell(times, 1), cell(cores)))
    head = ("takes of a load that costs nothing, events/s", "gets from the bridge, events/s", "times as much")
    return table(("", *head, "CPU while the bridge sends, cores"), rows)


def connector(results: Results) -> str:
    """Return our figures beside those of Adobe's connector, at 0 and 30 ms."""
    rows = [(f"Adobe's connector, {name}", *cells) for name, *cells in _CONNECTOR]
    for kind in ("http", "tls"):
        speed = _at_0_and_30_ms(results, kind, "events_per_s", 0)
        cost = _at_0_and_30_ms(results, kind, "cpu_s_per_million", 1)
        peak = _at_0_and_30_ms(results, kind, "peak_mb", 0)
        if speed and cost and peak:
            name = f"aep-bridge, its defaults, one process, {kind.upper()} (this run)"
            rows.append((name, speed, cost, f"{peak} MB"))
    return table(("AEP answers at once / after 30 ms", "events/s", "CPU s per million", "peak memory"), rows)


def _at_0_and_30_ms(results: Results, kind: str, key: str, digits: int) -> str:
    """Return both medians; nothing where one of them was not measured."""
    figures: list[Figure] = []
    for latency_ms in (0, 30):
        value = figure_of(results, "throughput", f"{kind}-{latency_ms}", key)
        if value is None:
            return ""
        figures.append(value)
    return " / ".join(f"{value.median:,.{digits}f}" for value in figures)
