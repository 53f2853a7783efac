"""All tables by their names in the documents, and the tables about the whole run: machine and goals. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection

from bench.programs.bridge_without_extras import EXTRAS
from bench.report.goals import NOT_MEASURED, goals
from bench.report.markdown import table
from bench.report.results import Results
from bench.report.tables_operation import latency, rates, scaling, startup
from bench.report.tables_profile import libraries, parts
from bench.report.tables_quota import quota
from bench.report.tables_throughput import connector, sink, threads, throughput


def about(results: Results) -> str:
    """Return the machine, and when, at which revision and with which command each part was measured."""
    rows, machines = [], []
    for part, entry in results.items():
        machine = entry["machine"]
        took, command = f"{entry['took_s'] / 60:.1f} min", f"`{entry['command']}`"
        rows.append((part, machine["date"], f"`{machine['revision']}`", took, command))
        machines.append(
            f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, "
            f"Linux {machine['kernel']}; Python {machine['python']}, "
            f"confluent-kafka {machine['confluent_kafka']}, librdkafka {machine['librdkafka']}."
        )
    different = dict.fromkeys(machines)
    return "\n\n".join([*different, table(("part", "began", "revision", "took", "command"), rows, left=5)])


def goal_table(results: Results, only_parts: Collection[str] = ()) -> str:
    """Return every goal, or the goals of some parts only."""
    rows = [
        (goal.name, goal.bound, goal.measured, "met" if goal.met else f"**{goal.verdict}**")
        for goal in goals(results)
        if not only_parts or goal.part in only_parts
    ]
    return table(("goal", "", "measured", ""), rows)


def missed(results: Results) -> str:
    """Return the goals that are not met, in a sentence and a list. One that was not measured is not met."""
    all_goals = goals(results)
    lines = [
        f"- {goal.name}: {goal.measured}, instead of {goal.bound}." for goal in all_goals if goal.met is False
    ]
    lines += [f"- {goal.name}: {NOT_MEASURED}." for goal in all_goals if goal.met is None]
    if not lines:
        return "Every goal is met."
    counts = []
    for verdict in ("missed", NOT_MEASURED):
        count = sum(goal.verdict == verdict for goal in all_goals)
        if count:
            counts.append(f"{count} {'is' if count == 1 else 'are'} {verdict}")
    return f"Of {len(all_goals)} goals {' and '.join(counts)}:\n\n" + "\n".join(lines)


def extras(results: Results) -> str:
    """Return what the process with its extras switched off does without."""
    del results
    return "\n".join(f"- **{name}**: {without}." for name, without in EXTRAS.items())


PERFORMANCE_TABLES: dict[str, Callable[[Results], str]] = {
    "about": about,
    "goals": goal_table,
    "missed": missed,
    "throughput": throughput,
    "threads": threads,
    "sink": sink,
    "extras": extras,
    "parts": parts,
    "libraries": libraries,
    "latency": latency,
    "scaling": scaling,
    "startup": startup,
    "quota": quota,
    "connector": connector,
}
"""Tables of docs/performance.md."""
KUBERNETES_TABLES: dict[str, Callable[[Results], str]] = {"rates": rates}
"""Tables of docs/how-to/kubernetes.md."""
ALL_TABLES = PERFORMANCE_TABLES | KUBERNETES_TABLES
