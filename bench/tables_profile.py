"""The tables of where each microsecond goes, out of the results alone. Pure."""

from __future__ import annotations

from bench.figures import Results, nested, of, rounds
from bench.markdown import KINDS, table

DOOR_RUNS = {
    "doors-tls": "TLS",
    "doors-tls-30": "TLS, 30 ms",
    "doors-http": "HTTP",
    "doors-tls-100kb": "TLS, batches of 100 KB",
}
_CLIENT, _BETWEEN, _ALL = (
    "Kafka's client, its own threads: fetch, check, queue",
    "between the doors: handing the interpreter over, waking up",
    "all of the process",
)
NEEDED = (
    _CLIENT,
    "read: out of the client's queue",
    "read: group and weigh",
    "validate",
    "splice",
    "send: TLS and socket",
    "read the answer",
)
"""Parts that every bridge has, whatever it promises."""


def doors(results: Results) -> str:
    """Where each microsecond goes: the parts, in µs a record."""
    columns = [found for step in DOOR_RUNS if (found := _spent(results, step))]
    if len(columns) < len(DOOR_RUNS):
        return "Not measured."
    first = columns[0]
    rows = [
        (
            part,
            f"{us:.3f}",
            f"{us / first[_ALL]:.0%}",
            *(f"{column.get(part, 0.0):.3f}" for column in columns[1:]),
        )
        for part, us in first.items()
    ]
    needed, between = sum(first.get(part, 0.0) for part in NEEDED), first[_BETWEEN]
    told = (
        f"Of {first[_ALL]:.2f} µs, {needed:.2f} are reading, validating, splicing, sending and reading the answer, which no bridge can leave out; "
        f"{first[_ALL] - needed - between:.2f} are what this one does besides; {between:.2f} lie between the doors."
    )
    title, *titles = DOOR_RUNS.values()
    return table(("µs a record, medians of the rounds", title, "share", *titles), rows) + "\n\n" + told


def _spent(results: Results, step: str) -> dict[str, float]:
    """The parts in their order, the client's threads, what lies between, and the whole. Empty where it was not measured."""
    whole, split = of(results, "profile", step, "cpu_us"), nested(results, "profile", step, "split_us")
    if whole is None:
        return {}
    parts = {part: found.median for part, found in nested(results, "profile", step, "parts_us").items()}
    parts[_CLIENT] = split["client"].median
    return {**parts, _BETWEEN: whole.median - sum(parts.values()), _ALL: whole.median}


def libraries(results: Results) -> str:
    """perf's view: by library and kind of thread, in µs a record."""
    cells = nested(results, "profile", "perf", "libraries_us")
    if not cells:
        return "Not measured: perf is not installed on that machine, or not allowed."
    names = sorted(
        {cell.partition("/")[2] for cell in cells},
        key=lambda name: -sum(cells[cell].median for cell in cells if cell.endswith("/" + name)),
    )

    def at(kind: str, name: str) -> float:
        found = cells.get(f"{kind}/{name}")
        return 0.0 if found is None else found.median

    rows = [
        (name, *(f"{at(kind, name):.2f}" for kind in KINDS), f"{sum(at(kind, name) for kind in KINDS):.2f}")
        for name in names
    ]
    samples = sum(each["samples"] for each in rounds(results, "profile", "perf") if each)
    return table(("µs a record", *KINDS.values(), "all"), rows) + f"\n\n{samples:,} samples."
