"""Checks of single events and offsets: where an event is, what settled it, which commits came too early."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from confluent_kafka import Message

from tests.chaos.replica_config import AFTERMATH_S
from tests.chaos.timeline import Arrival, Commits, FaultWindow

Positions = Mapping[str, tuple[int, int]]
"""By event: partition and offset; offset -1 where it is not known."""
Arrivals = Mapping[str, Sequence[Arrival]]
"""By event."""
MAX_EARLY_COMMITS = 5
"""Problems that are reported of commits that came too early."""


def event_positions(
    acknowledged: Mapping[str, tuple[int, int | None]], read_topic: Callable[[], Iterable[Message]]
) -> dict[str, tuple[int, int]]:
    """Return partition and offset of each event. Those without an offset are looked up in the topic.

    When a producer sends a record again that a broker already has, the acknowledgement has no offset.
    """
    positions = {
        event: (partition, offset)
        for event, (partition, offset) in acknowledged.items()
        if offset is not None
    }
    if len(positions) < len(acknowledged):
        for message in read_topic():
            position = (message.partition() or 0, message.offset() or 0)
            positions.setdefault((message.key() or b"").decode(), position)
    return {event: positions.get(event, (partition, -1)) for event, (partition, _) in acknowledged.items()}


def settling_arrivals(
    positions: Positions, accepted: Arrivals, dead_letters: Arrivals, spoiling_rules: Collection[int]
) -> dict[int, dict[int, list[Arrival]]]:
    """Return for each partition its offsets, and the arrivals by which a sender knew that they were settled.

    An arrival whose response was spoilt by a rule of the simulator is not one of them.
    """
    settled: dict[int, dict[int, list[Arrival]]] = {}
    for event, (partition, offset) in positions.items():
        arrivals = (*accepted.get(event, ()), *dead_letters.get(event, ()))
        readable = [arrival for arrival in arrivals if arrival.rule not in spoiling_rules]
        settled.setdefault(partition, {})[offset] = readable
    return settled


def never_confirmed(accepted: Arrivals, spoiling_rules: Collection[int]) -> set[str]:
    """Return the events that AEP accepted without ever saying so.

    No replica may take them for settled, so each must have been sent again.
    """
    return {
        event
        for event, arrivals in accepted.items()
        if all(arrival.rule in spoiling_rules for arrival in arrivals)
    }


def faults_without_hits(windows: Iterable[FaultWindow]) -> list[str]:
    """Return a problem for each kind of fault that never hit anything: the campaign has not tested it."""
    hits: Counter[str] = Counter()
    for window in windows:
        hits[window.kind] += window.hits
    return [f"the fault {kind!r} hit nothing" for kind in sorted(hits) if not hits[kind]]


def early_commits(positions: Positions, settled: Arrivals, commits: Commits) -> list[str]:
    """Return a problem for each offset that was committed before everything below it was settled."""
    by_partition: dict[int, list[tuple[float, float, str]]] = {}
    for event, (partition, offset) in positions.items():
        at = min((arrival.at for arrival in settled.get(event, ())), default=math.inf)
        by_partition.setdefault(partition, []).append((offset, at, event))
    problems = []
    for partition, events in by_partition.items():
        events.sort()
        remaining = iter(sorted(commits.get(partition, ()), key=lambda commit: commit[1]))
        latest_at, latest_event = 0.0, ""
        commit = next(remaining, None)
        for offset, at, event in [*events, (math.inf, 0.0, "")]:
            while commit is not None and commit[1] <= offset:
                committed_at, committed = commit
                if latest_at > committed_at:
                    text = (
                        f"partition {partition}: {committed} was committed before {latest_event} was settled"
                    )
                    problems.append(text)
                commit = next(remaining, None)
            latest_at, latest_event = max((latest_at, latest_event), (at, event))
    return problems[:MAX_EARLY_COMMITS]


def standing_commits(
    commits: Commits, windows: Sequence[FaultWindow]
) -> tuple[dict[int, list[tuple[float, int]]], int, list[str]]:
    """Return the commits that stood, how often an offset went back, and a problem for each time it must not.

    Kafka's client by itself repeats each commit that the brokers left unanswered. So an earlier commit may
    arrive after a later one, and the committed offset goes back: never below what was committed when the
    brokers' trouble began, and never without such trouble. A zombie alone must not cause it; beside such
    trouble a zombie is not distinguished here. `tests/integration` shows that brokers refuse the commits of
    a zombie, and the simulation assumes it.
    """
    standing: dict[int, list[tuple[float, int]]] = {}
    went_back, problems = 0, []
    for partition, observed in commits.items():
        kept = standing.setdefault(partition, [])
        for at, offset in observed:
            if kept and offset < kept[-1][1]:
                undone = [commit for commit in kept if commit[1] > offset]
                went_back += 1
                if not any(_may_undo(window, undone[0][0], at) for window in windows):
                    highest = undone[-1][1]
                    text = f"partition {partition}: the committed offset went back from {highest} to {offset}"
                    problems.append(text)
                kept[:] = [commit for commit in kept if commit[1] <= offset]
            kept.append((at, offset))
    return standing, went_back, problems


def _may_undo(window: FaultWindow, undone_at: float, now: float) -> bool:
    """Say whether a commit of `undone_at` may be undone now, because the fault left commits unanswered."""
    in_time = window.start <= undone_at and now <= min(window.end + AFTERMATH_S, window.explains_until)
    return window.blocks_commits and in_time
