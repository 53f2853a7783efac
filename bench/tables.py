"""The tables of docs/performance.md, each out of the results alone. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.bare import OFF
from bench.curves import figures
from bench.figures import Figure, Results, nested, of, ratio, rounds
from bench.goals import Goal, goals

NAMES = {
    "read": "reading alone (`consume` and drop)",
    "prepare": "reading, validating and splicing, nothing sent",
    "http-0": "HTTP, 0 ms",
    "http-30": "HTTP, 30 ms",
    "http-150": "HTTP, 150 ms",
    "tls-0": "TLS, 0 ms",
    "tls-30": "TLS, 30 ms",
    "tls-150": "TLS, 150 ms",
    "bare": "TLS, 0 ms, extras switched off",
    "tls-100kb": "TLS, 0 ms, batches of 100 KB",
    "tls-200b-events": "TLS, 0 ms, events of 200 B",
    "tls-10kb-events": "TLS, 0 ms, events of 10 KB",
}
"""Steps of the throughput part, as the document calls them."""
_KINDS = {"client": "Kafka's client", "main": "the loop", "others": "other threads"}
DOOR_RUNS = {"doors-tls": "TLS", "doors-tls-30": "TLS, 30 ms", "doors-http": "HTTP", "doors-tls-100kb": "TLS, batches of 100 KB"}
_CLIENT, _BETWEEN, _ALL = (
    "Kafka's client, its own threads: fetch, check, queue",
    "between the doors: handing the interpreter over, waking up",
    "all of the process",
)
NEEDED = (_CLIENT, "read: out of the client's queue", "read: group and weigh", "validate", "splice", "send: TLS and socket", "read the answer")
"""Parts that every bridge has, whatever it promises."""
CONNECTOR = (
    ("its defaults (4 KB flush), 1 task", "10,900 / 126", "139 / 547", "1.4 GB"),
    ("its defaults, 4 tasks", "8,000 / 500", "204 / 376", "1.3 GB"),
    ("tuned by hand, JsonConverter, 1 task", "26,800 / 12,800", "57 / 61", "2.1 GB"),
    ("tuned by hand, JsonConverter, 4 tasks", "27,700 / 24,600", "72 / 73", "1.9 GB"),
    ("tuned by hand, StringConverter (its fastest), 1 task", "49,600 / 17,400", "28 / 29", "1.6 GB"),
    ("tuned by hand, StringConverter, 4 tasks", "48,100 / 46,100", "41 / 34", "1.6 GB"),
)
"""Adobe's connector 0.0.30, measured once before this project began, on this kind of machine and with the same events; not by `make bench`."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    marks = ["---" if n < left else "---:" for n in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, marks, *rows])


def _said(found: Figure | None, digits: int = 2) -> str:
    return "–" if found is None else found.text(digits)


def about(results: Results) -> str:
    """Of each part: when, at which revision, with which command; and the machine."""
    rows, machines = [], []
    for part, found in results.items():
        machine = found["machine"]
        rows.append((part, machine["date"], f"`{machine['revision']}`", f"{found['took_s'] / 60:.1f} min", f"`{found['command']}`"))
        machines.append(
            f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, Linux {machine['kernel']}; "
            f"Python {machine['python']}, confluent-kafka {machine['confluent_kafka']}, librdkafka {machine['librdkafka']}."
        )
    return "\n\n".join([*dict.fromkeys(machines), _table(("part", "began", "revision", "took", "command"), rows, left=5)])


def goal_rows(results: Results) -> str:
    """Every goal of the parts that were measured."""
    rows = [(goal.name, goal.bound, goal.measured, "met" if goal.met else "**missed**") for goal in goals(results)]
    return _table(("goal", "", "measured", ""), rows)


def missed(results: Results) -> str:
    """The goals that were not met, in a sentence."""
    found: list[Goal] = [goal for goal in goals(results) if not goal.met]
    if not found:
        return "Every goal is met."
    return f"Of {len(goals(results))} goals {len(found)} {'is' if len(found) == 1 else 'are'} missed:\n\n" + "\n".join(
        f"- {goal.name}: {goal.measured}, instead of {goal.bound}." for goal in found
    )


def throughput(results: Results) -> str:
    """Cost and speed of each run."""
    rows = []
    for step, name in NAMES.items():
        values = [of(results, "throughput", step, key) for key in ("cpu_s_per_million", "events_per_s", "mb_per_s", "peak_mb", "requests", "busiest")]
        if values[0] is not None:
            against = ratio(results, "throughput", "read", step, "cpu_s_per_million")
            rows.append(
                (
                    name,
                    *(_said(value, digits) for value, digits in zip(values[:1], (2,), strict=True)),
                    _said(against),
                    *(_said(value, 0) for value in values[1:]),
                )
            )
    return _table(("", "CPU s per million", "events per CPU s, of reading alone", "events/s", "MB/s", "peak MB", "requests", "at once"), rows)


def threads(results: Results) -> str:
    """The same CPU by kind of thread."""
    rows = []
    for step, name in NAMES.items():
        split = nested(results, "throughput", step, "split_us")
        if split:
            rows.append((name, *(_said(split.get(kind)) for kind in _KINDS)))
    return _table(("µs an event", *_KINDS.values()), rows)


