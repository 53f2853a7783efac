"""Whether the evaluation notices duplicates: it is given invented ones, which no fault may have caused."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

from tests.chaos.duplicates import Duplicate, FaultExplanations, WaitingRecords
from tests.chaos.timeline import Arrival, FaultWindow

MAX_INVENTED = 300
"""Duplicates that are invented for each fault."""
DELAY_S = 0.3
"""Seconds after which an invented duplicate arrives."""
NOTICED_SHARE = 0.95
"""The share of the duplicates invented for a fault alone that must be noticed.

The others are explained by the handovers of that fault, behind a record that waited.
"""

EventArrival = tuple[str, int, int, Arrival]
"""Event, partition, offset, arrival."""


def check_detection(
    explanations: FaultExplanations,
    waiting: WaitingRecords,
    windows: Sequence[FaultWindow],
    positions: Mapping[str, tuple[int, int]],
    accepted: Mapping[str, Sequence[Arrival]],
) -> tuple[dict[str, str], list[str]]:
    """Invent duplicates for each fault that must repeat nothing, and count how many are noticed.

    Return the two figures for the report, and a problem for each fault alone of which too few are noticed.
    """
    arrivals = [(event, *positions[event], arrival) for event in positions for arrival in accepted[event]]
    arrivals.sort(key=lambda each: each[3].at)
    replicas = sorted({arrival.replica or "" for *_, arrival in arrivals})
    totals: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    problems = []
    for window in windows:
        if not (window.alone or _may_repeat_nothing(window)):
            continue
        invented = invent_duplicates(arrivals, window, replicas)
        without_fault = explanations.unexplained(invented)
        noticed = sum(not waiting.explain(duplicate) for duplicate in without_fault)
        totals[window.alone] += Counter(invented=len(invented), noticed=noticed)
        too_few = len(without_fault) < len(invented) or noticed < NOTICED_SHARE * len(invented)
        if window.alone and too_few:
            problems.append(
                f"of {len(invented)} duplicates added to {window.kind!r} alone, {noticed} were noticed"
            )
    shown = {alone: f"{total['noticed']:,} of {total['invented']:,}" for alone, total in totals.items()}
    figures = {
        "added_duplicates_noticed": shown[True],
        "added_duplicates_noticed_among_other_faults": shown[False],
    }
    return figures, problems


def _may_repeat_nothing(window: FaultWindow) -> bool:
    causes = window.loses_responses or window.moves_partitions or window.loses_acknowledgements
    return not causes and window.rule is None


def invent_duplicates(
    arrivals: Sequence[EventArrival], window: FaultWindow, replicas: Sequence[str]
) -> list[Duplicate]:
    """Return duplicates that no fault may have caused: events of the time of the fault, a moment later.

    Every second one comes from another replica than the first arrival. `arrivals` are in the order of time.
    """
    first = bisect_left(arrivals, window.start, key=lambda each: each[3].at)
    last = bisect_left(arrivals, window.end, key=lambda each: each[3].at)
    step = max(1, (last - first) // MAX_INVENTED)
    invented = []
    for number, (event, partition, offset, arrival) in enumerate(arrivals[first:last:step][:MAX_INVENTED]):
        others = [name for name in replicas if name != arrival.replica]
        replica = others[number // 2 % len(others)] if number % 2 and others else arrival.replica
        second = Arrival(arrival.at + DELAY_S, replica)
        invented.append(Duplicate(event, partition, offset, arrival, second))
    return invented
