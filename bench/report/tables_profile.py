"""The tables of where each microsecond goes. Pure."""

from __future__ import annotations

from bench.report.figures import figure_of, figures_by_name, rounds
from bench.report.markdown import THREAD_KINDS, table
from bench.report.results import Results

RUNS = {
    "parts-tls": "TLS",
    "parts-tls-30": "TLS, 30 ms",
    "parts-http": "HTTP",
    "parts-tls-100kb": "TLS, batches of 100 KB",
}
"""Steps whose parts are timed, and their columns' titles."""
_CLIENT = "Kafka's client, its own threads: fetch, check, queue"
_BETWEEN = "between the parts: waiting for the interpreter's lock, waking up"
_WHOLE = "the whole process"
NEEDED = (
    _CLIENT,
    "read: take from the client's queue",
    "read: group by partition, and weigh",
    "validate",
    "build the body",
    "send: TLS and socket",
    "read the response",
)
"""Parts that every bridge has, whatever it promises."""


def parts(results: Results) -> str:
    """Return the parts, in µs per record."""
    columns = [column for step in RUNS if (column := _column(results, step))]
    if len(columns) < len(RUNS):
        return "Not measured."
    first, *others = columns
    whole, between = first[_WHOLE], first[_BETWEEN]
    rows = []
    for part, us in first.items():
        cells = [f"{column.get(part, 0.0):.3f}" for column in others]
        rows.append((part, f"{us:.3f}", f"{us / whole:.0%}", *cells))
    title, *titles = RUNS.values()
    needed = sum(first.get(part, 0.0) for part in NEEDED)
    sentence = (
        f"Of {whole:.2f} µs, {needed:.2f} are reading, validating, building bodies, sending and reading "
        f"responses, which no bridge can leave out; {whole - needed - between:.2f} are what this one does "
        f"besides; {between:.2f} lie between the parts."
    )
    head = ("µs per record, medians of the rounds", title, "share", *titles)
    return table(head, rows) + "\n\n" + sentence


def _column(results: Results, step: str) -> dict[str, float]:
    """Return the parts in their order, the client's threads, what lies between, and the whole.

    Empty where it was not measured.
    """
    whole = figure_of(results, "profile", step, "cpu_us")
    if whole is None:
        return {}
    split = figures_by_name(results, "profile", step, "split_us")
    timed = figures_by_name(results, "profile", step, "parts_us")
    us = {part: each.median for part, each in timed.items()}
    us[_CLIENT] = split["client"].median
    return {**us, _BETWEEN: whole.median - sum(us.values()), _WHOLE: whole.median}


def libraries(results: Results) -> str:
    """Return what perf saw: µs per record by library and kind of thread."""
    cells = figures_by_name(results, "profile", "perf", "libraries_us")
    if not cells:
        return "Not measured: perf is not installed on that machine, or not allowed."
    us = {cell: each.median for cell, each in cells.items()}
    total: dict[str, float] = {}
    for cell, each in us.items():
        library = cell.partition("/")[2]
        total[library] = total.get(library, 0.0) + each
    rows = []
    for library in sorted(total, key=lambda name: -total[name]):
        by_kind = [us.get(f"{kind}/{library}", 0.0) for kind in THREAD_KINDS]
        rows.append((library, *(f"{each:.2f}" for each in by_kind), f"{sum(by_kind):.2f}"))
    samples = sum(run["samples"] for run in rounds(results, "profile", "perf") if run)
    head = ("µs per record", *THREAD_KINDS.values(), "all")
    return f"{table(head, rows)}\n\n{samples:,} samples."
