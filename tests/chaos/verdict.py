"""The verdict: what was produced against what AEP accepted and what the dead-letter topic holds, and every copy against the timeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def explain(times: Sequence[float], windows: Iterable[Window], *, letters: bool = False) -> list[Window | None]:
    """For each copy after the first, the latest fault that may have caused it: one that was on between the copy before (or its request) and it."""
    causes = []
    for before, after in zip(times, times[1:], strict=False):
        fitting = [
            window
            for window in windows
            if (window.repeats > 0 or (letters and window.kind in LETTERS)) and window.start <= after and window.end + AFTER_S >= before - REQUEST_TIMEOUT_S
        ]
        causes.append(max(fitting, key=lambda window: window.start, default=None))
    return causes


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

    lost = check("events were lost", produced - accepted.keys() - letters.keys())
    check("events were accepted that nobody produced", accepted.keys() - kinds.keys())
    check("events were dead-lettered wrongly", letters.keys() - bad)
    check("events that AEP refuses were accepted", accepted.keys() & bad)
    check("events were not acknowledged to the producer", kinds.keys() - produced)
    if altered:
        problems.append(f"{altered} dead letters are not what was produced, byte for byte")
    copies = letter_copies = 0
    unexplained = []
    for source, is_letter in ((accepted, False), (letters, True)):
        for event, times in source.items():
            for cause in explain(sorted(times), stage.windows, letters=is_letter):
                copies += not is_letter
                letter_copies += is_letter
                if cause is None:
                    unexplained.append(event)
                else:
                    cause.copies += 1
    check("copies have no fault that explains them", unexplained)
    bound = sum(window.repeats for window in stage.windows)
    if copies > bound:
        problems.append(f"{copies} copies are more than the computed bound of {bound}")
    for replica in stage.every:
        if replica.written or replica.files:
            problems.append(f"{replica.name} wrote {replica.written} bytes to a disk; open for writing: {sorted(replica.files)}")
    if stage.sim.stats["max_request_bytes"] > 1_000_000:
        problems.append(f"a request had {stage.sim.stats['max_request_bytes']} bytes")
    figures = {
        "seconds": round(max((window.end for window in stage.windows), default=stage.began) - stage.began, 1),
        "events_produced": len(produced),
        "events_accepted": len(accepted),
        "events_dead_lettered": len(letters),
        "copies": copies,
        "copies_bound": bound,
        "dead_letter_copies": letter_copies,
        "lost": len(lost),
        "faults": len(stage.windows),
        "fault_kinds": len({window.kind for window in stage.windows}),
        "replicas_started": len(stage.every),
        "requests": sum(stage.accounting.outcomes.values()),
        "settled_after_s": round(settled_s, 1),
        "bytes_written_to_disk": sum(replica.written for replica in stage.every),
        "peak_memory_mib": max(replica.peak for replica in stage.every) >> 20,
        "answers": dict(stage.accounting.outcomes.most_common()),
    }
    windows = [{**asdict(window), "start": round(window.start - stage.began, 1), "end": round(window.end - stage.began, 1)} for window in stage.windows]
    return Verdict(problems, figures, lost, windows)


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
