"""What the bridge looks like right now, as plain values: made by the pump's thread, read by metrics, the status page and the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge.engine.delivery import PublishDeadLetters, Wait
from bridge.model import BatchRequest

if TYPE_CHECKING:
    from bridge.engine.loop import Engine


def snapshot(pump: Engine, now: float) -> dict[str, Any]:
    """Partitions, inlets and what waits for what. Offsets, bytes and seconds; JSON-ready."""
    waits, busy = _waits(pump, now)
    return {
        "joined": pump.joined,
        "draining": pump.draining,
        "partitions": [_partition(pump, lane, busy, now) for lane in pump.ledger.lanes.values()],
        "inlets": [_inlet(pump, name, now) for name in pump.inlets],
        "waits": waits,
        "open_batches": sum(1 for _ in pump.batcher.open_batches()),
        "batches": len(pump.tasks),
    }


def lag(entry: Mapping[str, Any], end: int | None) -> int | None:
    """Records between a partition's watermark and its end. Where nothing was read yet, the committed offset stands for the watermark."""
    mark = entry["stored"] if entry["watermark"] is None else entry["watermark"]
    return None if end is None or mark is None else max(0, end - mark)


def _waits(pump: Engine, now: float) -> tuple[list[dict[str, Any]], dict[Any, tuple[int, str | None]]]:
    """The longest waits with their reasons, and for each lane its requests in flight and why its oldest batch waits."""
    waits: list[dict[str, Any]] = []
    busy: dict[Any, tuple[int, str | None]] = {}
    for task in sorted(pump.tasks.values()):
        effect, why = task.effect, None
        if isinstance(effect, Wait):
            why = f"{effect.reason}, next try in {max(0.0, effect.until - now):.0f} s"
            number, record = task.waiting()
            waits.append(
                {
                    "batch": task.batch.id,
                    "inlet": task.inlet.name,
                    "records": number,
                    "first": record,
                    "reason": effect.reason,
                    "detail": effect.detail[:300],
                    "next_try_s": round(max(0.0, effect.until - now), 3),
                }
            )
        elif isinstance(effect, BatchRequest) and not task.in_flight:
            hold = task.inlet.hold
            why = hold.reason if hold else task.inlet.why_not if task.inlet.not_before > now else "queued"
        elif isinstance(effect, PublishDeadLetters):
            why = "dead letters being acknowledged"
        for lane in task.batch.lanes:
            flying, first = busy.get(lane, (0, None))
            busy[lane] = flying + task.in_flight, first or why
    return waits[:20], busy


def _partition(
    pump: Engine, lane: Any, busy: dict[Any, tuple[int, str | None]], now: float
) -> dict[str, Any]:
    flying, why = busy.get(lane, (0, None))
    return {
        "topic": lane.source.topic,
        "partition": lane.source.partition,
        "watermark": lane.watermark,
        "stored": lane.stored,
        "next": lane.next,
        "uncommitted": lane.uncommitted,
        "in_flight": flying,
        "oldest_unsettled_s": round(lane.oldest(now), 3),
        "watermark_age_s": round(now - lane.moved_at, 3) if lane.open else 0.0,
        "paused": lane.source in pump.paused,
        "waits": why,
    }


def _inlet(pump: Engine, name: str, now: float) -> dict[str, Any]:
    inlet = pump.inlets[name]
    hold = inlet.hold
    next_try = max(0.0, inlet.not_before - now) if math.isfinite(inlet.not_before) else 0.0
    return {
        "name": name,
        "inlet_id": inlet.inlet_id,
        "held": None
        if hold is None
        else {
            "reason": hold.reason,
            "detail": hold.detail[:300],
            "for_s": round(now - hold.since, 3),
            "next_try_s": round(next_try, 3),
            "probes": hold.probes,
        },
        "not_before": {"reason": inlet.why_not, "next_try_s": round(next_try, 3)}
        if next_try and hold is None
        else None,
        "flooded": {key or "(no dataset)": round(now - since, 3) for key, since in inlet.flooded.items()},
        "in_flight": inlet.in_flight,
        "in_flight_limit": 1 if hold else inlet.concurrency.allowed,
        "messages_per_s_limit": inlet.rate.limit if math.isfinite(inlet.rate.limit) else None,
        "max_bytes": inlet.max_bytes,
        "used_bytes": round(inlet.used),
        "window_bytes": inlet.policy.window_bytes,
        "queued": pump.queued(name),
        "bisecting": inlet.bisecting is not None,
    }
