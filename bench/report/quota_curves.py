"""Samples of a quota run to curves over time, and to the figures that the goals judge. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_ACCEPTED, _REQUESTS, _REFUSED, _RATE = range(4)
"""Columns of a replica's sample, as `bench.measurements.quota` writes them."""
SETTLED_AFTER_S = 60
"""By then the limits should have settled; of a shorter run the last third is judged."""
WINDOW_S = 10
"""The span over which the most and the least throughput is taken."""
SHARE_WINDOW_S, REFUSED_WINDOW_S = 30, 60
"""The spans over which the worst share of a replica, and the worst part of 429s, are taken."""
FULL = 0.95
"""From this share on the quota counts as used."""


@dataclass(frozen=True, slots=True)
class Curves:
    """One value for each pair of samples, about a second apart.

    `by_replica` has one such list for each replica.
    """

    at: list[float]
    quota: list[float]
    accepted: list[float]
    """Messages per second, of all replicas."""
    refused: list[float]
    """Requests answered 429 per second."""
    requests: list[float]
    rate: list[float | None]
    """The learned rates together; None until each replica that is running has one."""
    by_replica: list[list[float]]


def curves(run: dict[str, Any]) -> Curves:
    """Return rates out of the samples' totals.

    What a replica did in a second in which it gave no sample counts in the second of its next sample.
    """
    replica_count = len(run["samples"][0]["replicas"])
    result = Curves([], [], [], [], [], [], [[] for _ in range(replica_count)])
    totals = [[0.0] * 3 for _ in range(replica_count)]
    for before, after in pairwise(run["samples"]):
        span_s = max(0.001, after["s"] - before["s"])
        now = [
            total if sample is None else sample[:_RATE]
            for sample, total in zip(after["replicas"], totals, strict=True)
        ]
        per_s = [
            [(new - old) / span_s for old, new in zip(total, new_total, strict=True)]
            for total, new_total in zip(totals, now, strict=True)
        ]
        totals = now
        result.at.append(after["s"])
        result.quota.append(after["quota"])
        result.accepted.append(sum(replica[_ACCEPTED] for replica in per_s))
        result.requests.append(sum(replica[_REQUESTS] for replica in per_s))
        result.refused.append(sum(replica[_REFUSED] for replica in per_s))
        rates = [sample[_RATE] for sample in after["replicas"] if sample is not None]
        result.rate.append(sum(rates) if rates and None not in rates else None)
        for curve, replica in zip(result.by_replica, per_s, strict=True):
            curve.append(replica[_ACCEPTED])
    return result


def quota_figures(run: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures of a run.

    Of the settled time, which ends when the quota rises:

    - `used`: accepted messages, as a share of the quota or of the configured rate
    - `refused`: requests answered 429, as a share of all
    - `least_share`: the smallest replica's share, of an equal one
    - `least`: the smallest mean of `WINDOW_S`, as a share of the quota
    - `worst_share`: the smallest share of a replica in any `SHARE_WINDOW_S`
    - `worst_refused`: the largest share of 429s in any `REFUSED_WINDOW_S`

    Of the whole run:

    - `most`: the largest mean of `WINDOW_S`, in messages per second
    - `recovered_s`: from the rise until three seconds in a row reach 95% of the new quota

    A figure is None where the time is too short; the shares also where a replica leaves on purpose.
    """
    data = curves(run)
    settled = _settled(data, run["raised_at"])
    start, end = settled.start, settled.stop
    limits = [min(quota, run["configured"] or quota) for quota in data.quota[settled]]
    accepted, requests = sum(data.accepted[settled]), sum(data.requests[settled])
    shares = [sum(curve[settled]) * len(data.by_replica) / max(1.0, accepted) for curve in data.by_replica]
    means = [_mean(data, n) for n in range(max(1, len(data.accepted) - WINDOW_S + 1))]
    settled_means = means[start : max(start, end - WINDOW_S + 1)]
    has_worst_share = not run["configured"] and len(data.by_replica) > 1
    refused_shares = _shares(data.refused[settled], data.requests[settled], REFUSED_WINDOW_S)
    return {
        "used": accepted / max(1.0, sum(limits)),
        "refused": sum(data.refused[settled]) / max(1.0, requests),
        "least_share": None if run["configured"] else min(shares),
        "most": max(means),
        "least": min(settled_means) / max(1.0, min(limits)) if settled_means and limits else None,
        "worst_share": _worst_share(data, settled) if has_worst_share else None,
        "worst_refused": max(refused_shares, default=None),
        "recovered_s": _recovered_s(data, end, run["raised_at"]) if end < len(data.at) else None,
    }


def _settled(data: Curves, raised_at: float | None) -> slice:
    """Return the samples of the settled time."""
    end = len(data.at)
    if raised_at is not None:
        end = next((n for n, at in enumerate(data.at) if at >= raised_at), end)
    last = data.at[end - 1] if end else 0.0
    begins_at = SETTLED_AFTER_S if last > SETTLED_AFTER_S * 1.3 else last * 2 / 3
    return slice(next((n for n, at in enumerate(data.at) if at >= begins_at), 0), end)


def _mean(data: Curves, start: int) -> float:
    """Return messages per second over `WINDOW_S` samples, each weighed with its own time."""
    window = slice(start, start + WINDOW_S)
    times = [data.at[start - 1] if start else 0.0, *data.at[window]]
    spans = [after - before for before, after in pairwise(times)]
    messages = sum(span * per_s for span, per_s in zip(spans, data.accepted[window], strict=True))
    return messages / max(0.001, sum(spans))


def _worst_share(data: Curves, settled: slice) -> float | None:
    replicas = [_shares(curve[settled], data.accepted[settled], SHARE_WINDOW_S) for curve in data.by_replica]
    return min((share * len(replicas) for shares in replicas for share in shares), default=None)


def _shares(part: list[float], whole: list[float], seconds: int) -> list[float]:
    """Return the part's share of the whole in every window of so many seconds."""
    windows = [slice(n, n + seconds) for n in range(len(whole) - seconds + 1)]
    return [sum(part[window]) / max(1.0, sum(whole[window])) for window in windows]


def _recovered_s(data: Curves, start: int, raised_at: float) -> float | None:
    full = [accepted >= FULL * quota for accepted, quota in zip(data.accepted, data.quota, strict=True)]
    for n in range(start, len(full) - 2):
        if all(full[n : n + 3]):
            return data.at[n] - raised_at
    return None
