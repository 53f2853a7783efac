"""The end of a campaign: what was produced is compared with AEP and with the dead-letter topic.

Every event has to be settled, every duplicate explained, and every kind of fault must have hit something.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from tests.chaos.detection import check_detection
from tests.chaos.duplicates import Duplicate, FaultExplanations, WaitingRecords
from tests.chaos.event_checks import (
    Arrivals,
    Positions,
    early_commits,
    event_positions,
    faults_without_hits,
    never_confirmed,
    settling_arrivals,
    standing_commits,
)
from tests.chaos.harness import Harness
from tests.chaos.timeline import (
    Arrival,
    FaultWindow,
    Handover,
    NamedEvents,
    handovers,
    partitions_held,
    releases,
)

DRIP = "slow drip"
"""The one fault that spoils a response and that a replica may still read to its end in time."""
BEFORE_FAULT_S = 1.0
"""Seconds before a fault of a replica in which its partitions count as touched: they may be about to move."""
MAX_REQUEST_BYTES = 1_000_000
SHOWN_EVENTS = 5
"""How many events a problem names."""


@dataclass(slots=True)
class CampaignResult:
    """What a campaign found. It passed if there are no problems."""

    problems: list[str]
    figures: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    duplicates: list[dict[str, Any]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class _Events:
    """What became of every event, by its id."""

    produced: Positions
    accepted: Arrivals
    dead_letters: Arrivals
    lost: list[str]
    wrongly_dead_lettered: list[str]


@dataclass(frozen=True, slots=True)
class _Duplicates:
    """All duplicates, and which of them have no explanation."""

    all: list[Duplicate]
    behind_waiting_records: int
    unexplained: frozenset[Duplicate]
    detection: dict[str, str]


def evaluate(harness: Harness, settled_s: float) -> CampaignResult:
    """Compare everything. Reads the dead-letter topic, so the replicas must have ended."""
    problems = list(harness.journal.problems)
    began, faults = harness.journal.began, harness.journal.windows
    events = _check_events(harness, problems)
    settled = {**events.dead_letters, **events.accepted}
    problems += early_commits(events.produced, settled, harness.offsets.commits)
    problems += faults_without_hits(faults)

    windows = _windows_with_partitions(harness)
    commits, went_back, wrongly_undone = standing_commits(harness.offsets.commits, windows)
    problems += wrongly_undone
    replicas = [(replica.name, replica.partition_events) for replica in harness.replicas.all]
    moves = handovers(replicas, commits)
    duplicates = _explain_duplicates(harness, events, windows, moves, replicas, problems)
    problems += _process_problems(harness)

    dead_letter_duplicates = sum(duplicate.dead_letter for duplicate in duplicates.all)
    figures = {
        "seconds": round(max((window.end for window in faults), default=began) - began, 1),
        "events_produced": len(events.produced),
        "events_accepted": len(events.accepted),
        "events_dead_lettered": len(events.dead_letters),
        "duplicates": len(duplicates.all) - dead_letter_duplicates,
        "duplicates_bound": sum(window.allowed_duplicates for window in windows),
        "duplicates_behind_waiting_records": duplicates.behind_waiting_records,
        "duplicates_unexplained": len(duplicates.unexplained),
        "dead_letter_duplicates": dead_letter_duplicates,
        "lost": len(events.lost),
        "dead_lettered_wrongly": len(events.wrongly_dead_lettered),
        "commits_that_went_back": went_back,
        "faults": len(faults),
        "faults_alone": sum(window.alone for window in faults),
        "fault_kinds": len({window.kind for window in faults}),
        "faults_without_a_hit": sum(window.hits == 0 for window in faults),
        **duplicates.detection,
        "partitions_moved": sum(map(len, moves.values())),
        "settled_after_s": round(settled_s, 1),
        **_process_figures(harness),
    }
    return CampaignResult(
        problems,
        figures,
        events.lost,
        [_window_as_json(window, began) for window in windows],
        [_duplicate_as_json(each, began, each in duplicates.unexplained) for each in duplicates.all],
    )


def _check_events(harness: Harness, problems: list[str]) -> _Events:
    """Find every event that is not where it belongs: lost, accepted or dead-lettered wrongly, or altered."""
    clients, producer = harness.cluster.clients, harness.producer
    produced = event_positions(producer.acknowledged, lambda: clients.read_all(harness.topic, 120))
    kinds = producer.kinds
    accepted: Arrivals = harness.accounting.arrivals
    dead_letters: dict[str, list[Arrival]] = {}
    altered = 0
    for message in clients.read_all(harness.dead_letter_topic, 60):
        event = (message.key() or b"").decode()
        dead_letters.setdefault(event, []).append(Arrival(message.timestamp()[1] / 1000, None))
        altered += event not in kinds or message.value() != producer.value(event)
    bad = {event for event, kind in kinds.items() if kind != "good"}

    missing = "are not settled yet, with a lag" if harness.remaining_lag else "were lost"
    unsettled = produced.keys() - accepted.keys() - dead_letters.keys()
    lost = _list_events(problems, f"events {missing}", unsettled)
    _list_events(problems, "events were accepted that nobody produced", accepted.keys() - kinds.keys())
    wrongly = _list_events(problems, "events were dead-lettered wrongly", dead_letters.keys() - bad)
    _list_events(problems, "events that AEP refuses were accepted", accepted.keys() & bad)
    _list_events(problems, "events were not acknowledged to the producer", kinds.keys() - produced.keys())
    if altered:
        problems.append(f"{altered} dead letters are not what was produced, byte for byte")
    return _Events(produced, accepted, dead_letters, lost, wrongly)


def _list_events(problems: list[str], text: str, events: Iterable[str]) -> list[str]:
    """Return the events in order. If there are any, add a problem with their number and the first of them."""
    listed = sorted(events)
    if listed:
        more = " …" if len(listed) > SHOWN_EVENTS else ""
        problems.append(f"{len(listed)} {text}: {', '.join(listed[:SHOWN_EVENTS])}{more}")
    return listed


def _windows_with_partitions(harness: Harness) -> list[FaultWindow]:
    """Return all windows, including those of passed deadlines, with the partitions that each touched."""
    faults = harness.journal.windows
    windows = [*faults, *harness.replicas.deadlines_passed(faults)]
    events = {replica.name: replica.partition_events for replica in harness.replicas.all}
    for window in windows:
        if window.replica is not None and window.partitions is None:
            start = window.start - BEFORE_FAULT_S
            window.partitions = partitions_held(events[window.replica], start, window.end)
    return windows


def _explain_duplicates(
    harness: Harness,
    events: _Events,
    windows: Sequence[FaultWindow],
    moves: Mapping[int, Sequence[Handover]],
    replicas: NamedEvents,
    problems: list[str],
) -> _Duplicates:
    """Find the duplicates that nothing explains, and check that such duplicates would be noticed."""
    spoiling_rules = {window.rule: window.kind for window in windows if window.rule is not None}
    unreadable = {rule for rule, kind in spoiling_rules.items() if kind != DRIP}
    unconfirmed = never_confirmed(events.accepted, unreadable) & events.produced.keys()
    _list_events(problems, "events were settled by a response that did not say so", unconfirmed)

    settled = settling_arrivals(events.produced, events.accepted, events.dead_letters, spoiling_rules)
    waiting = WaitingRecords(moves, releases(replicas), settled)
    explanations = FaultExplanations(windows, moves, harness.plan.per_s)
    duplicates = [
        Duplicate(event, *events.produced.get(event, (-1, -1)), first, second, dead_letter)
        for source, dead_letter in ((events.accepted, False), (events.dead_letters, True))
        for event, arrivals in source.items()
        for first, second in pairwise(sorted(arrivals, key=lambda arrival: arrival.at))
    ]
    without_fault = explanations.assign(duplicates)
    unexplained = [duplicate for duplicate in without_fault if not waiting.explain(duplicate)]
    if unexplained:
        problems.append(_unexplained_problem(unexplained, harness.journal.began))

    accepted = {event: position for event, position in events.produced.items() if event in events.accepted}
    detection, missed = check_detection(explanations, waiting, windows, accepted, events.accepted)
    problems += [f"the evaluation misses duplicates: {text}" for text in missed]
    waited = len(without_fault) - len(unexplained)
    return _Duplicates(duplicates, waited, frozenset(unexplained), detection)


def _unexplained_problem(unexplained: Sequence[Duplicate], began: float) -> str:
    count, example = len(unexplained), unexplained[0]
    first, second = example.first, example.second
    first, second = example.first, example.second
    return (
        f"{count} duplicates have no fault that explains them within its bound, such as {example.event} of "
        f"partition {example.partition} by {first.replica} at {first.at - began:.1f} "
        f"and {second.replica} at {second.at - began:.1f} s{', a dead letter' if example.dead_letter else ''}"
    )


def _process_problems(harness: Harness) -> list[str]:
    problems = [
        f"{replica.name} had files open for writing: {sorted(replica.files)}"
        for replica in harness.replicas.all
        if replica.files
    ]
    largest = harness.simulator.stats["max_request_bytes"]
    if largest > MAX_REQUEST_BYTES:
        problems.append(f"a request had {largest} bytes")
    return problems


def _process_figures(harness: Harness) -> dict[str, Any]:
    replicas, outcomes = harness.replicas.all, harness.accounting.outcomes
    return {
        "replicas_started": len(replicas),
        "requests": sum(outcomes.values()),
        "files_written": len({file for replica in replicas for file in replica.files}),
        "peak_memory_mib": max(replica.peak_bytes for replica in replicas) >> 20,
        "responses": dict(outcomes.most_common()),
    }


def _window_as_json(window: FaultWindow, began: float) -> dict[str, Any]:
    until = window.explains_until
    return {
        **asdict(window),
        "start": round(window.start - began, 1),
        "end": round(window.end - began, 1),
        "partitions": None if window.partitions is None else sorted(window.partitions),
        "explains_until": None if until == math.inf else round(until - began, 1),
    }


def _duplicate_as_json(duplicate: Duplicate, began: float, unexplained: bool) -> dict[str, Any]:
    def arrival_as_json(arrival: Arrival) -> dict[str, Any]:
        return {"at": round(arrival.at - began, 2), "by": arrival.replica, "rule": arrival.rule}

    return {
        "event": duplicate.event,
        "partition": duplicate.partition,
        "offset": duplicate.offset,
        "dead_letter": duplicate.dead_letter,
        "first": arrival_as_json(duplicate.first),
        "second": arrival_as_json(duplicate.second),
        "unexplained": unexplained,
    }
