"""The tables of docs/performance.md, each out of the results alone. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection

from bench.bare import OFF
from bench.curves import REFUSED_S, SHARE_S, WINDOW_S, figures
from bench.figures import Results, nested, of, ratio
from bench.goals import NOT_MEASURED, goals
from bench.markdown import KINDS, said, table
from bench.scenarios import GULPS
from bench.tables_profile import doors, libraries

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
    "tls-two-datasets": "TLS, 0 ms, two datasets in turn",
    "tls-no-dataset": "TLS, 0 ms, no `datasetId`: it is inserted",
    "tls-entity": "TLS, 0 ms, `format: entity`: wrapped",
}
"""Steps of the throughput part, as the document calls them."""
CONNECTOR = (
    ("its defaults (4 KB flush), 1 task", "10,900 / 126", "139 / 547", "1.4 GB"),
    ("its defaults, 4 tasks", "8,000 / 500", "204 / 376", "1.3 GB"),
    ("tuned by hand, JsonConverter, 1 task", "26,800 / 12,800", "57 / 61", "2.1 GB"),
    ("tuned by hand, JsonConverter, 4 tasks", "27,700 / 24,600", "72 / 73", "1.9 GB"),
    ("tuned by hand, StringConverter (its fastest), 1 task", "49,600 / 17,400", "28 / 29", "1.6 GB"),
    ("tuned by hand, StringConverter, 4 tasks", "48,100 / 46,100", "41 / 34", "1.6 GB"),
)
"""Adobe's connector 0.0.30, measured once before this project began, on this kind of machine and with the same events; not by `make bench`."""


def about(results: Results) -> str:
    """Of each part: when, at which revision, with which command; and the machine."""
    rows, machines = [], []
    for part, found in results.items():
        machine = found["machine"]
        rows.append(
            (
                part,
                machine["date"],
                f"`{machine['revision']}`",
                f"{found['took_s'] / 60:.1f} min",
                f"`{found['command']}`",
            )
        )
        machines.append(
            f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, Linux {machine['kernel']}; "
            f"Python {machine['python']}, confluent-kafka {machine['confluent_kafka']}, librdkafka {machine['librdkafka']}."
        )
    return "\n\n".join(
        [*dict.fromkeys(machines), table(("part", "began", "revision", "took", "command"), rows, left=5)]
    )


def goal_rows(results: Results, parts: Collection[str] = ()) -> str:
    """Every goal; with `parts` those of them alone."""
    rows = [
        (goal.name, goal.bound, goal.measured, "met" if goal.met else f"**{goal.verdict}**")
        for goal in goals(results)
        if not parts or goal.part in parts
    ]
    return table(("goal", "", "measured", ""), rows)


def missed(results: Results) -> str:
    """The goals that were not met, in a sentence. One that was not measured is not met."""
    every = goals(results)
    lines = [
        f"- {goal.name}: {goal.measured}, instead of {goal.bound}." for goal in every if goal.met is False
    ]
    lines += [f"- {goal.name}: {NOT_MEASURED}." for goal in every if goal.met is None]
    if not lines:
        return "Every goal is met."
    counted = [sum(goal.verdict == verdict for goal in every) for verdict in ("missed", NOT_MEASURED)]
    told = [
        f"{number} {'is' if number == 1 else 'are'} {verdict}"
        for number, verdict in zip(counted, ("missed", NOT_MEASURED), strict=True)
        if number
    ]
    return f"Of {len(every)} goals {' and '.join(told)}:\n\n" + "\n".join(lines)


def throughput(results: Results) -> str:
    """Cost and speed of each run."""
    rows = []
    for step, name in NAMES.items():
        values = [
            of(results, "throughput", step, key)
            for key in ("cpu_s_per_million", "events_per_s", "mb_per_s", "peak_mb", "requests", "busiest")
        ]
        if values[0] is None:
            rows.append((name, NOT_MEASURED, *["–"] * 6))
        else:
            against = ratio(results, "throughput", "read", step, "cpu_s_per_million")
            rows.append(
                (
                    name,
                    *(said(value, digits) for value, digits in zip(values[:1], (2,), strict=True)),
                    said(against),
                    *(said(value, 0) for value in values[1:]),
                )
            )
    return table(
        (
            "",
            "CPU s per million",
            "events per CPU s, of reading alone",
            "events/s",
            "MB/s",
            "peak MB",
            "requests",
            "at once",
        ),
        rows,
    )


def threads(results: Results) -> str:
    """The same CPU by kind of thread."""
    rows = []
    for step, name in NAMES.items():
        split = nested(results, "throughput", step, "split_us")
        if split:
            rows.append((name, *(said(split.get(kind)) for kind in KINDS)))
    return table(("µs an event", *KINDS.values()), rows)


def sink(results: Results) -> str:
    """What the sink could take, and what it was given."""
    rows = []
    for kind in ("http", "tls"):
        most, given = (
            of(results, "throughput", f"sink-{kind}", "events_per_s"),
            of(results, "throughput", f"{kind}-0", "events_per_s"),
        )
        if most is not None and given is not None:
            share = ratio(results, "throughput", f"sink-{kind}", f"{kind}-0", "events_per_s")
            load = of(results, "throughput", f"{kind}-0", "sink_load")
            rows.append((kind.upper(), said(most, 0), said(given, 0), said(share, 1), said(load)))
    return table(
        (
            "",
            "takes of a trivial load, events/s",
            "is given by the bridge, events/s",
            "times as much",
            "CPU while it is, cores",
        ),
        rows,
    )


