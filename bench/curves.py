"""Samples of a quota run to curves and figures. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_ACCEPTED, _REQUESTS, _REFUSED, _RATE = range(4)
CONVERGED_S = 60
"""By then the limits should have settled; a shorter run is judged by its last third."""
WINDOW_S = 10
"""Over which the most that went through is told."""
SHARE_S, REFUSED_S = 30, 60
"""Over which the worst of a replica's share, and of the 429s, are told."""
FULL = 0.95
"""Share of the quota from which on it counts as used."""


@dataclass(frozen=True, slots=True)
class Curves:
    """A value for each second between two samples. Per-replica curves are lists by replica; None where there is none."""

    at: list[float]
    quota: list[float]
    accepted: list[float]
    """Messages a second, of all replicas."""
    refused: list[float]
    """429s a second."""
    requests: list[float]
    rate: list[float | None]
    """The learned rates together; None until every replica that is there has one."""
    by_replica: list[list[float]]


def curves(run: dict[str, Any]) -> Curves:
    """Rates out of the totals. A second in which a replica did not answer is made up for in the next."""
    slots = len(run["samples"][0]["replicas"])
    found = Curves([], [], [], [], [], [], [[] for _ in range(slots)])
    known: list[list[float]] = [[0.0] * 3 for _ in range(slots)]
    for before, after in pairwise(run["samples"]):
        span = max(0.001, after["s"] - before["s"])
        now = [
            seen if seen is not None else last for seen, last in zip(after["replicas"], known, strict=True)
        ]
        steps = [
            [(b - a) / span for a, b in zip(last, seen[:_RATE], strict=True)]
            for last, seen in zip(known, now, strict=True)
        ]
        known = [seen[:_RATE] for seen in now]
        found.at.append(after["s"])
        found.quota.append(after["quota"])
        found.accepted.append(sum(step[_ACCEPTED] for step in steps))
        found.requests.append(sum(step[_REQUESTS] for step in steps))
        found.refused.append(sum(step[_REFUSED] for step in steps))
        rates = [replica[_RATE] for replica in after["replicas"] if replica is not None]
        found.rate.append(sum(rates) if rates and None not in rates else None)
        for line, step in zip(found.by_replica, steps, strict=True):
            line.append(step[_ACCEPTED])
    return found


def figures(run: dict[str, Any]) -> dict[str, float | None]:
    """Of the settled time before the quota rises: share of it used, share of requests refused, the smallest replica's share of an equal one
    (None where a replica leaves on purpose).

    `recovered_s`: from the rise until three seconds in a row reach 95% of the new quota. `most`: the largest mean of `WINDOW_S`, in messages a second.
    `least`: the smallest such mean of the settled time, as a share of the quota. `worst_share` and `worst_refused`: the smallest share of a replica in
    any `SHARE_S` seconds of it, and the most that was refused in any `REFUSED_S`. All three are None where it is shorter.
    """
    found = curves(run)
    end = next(
        (n for n, at in enumerate(found.at) if run["raised_at"] is not None and at >= run["raised_at"]),
        len(found.at),
    )
    last = found.at[end - 1] if end else 0.0
    start = next(
        (
            n
            for n, at in enumerate(found.at)
            if at >= (CONVERGED_S if last > CONVERGED_S * 1.3 else last * 2 / 3)
        ),
        0,
    )
    settled = slice(start, end)
    limit = [min(quota, run["configured"] or quota) for quota in found.quota[settled]]
    accepted, requests = sum(found.accepted[settled]), sum(found.requests[settled])
    shares = [sum(line[settled]) * len(found.by_replica) / max(1.0, accepted) for line in found.by_replica]
    windows = [_mean(found, n) for n in range(max(1, len(found.accepted) - WINDOW_S + 1))]
    lows = windows[start : max(start, end - WINDOW_S + 1)]
    return {
        "used": accepted / max(1.0, sum(limit)),
        "refused": sum(found.refused[settled]) / max(1.0, requests),
        "least_share": None if run["configured"] else min(shares),
        "most": max(windows),
        "least": min(lows) / max(1.0, min(limit)) if lows and limit else None,
        "worst_share": None
        if run["configured"] or len(found.by_replica) == 1
        else _worst_share(found, settled),
        "worst_refused": max(
            _shares(found.refused[settled], found.requests[settled], REFUSED_S), default=None
        ),
        "recovered_s": _recovered(found, end, run["raised_at"]) if end < len(found.at) else None,
    }


def _mean(found: Curves, start: int) -> float:
    """Messages a second over `WINDOW_S` samples, each weighed with the time since the one before it."""
    times = [found.at[start - 1] if start else 0.0, *found.at[start : start + WINDOW_S]]
    spans = [after - before for before, after in pairwise(times)]
    return sum(
        span * accepted
        for span, accepted in zip(spans, found.accepted[start : start + WINDOW_S], strict=True)
    ) / max(0.001, sum(spans))


def _worst_share(found: Curves, settled: slice) -> float | None:
    parts = [_shares(line[settled], found.accepted[settled], SHARE_S) for line in found.by_replica]
    return min((share * len(parts) for part in parts for share in part), default=None)


def _shares(part: list[float], whole: list[float], seconds: int) -> list[float]:
    """What part of the whole it is in every window of so many seconds."""
    return [
        sum(part[n : n + seconds]) / max(1.0, sum(whole[n : n + seconds]))
        for n in range(len(whole) - seconds + 1)
    ]


def _recovered(found: Curves, start: int, raised_at: float) -> float | None:
    good = [accepted >= FULL * quota for accepted, quota in zip(found.accepted, found.quota, strict=True)]
    return next((found.at[n] - raised_at for n in range(start, len(good) - 2) if all(good[n : n + 3])), None)