def sink(results: Results) -> str:
    """What the sink could take, and what it was given."""
    rows = []
    for kind in ("http", "tls"):
        most, given = of(results, "throughput", f"sink-{kind}", "events_per_s"), of(results, "throughput", f"{kind}-0", "events_per_s")
        if most is not None and given is not None:
            share = ratio(results, "throughput", f"sink-{kind}", f"{kind}-0", "events_per_s")
            load = of(results, "throughput", f"{kind}-0", "sink_load")
            rows.append((kind.upper(), _said(most, 0), _said(given, 0), _said(share, 1), _said(load)))
    return _table(("", "takes of a trivial load, events/s", "is given by the bridge, events/s", "times as much", "CPU while it is, cores"), rows)


def doors(results: Results) -> str:
    """Where each microsecond goes: the parts, in µs a record."""
    columns = [found for step in DOOR_RUNS if (found := _spent(results, step))]
    if len(columns) < len(DOOR_RUNS):
        return "Not measured."
    first = columns[0]
    rows = [(part, f"{us:.3f}", f"{us / first[_ALL]:.0%}", *(f"{column.get(part, 0.0):.3f}" for column in columns[1:])) for part, us in first.items()]
    needed, between = sum(first.get(part, 0.0) for part in NEEDED), first[_BETWEEN]
    told = (
        f"Of {first[_ALL]:.2f} µs, {needed:.2f} are reading, validating, splicing, sending and reading the answer, which no bridge can leave out; "
        f"{first[_ALL] - needed - between:.2f} are what this one does besides; {between:.2f} lie between the doors."
    )
    title, *titles = DOOR_RUNS.values()
    return _table(("µs a record, medians of the rounds", title, "share", *titles), rows) + "\n\n" + told


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
    names = sorted({cell.partition("/")[2] for cell in cells}, key=lambda name: -sum(cells[cell].median for cell in cells if cell.endswith("/" + name)))

    def at(kind: str, name: str) -> float:
        found = cells.get(f"{kind}/{name}")
        return 0.0 if found is None else found.median

    rows = [(name, *(f"{at(kind, name):.2f}" for kind in _KINDS), f"{sum(at(kind, name) for kind in _KINDS):.2f}") for name in names]
    samples = sum(each["samples"] for each in rounds(results, "profile", "perf") if each)
    return _table(("µs a record", *_KINDS.values(), "all"), rows) + f"\n\n{samples:,} samples."


def latency(results: Results) -> str:
    """Percentiles by linger."""
    steps = results.get("latency", {}).get("runs", {})
    rows = [(step.partition("-")[2], *(_said(of(results, "latency", step, key), 1) for key in ("p50", "p99", "p999"))) for step in steps]
    return _table(("`linger_ms`", "p50, ms", "p99, ms", "p99.9, ms"), rows)


def scaling(results: Results) -> str:
    """Replicas, and how much of n times the work they do."""
    rows = []
    for step in results.get("scaling", {}).get("runs", {}):
        number = int(step)
        share = ratio(results, "scaling", step, "1", "events_per_s", lambda many, one, n=number: many / one / n)  # type: ignore[misc]
        rows.append((step, _said(of(results, "scaling", step, "events_per_s"), 0), _said(share), _said(of(results, "scaling", step, "cpu_s_per_million"))))
    return _table(("replicas", "events/s", "of n × one", "CPU s per million"), rows, left=0)


def startup(results: Results) -> str:
    """Seconds to the first 207."""
    return f"{_said(of(results, 'startup', 'first 207', 's'))} s from the start of the process to its first 207."


def quota(results: Results) -> str:
    """Figures of the curves."""
    rows = []
    for name, (run, *_) in results.get("quota", {}).get("runs", {}).items():
        if run:
            found = figures(run)
            share, back = found["least_share"], found["recovered_s"]
            told = (f"{found['used']:.1%}", f"{found['refused']:.2%}", "–" if share is None else f"{share:.0%}", "–" if back is None else f"{back:.0f} s")
            rows.append((name, *told, f"{found['least']:.0%}", f"{found['most']:,.0f}"))
    return _table(
        (
            "scenario",
            "used once settled",
            "answered 429",
            "least share",
            "95% of the raised quota after",
            "least of 10 s once settled",
            "most of 10 s, messages/s",
        ),
        rows,
    )


def connector(results: Results) -> str:
    """Ours beside Adobe's, at 0 and 30 ms."""
    rows = [(f"Adobe's connector, {name}", *cells) for name, *cells in CONNECTOR]
    for kind in ("http", "tls"):
        keys = ("events_per_s", 0), ("cpu_s_per_million", 1), ("peak_mb", 0)
        cells = [[(of(results, "throughput", f"{kind}-{ms}", key), digits) for ms in (0, 30)] for key, digits in keys]
        if all(found is not None for pair in cells for found, _ in pair):
            speed, cost, peak = (" / ".join(f"{found.median:,.{digits}f}" for found, digits in pair if found) for pair in cells)
            rows.append((f"aep-bridge, its defaults, one process, {kind.upper()} (this run)", speed, cost, f"{peak} MB"))
    return _table(("AEP answers at once / after 30 ms", "events/s", "CPU s per million", "peak memory"), rows)


def off(results: Results) -> str:
    """What the process with its extras switched off does without."""
    del results
    return "\n".join(f"- **{name}**: {what}." for name, what in OFF.items())


TABLES: dict[str, Callable[[Results], str]] = {
    "about": about,
    "goals": goal_rows,
    "missed": missed,
    "throughput": throughput,
    "threads": threads,
    "sink": sink,
    "doors": doors,
    "libraries": libraries,
    "latency": latency,
    "scaling": scaling,
    "startup": startup,
    "quota": quota,
    "connector": connector,
    "off": off,
}
"""By the name that stands in the document's marks."""