def latency(results: Results) -> str:
    """Percentiles by linger."""
    steps = results.get("latency", {}).get("runs", {})
    keys = ("p50", 1), ("p99", 1), ("p999", 1), ("events_per_s", 0)
    rows = [
        (step.partition("-")[2], *(said(of(results, "latency", step, key), digits) for key, digits in keys))
        for step in steps
    ]
    return table(("`linger_ms`", "p50, ms", "p99, ms", "p99.9, ms", "rate that was kept, events/s"), rows)


def scaling(results: Results) -> str:
    """Replicas, and how much of n times the work they do."""
    rows = []
    for step in results.get("scaling", {}).get("runs", {}):
        number = int(step)
        share = ratio(
            results, "scaling", step, "1", "events_per_s", lambda many, one, n=number: many / one / n
        )  # type: ignore[misc]
        rows.append(
            (
                step,
                said(of(results, "scaling", step, "events_per_s"), 0),
                said(share),
                said(of(results, "scaling", step, "cpu_s_per_million")),
            )
        )
    return table(("replicas", "events/s", "of n × one", "CPU s per million"), rows, left=0)


def startup(results: Results) -> str:
    """Seconds to the first 207, by how long the broker waits for more members."""
    brokers = {
        "first 207": "a broker that lets a first member join at once, `group.initial.rebalance.delay.ms=0`: the goal",
        "first 207, delayed": "Kafka's default: where the group is empty it waits 3 s, once, for more members",
    }
    rows = [
        (name, NOT_MEASURED if (found := of(results, "startup", step, "s")) is None else found.text())
        for step, name in brokers.items()
    ]
    return table(("", "from the start of the process to its first 207, s"), rows)


def quota(results: Results) -> str:
    """Figures of the curves."""
    rows = []
    for name, (run, *_) in results.get("quota", {}).get("runs", {}).items():
        if run:
            found = figures(run)
            share, back = found["least_share"], found["recovered_s"]
            told = (
                f"{found['used']:.1%}",
                f"{found['refused']:.2%}",
                _share(found["worst_refused"], 2),
                _share(share),
                _share(found["worst_share"]),
            )
            rows.append(
                (
                    name,
                    *told,
                    "–" if back is None else f"{back:.0f} s",
                    _share(found["least"]),
                    f"{found['most']:,.0f}",
                )
            )
        else:
            rows.append((name, NOT_MEASURED, *["–"] * 7))
    return table(
        (
            "scenario",
            "used once settled",
            "answered 429",
            f"worst {REFUSED_S} s of 429",
            "least share",
            f"worst {SHARE_S} s of a share",
            "95% of the raised quota after",
            f"least of {WINDOW_S} s once settled",
            f"most of {WINDOW_S} s, messages/s",
        ),
        rows,
    )


def _share(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}%}"


def connector(results: Results) -> str:
    """Ours beside Adobe's, at 0 and 30 ms."""
    rows = [(f"Adobe's connector, {name}", *cells) for name, *cells in CONNECTOR]
    for kind in ("http", "tls"):
        keys = ("events_per_s", 0), ("cpu_s_per_million", 1), ("peak_mb", 0)
        cells = [
            [(of(results, "throughput", f"{kind}-{ms}", key), digits) for ms in (0, 30)]
            for key, digits in keys
        ]
        if all(found is not None for pair in cells for found, _ in pair):
            speed, cost, peak = (
                " / ".join(f"{found.median:,.{digits}f}" for found, digits in pair if found) for pair in cells
            )
            rows.append(
                (
                    f"aep-bridge, its defaults, one process, {kind.upper()} (this run)",
                    speed,
                    cost,
                    f"{peak} MB",
                )
            )
    return table(("AEP answers at once / after 30 ms", "events/s", "CPU s per million", "peak memory"), rows)


def rates(results: Results) -> str:
    """What a pod needs, by the rate of its events."""
    cost = of(results, "throughput", "tls-30", "cpu_s_per_million")
    head = (
        "events a second of one replica",
        "CPU",
        f"CPU, with {', '.join(f'`{name}: {value}`' for name, value in GULPS.items())}",
    )
    rows = []
    for per_s, more in ((1000, ""), (10_000, ", Adobe's guidance for a whole organisation")):
        found = [of(results, "paced", f"{per_s}{gulps}", "cpu_m") for gulps in ("", ", gulps")]
        rows.append(
            (f"{per_s:,}{more}", *(NOT_MEASURED if each is None else each.text(0, "m") for each in found))
        )
    if cost is None:
        return table(head, rows)
    rows.append(
        (
            f"{1e6 / cost.median:,.0f}, calculated from {cost.median:.2f} s per million at full speed",
            "a whole core; a process uses little more than one",
            "–",
        )
    )
    return table(head, rows)


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
"""Those of docs/performance.md, by the name that stands in its marks."""
HOW_TO: dict[str, Callable[[Results], str]] = {"rates": rates}
"""Those of docs/how-to/kubernetes.md."""
EVERY = TABLES | HOW_TO
