"""The verdict: what was produced against what AEP accepted and what the dead-letter topic holds, every copy against the timeline, and every fault against what it hit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from confluent_kafka import Message

from tests.chaos.copies import AFTER_S, Copy, Judge, Waiting, added
from tests.chaos.stage import Stage
from tests.chaos.timeline import Arrival, Window, handovers, held, releases

SEEN = 0.95
"""The share of the copies added to a fault alone that must be noticed. Its hand-overs explain the others: behind a record that waited (`Waiting`)."""
DRIP = "slow drip"
"""The one fault of an answer that may still be read whole in time."""
BEFORE_S = 1.0
"""So long before a fault of a replica its partitions count as touched: they may be on their way to another one."""


@dataclass(slots=True)
class Verdict:
    """What a campaign found."""

    problems: list[str]
    figures: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    copies: list[dict[str, Any]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def judge(stage: Stage, settled_s: float) -> Verdict:
    """Compares everything. Reads the dead-letter topic; the replicas have ended."""
    produced = placed(stage.producing.acknowledged, lambda: stage.kafka.clients.read_all(stage.topic, 120))
    kinds = stage.producing.asked
    accepted: Mapping[str, list[Arrival]] = stage.accounting.arrivals
    letters: dict[str, list[Arrival]] = {}
    problems = list(stage.problems)
    altered = 0
    for message in stage.kafka.clients.read_all(stage.dead_letter_topic, 60):
        event = (message.key() or b"").decode()
        letters.setdefault(event, []).append(Arrival(message.timestamp()[1] / 1000, None))
        altered += event not in kinds or message.value() != stage.producing.value(event)
    bad = {event for event, kind in kinds.items() if kind != "good"}

    def check(name: str, events: Iterable[str]) -> list[str]:
        found = sorted(events)
        if found:
            problems.append(f"{len(found)} {name}: {', '.join(found[:5])}{' …' if len(found) > 5 else ''}")
        return found

    missing = "are not settled yet, with a lag" if stage.behind else "were lost"
    lost = check(f"events {missing}", produced.keys() - accepted.keys() - letters.keys())
    check("events were accepted that nobody produced", accepted.keys() - kinds.keys())
    wrongly = check("events were dead-lettered wrongly", letters.keys() - bad)
    check("events that AEP refuses were accepted", accepted.keys() & bad)
    check("events were not acknowledged to the producer", kinds.keys() - produced.keys())
    if altered:
        problems.append(f"{altered} dead letters are not what was produced, byte for byte")
    problems += early(produced, {**letters, **accepted}, stage.offsets.commits)
    problems += unhit(stage.windows)

    windows = [*stage.windows, *stage.fleet.cut_off(stage.windows)]
    for window in windows:
        if window.replica is not None and window.partitions is None:
            lanes = next(replica.lanes for replica in stage.fleet.every if replica.name == window.replica)
            window.partitions = held(lanes, window.start - BEFORE_S, window.end)
    commits, went_back, wrong = standing(stage.offsets.commits, windows)
    problems += wrong
    moves = handovers(((replica.name, replica.lanes) for replica in stage.fleet.every), commits)
    judging = Judge(windows, moves, stage.plan.per_s)
    copies = [
        Copy(event, *produced.get(event, (-1, -1)), before, after, letter)
        for source, letter in ((accepted, False), (letters, True))
        for event, times in source.items()
        for before, after in pairwise(sorted(times, key=lambda arrival: arrival.at))
    ]
    spoilt = {window.rule: window.kind for window in windows if window.rule is not None}
    check(
        "events were settled by an answer that did not say so",
        unsaid(accepted, {rule for rule, kind in spoilt.items() if kind != DRIP}) & produced.keys(),
    )
    waiting = Waiting(
        moves,
        releases((replica.name, replica.lanes) for replica in stage.fleet.every),
        known(produced, accepted, letters, spoilt),
    )
    without = judging.explain(copies)
    unexplained = [copy for copy in without if not waiting.explains(copy)]
    left = frozenset(unexplained)
    if unexplained:
        example = unexplained[0]
        problems.append(
            f"{len(unexplained)} copies have no fault that explains them within its bound, such as {example.event} of partition {example.partition} "
            f"by {example.before.replica} at {example.before.at - stage.began:.1f} and {example.after.replica} at {example.after.at - stage.began:.1f} s"
            f"{', a dead letter' if example.letter else ''}"
        )
    noticed, blind = tried(
        judging,
        waiting,
        windows,
        {event: where for event, where in produced.items() if event in accepted},
        accepted,
    )
    problems += [f"the judge is blind: {text}" for text in blind]
    for replica in stage.fleet.every:
        if replica.files:
            problems.append(f"{replica.name} had files open for writing: {sorted(replica.files)}")
    if stage.sim.stats["max_request_bytes"] > 1_000_000:
        problems.append(f"a request had {stage.sim.stats['max_request_bytes']} bytes")
    figures = {
        "seconds": round(max((window.end for window in stage.windows), default=stage.began) - stage.began, 1),
        "events_produced": len(produced),
        "events_accepted": len(accepted),
        "events_dead_lettered": len(letters),
        "copies": sum(not copy.letter for copy in copies),
        "copies_bound": sum(window.repeats for window in windows),
        "copies_behind_waiting_records": len(without) - len(unexplained),
        "copies_unexplained": len(unexplained),
        "dead_letter_copies": sum(copy.letter for copy in copies),
        "lost": len(lost),
        "dead_lettered_wrongly": len(wrongly),
        "commits_that_went_back": went_back,
        "faults": len(stage.windows),
        "faults_alone": sum(window.alone for window in stage.windows),
        "fault_kinds": len({window.kind for window in stage.windows}),
        "faults_without_a_hit": sum(window.hits == 0 for window in stage.windows),
        **noticed,
        "partitions_moved": sum(map(len, moves.values())),
        "replicas_started": len(stage.fleet.every),
        "requests": sum(stage.accounting.outcomes.values()),
        "settled_after_s": round(settled_s, 1),
        "files_written": len({file for replica in stage.fleet.every for file in replica.files}),
        "peak_memory_mib": max(replica.peak for replica in stage.fleet.every) >> 20,
        "answers": dict(stage.accounting.outcomes.most_common()),
    }
    return Verdict(
        problems,
        figures,
        lost,
        [_shown(window, stage.began) for window in windows],
        [_told(copy, stage.began, unexplained=copy in left) for copy in copies],
    )


def placed(
    acknowledged: Mapping[str, tuple[int, int | None]], read: Callable[[], Iterable[Message]]
) -> dict[str, tuple[int, int]]:
    """Partition and offset of each event. Those that no broker told are looked up in the topic.

    A producer that sends again what a broker has already is told that it has it, and no offset.
    """
    places = {
        event: (partition, offset)
        for event, (partition, offset) in acknowledged.items()
        if offset is not None
    }
    if len(places) < len(acknowledged):
        for message in read():
            places.setdefault(
                (message.key() or b"").decode(), (message.partition() or 0, message.offset() or 0)
            )
    return {event: places.get(event, (partition, -1)) for event, (partition, _) in acknowledged.items()}


def known(
    places: Mapping[str, tuple[int, int]],
    accepted: Mapping[str, Sequence[Arrival]],
    letters: Mapping[str, Sequence[Arrival]],
    spoilt: Collection[int],
) -> dict[int, dict[int, list[Arrival]]]:
    """For each partition its offsets, and the arrivals by which a sender knew them settled: not those with an answer that one of the `spoilt` rules gave."""
    settled: dict[int, dict[int, list[Arrival]]] = {}
    for event, (partition, offset) in places.items():
        arrivals = (*accepted.get(event, ()), *letters.get(event, ()))
        settled.setdefault(partition, {})[offset] = [
            arrival for arrival in arrivals if arrival.rule not in spoilt
        ]
    return settled


def unsaid(accepted: Mapping[str, Sequence[Arrival]], spoilt: Collection[int]) -> set[str]:
    """Events that AEP accepted and never said so: nobody may take them for settled, so they must have been sent again."""
    return {
        event for event, arrivals in accepted.items() if all(arrival.rule in spoilt for arrival in arrivals)
    }


def unhit(windows: Iterable[Window]) -> list[str]:
    """The kinds of faults that never hit anything: the campaign has not shown what it says."""
    hits: Counter[str] = Counter()
    for window in windows:
        hits[window.kind] += window.hits
    return [f"the fault {kind!r} hit nothing" for kind in sorted(hits) if not hits[kind]]


def early(
    places: Mapping[str, tuple[int, int]],
    settled: Mapping[str, Sequence[Arrival]],
    commits: Mapping[int, Sequence[tuple[float, int]]],
) -> list[str]:
    """Offsets that were seen to be committed before everything below them was accepted or dead-lettered."""
    by_partition: dict[int, list[tuple[int, float, str]]] = {}
    for event, (partition, offset) in places.items():
        at = min((arrival.at for arrival in settled.get(event, ())), default=math.inf)
        by_partition.setdefault(partition, []).append((offset, at, event))
    found = []
    for partition, events in by_partition.items():
        events.sort()
        seen = iter(sorted(commits.get(partition, ()), key=lambda each: each[1]))
        latest, which = 0.0, ""
        known = next(seen, None)
        for offset, at, event in [*events, (math.inf, 0.0, "")]:
            while known is not None and known[1] <= offset:
                if latest > known[0]:
                    found.append(
                        f"partition {partition}: {known[1]} was committed before {which} was settled"
                    )
                known = next(seen, None)
            latest, which = max((latest, which), (at, event))
    return found[:5]


def standing(
    commits: Mapping[int, Sequence[tuple[float, int]]], windows: Sequence[Window]
) -> tuple[dict[int, list[tuple[float, int]]], int, list[str]]:
    """The commits that were seen and stood, how many did not, and those that must have stood.

    Kafka's client repeats each commit that brokers left unanswered by itself: an earlier one may come in after a later one, and the committed offset goes
    back. Never below what was committed when the brokers' trouble began, and never without such trouble: not for a zombie alone. A zombie beside it can't be told
    from it here; that brokers refuse its commits the simulation assumes and `tests/integration` shows.
    """
    stood: dict[int, list[tuple[float, int]]] = {}
    back, problems = 0, []
    for partition, seen in commits.items():
        kept = stood.setdefault(partition, [])
        for at, offset in seen:
            if kept and offset < kept[-1][1]:
                undone = [each for each in kept if each[1] > offset]
                back += 1
                if not any(
                    window.commits
                    and window.start <= undone[0][0]
                    and at <= min(window.end + AFTER_S, window.until)
                    for window in windows
                ):
                    problems.append(
                        f"partition {partition}: the committed offset went back from {undone[-1][1]} to {offset}"
                    )
                kept[:] = [each for each in kept if each[1] <= offset]
            kept.append((at, offset))
    return stood, back, problems


def tried(
    judging: Judge,
    waiting: Waiting,
    windows: Sequence[Window],
    places: Mapping[str, tuple[int, int]],
    accepted: Mapping[str, Sequence[Arrival]],
) -> tuple[dict[str, str], list[str]]:
    """Adds copies that nobody may have made to each fault that must repeat nothing: how many are noticed, and where too few are."""
    arrivals = sorted(
        ((event, *places[event], each) for event in places for each in accepted[event]),
        key=lambda arrival: arrival[3].at,
    )
    replicas = sorted({each[3].replica or "" for each in arrivals})
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    blind = []
    for window in windows:
        if window.alone or not (window.answers or window.lanes or window.letters or window.rule is not None):
            made = added(arrivals, window, replicas)
            without = judging.tried(made)
            noticed = sum(not waiting.explains(copy) for copy in without)
            counts[window.alone]["made"] += len(made)
            counts[window.alone]["noticed"] += noticed
            if window.alone and (len(without) < len(made) or noticed < SEEN * len(made)):
                blind.append(f"of {len(made)} copies added to {window.kind!r} alone, {noticed} were noticed")
    shown = {alone: f"{count['noticed']:,} of {count['made']:,}" for alone, count in counts.items()}
    return {
        "added_copies_noticed": shown[True],
        "added_copies_noticed_among_other_faults": shown[False],
    }, blind


def _shown(window: Window, began: float) -> dict[str, Any]:
    shown = {**asdict(window), "start": round(window.start - began, 1), "end": round(window.end - began, 1)}
    shown["partitions"] = None if window.partitions is None else sorted(window.partitions)
    shown["until"] = None if window.until == math.inf else round(window.until - began, 1)
    return shown


def _told(copy: Copy, began: float, *, unexplained: bool) -> dict[str, Any]:
    def arrival(each: Arrival) -> dict[str, Any]:
        return {"at": round(each.at - began, 2), "by": each.replica, "rule": each.rule}

    told = {"event": copy.event, "partition": copy.partition, "offset": copy.offset, "letter": copy.letter}
    return {**told, "before": arrival(copy.before), "after": arrival(copy.after), "unexplained": unexplained}


def table(verdict: Verdict) -> str:
    """The faults by kind, and the figures, as text."""
    times: Counter[str] = Counter(window["kind"] for window in verdict.windows)
    totals: dict[str, Counter[str]] = {name: Counter() for name in ("seconds", "hits", "copies", "repeats")}
    for window in verdict.windows:
        for name, total in totals.items():
            total[window["kind"]] += window["end"] - window["start"] if name == "seconds" else window[name]
    lines = [f"  {'fault':<26}{'times':>6}{'seconds':>9}{'hits':>8}{'copies':>8}{'bound':>8}"]
    for kind in sorted(times):
        seconds, hits, copies, bound = (totals[name][kind] for name in totals)
        lines.append(f"  {kind:<26}{times[kind]:>6}{seconds:>9.0f}{hits:>8}{copies:>8}{bound:>8}")
    lines.append("")
    lines += [
        f"  {name.replace('_', ' '):<42}{value!s:>18}"
        for name, value in verdict.figures.items()
        if not isinstance(value, dict)
    ]
    return "\n".join(lines)
