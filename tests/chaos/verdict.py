"""The verdict: what was produced against what AEP accepted and what the dead-letter topic holds, and every copy against the timeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from tests.chaos.stage import DRAIN_S, REQUEST_TIMEOUT_S, SESSION_S, Stage, Window

AFTER_S = SESSION_S + REQUEST_TIMEOUT_S + DRAIN_S
"""How long after its end a fault may still cause a copy: a session that runs out, a request, a drain."""
LETTERS = frozenset({"too few in-sync replicas"})
"""Faults that may repeat a dead letter, beside all those that may repeat an event: appended, not replicated, refused, published again."""


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


@dataclass(frozen=True, slots=True)
class Copy:
    """An event that arrived again. Seconds since the epoch."""

    event: str
    before: float
    """When it arrived the time before."""
    at: float
    letter: bool = False


def explain(copies: Iterable[Copy], windows: Sequence[Window]) -> list[Copy]:
    """Gives each copy to a fault that was on between the time before (or its request) and it, as long as the fault's bound allows more; the rest is returned.

    The fault that stops being a possible cause first is used up first.
    """
    causes = sorted(windows, key=lambda window: window.end)
    left = []
    for copy in sorted(copies, key=lambda copy: copy.at):
        for window in causes:
            fits = window.start <= copy.at and window.end + AFTER_S >= copy.before - REQUEST_TIMEOUT_S
            if fits and copy.letter and (window.repeats or window.kind in LETTERS):
                window.letter_copies += 1
                break
            if fits and not copy.letter and window.copies < window.repeats:
                window.copies += 1
                break
        else:
            left.append(copy)
    return left


def judge(stage: Stage, settled_s: float) -> Verdict:
    """Compares everything. Reads the dead-letter topic; the replicas have ended."""
    produced, kinds = stage.producing.acknowledged, stage.producing.asked
    accepted: Mapping[str, list[float]] = stage.accounting.times
    letters: dict[str, list[float]] = {}
    problems = list(stage.problems)
    altered = 0
    for message in stage.kafka.clients.read_all(stage.dead_letter_topic, 60):
        event = (message.key() or b"").decode()
        letters.setdefault(event, []).append(message.timestamp()[1] / 1000)
        altered += event not in kinds or message.value() != stage.producing.value(event)
    bad = {event for event, kind in kinds.items() if kind != "good"}

    def check(name: str, events: Iterable[str]) -> list[str]:
        found = sorted(events)
        if found:
            problems.append(f"{len(found)} {name}: {', '.join(found[:5])}{' …' if len(found) > 5 else ''}")
        return found

    missing = "are not settled yet, with a lag" if stage.behind else "were lost"
    lost = check(f"events {missing}", produced - accepted.keys() - letters.keys())
    check("events were accepted that nobody produced", accepted.keys() - kinds.keys())
    check("events were dead-lettered wrongly", letters.keys() - bad)
    check("events that AEP refuses were accepted", accepted.keys() & bad)
    check("events were not acknowledged to the producer", kinds.keys() - produced)
    if altered:
        problems.append(f"{altered} dead letters are not what was produced, byte for byte")
    copies = [
        Copy(event, before, after, letter)
        for source, letter in ((accepted, False), (letters, True))
        for event, times in source.items()
        for before, after in pairwise(sorted(times))
    ]
    unexplained = explain(copies, stage.windows)
    if unexplained:
        example = unexplained[0]
        problems.append(
            f"{len(unexplained)} copies have no fault that explains them within its bound, such as {example.event} "
            f"at {example.before - stage.began:.1f} and {example.at - stage.began:.1f} s{', a dead letter' if example.letter else ''}"
        )
    bound = sum(window.repeats for window in stage.windows)
    for replica in stage.every:
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
        "copies_bound": bound,
        "dead_letter_copies": sum(copy.letter for copy in copies),
        "lost": len(lost),
        "faults": len(stage.windows),
        "fault_kinds": len({window.kind for window in stage.windows}),
        "replicas_started": len(stage.every),
        "requests": sum(stage.accounting.outcomes.values()),
        "settled_after_s": round(settled_s, 1),
        "files_written": len({file for replica in stage.every for file in replica.files}),
        "peak_memory_mib": max(replica.peak for replica in stage.every) >> 20,
        "answers": dict(stage.accounting.outcomes.most_common()),
    }
    windows = [{**asdict(window), "start": round(window.start - stage.began, 1), "end": round(window.end - stage.began, 1)} for window in stage.windows]
    again = [
        {"event": copy.event, "before": round(copy.before - stage.began, 2), "at": round(copy.at - stage.began, 2), "letter": copy.letter} for copy in copies
    ]
    return Verdict(problems, figures, lost, windows, again)


def table(verdict: Verdict) -> str:
    """The faults by kind, and the figures, as text."""
    times: Counter[str] = Counter(window["kind"] for window in verdict.windows)
    seconds: Counter[str] = Counter()
    copies: Counter[str] = Counter()
    bounds: Counter[str] = Counter()
    for window in verdict.windows:
        seconds[window["kind"]] += window["end"] - window["start"]
        copies[window["kind"]] += window["copies"]
        bounds[window["kind"]] += window["repeats"]
    lines = [f"  {'fault':<26}{'times':>6}{'seconds':>9}{'copies':>8}{'bound':>8}"]
    lines += [f"  {kind:<26}{times[kind]:>6}{seconds[kind]:>9.0f}{copies[kind]:>8}{bounds[kind]:>8}" for kind in sorted(times)]
    lines.append("")
    lines += [f"  {name.replace('_', ' '):<26}{value:>10}" for name, value in verdict.figures.items() if not isinstance(value, dict)]
    return "\n".join(lines)
