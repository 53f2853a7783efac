"""The state of the engine as plain values: for metrics, the status page and the command line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bridge.engine.batch import Batch
from bridge.engine.effects import PublishDeadLetters, Wait
from bridge.engine.inlet import Inlet
from bridge.engine.offsets import Lane
from bridge.engine.task import Task
from bridge.engine.view import EngineView
from bridge.model import BatchRequest

MAX_WAITS = 20
"""Waits that a snapshot lists, the oldest batch first."""
DETAIL_CHARACTERS = 300


def snapshot(view: EngineView, now: float, *, joined: bool, draining: bool) -> dict[str, Any]:
    """Return partitions, inlets and what waits for what. Offsets, bytes and seconds; JSON-ready."""
    in_flight = _in_flight(view)
    waiting = [task for task in view.tasks if isinstance(task.effect, Wait)]
    return {
        "joined": joined,
        "draining": draining,
        "partitions": [_partition(view, lane, in_flight[lane], now) for lane in view.lanes.values()],
        "inlets": [_inlet(view, inlet, now) for inlet in view.inlets.values()],
        "waits": [_wait(task, now) for task in waiting[:MAX_WAITS]],
        "open_batches": sum(1 for _ in view.open_batches),
        "batches": len(view.tasks),
    }


def lag(entry: Mapping[str, Any], end: int | None) -> int | None:
    """Return the records between a partition's watermark and its end; None where it is not known.

    Where nothing was read yet, the committed offset stands for the watermark.
    """
    mark = entry["stored"] if entry["watermark"] is None else entry["watermark"]
    return None if end is None or mark is None else max(0, end - mark)


def _in_flight(view: EngineView) -> Counter[Lane]:
    """Count what is out and may carry unsettled records of each lane: requests, and dead letters."""
    counts = Counter[Lane]()
    for task in view.tasks:
        if task.in_flight:
            counts.update(lane for lane in task.batch.lanes if task.batch in lane.open)
    return counts


def _partition(view: EngineView, lane: Lane, in_flight: int, now: float) -> dict[str, Any]:
    return {
        "topic": lane.source.topic,
        "partition": lane.source.partition,
        "watermark": lane.watermark,
        "stored": lane.stored,
        "next": lane.next,
        "uncommitted": lane.uncommitted,
        "in_flight": in_flight,
        "oldest_unsettled_s": round(lane.oldest(now), 3),
        "watermark_age_s": round(now - lane.moved_at, 3) if lane.open else 0.0,
        "paused": lane.source in view.paused,
        "waits": _why_lane_waits(view, lane, now),
    }


def _why_lane_waits(view: EngineView, lane: Lane, now: float) -> str | None:
    """Return why the oldest batch with unsettled records of this lane waits, of those that do."""
    for batch in lane.open:  # in the order of their first offsets
        task = view.task_of(batch) if isinstance(batch, Batch) else None
        if task is not None and (why := _why_task_waits(task, now)) is not None:
            return why
    return None


def _why_task_waits(task: Task, now: float) -> str | None:
    effect, inlet = task.effect, task.inlet
    if isinstance(effect, Wait):
        return f"{effect.reason}, next try in {max(0.0, effect.until - now):.0f} s"
    if isinstance(effect, PublishDeadLetters):
        return "dead letters being acknowledged"
    if not isinstance(effect, BatchRequest) or task.in_flight:
        return None
    if inlet.hold is not None:
        return inlet.hold.reason
    return inlet.wait_reason if inlet.not_before > now else "queued"


def _wait(task: Task, now: float) -> dict[str, Any]:
    assert isinstance(task.effect, Wait)
    records, first = task.waiting()
    return {
        "batch": task.batch.id,
        "inlet": task.inlet.name,
        "records": records,
        "first": first,
        "reason": task.effect.reason,
        "detail": task.effect.detail[:DETAIL_CHARACTERS],
        "next_try_s": round(max(0.0, task.effect.until - now), 3),
    }


def _inlet(view: EngineView, inlet: Inlet, now: float) -> dict[str, Any]:
    hold, window = inlet.hold, view.windows[inlet.name]
    next_try_s = max(0.0, inlet.not_before - now) if math.isfinite(inlet.not_before) else 0.0
    held = None
    if hold is not None:
        held = {
            "reason": hold.reason,
            "detail": hold.detail[:DETAIL_CHARACTERS],
            "for_s": round(now - hold.since, 3),
            "next_try_s": round(next_try_s, 3),
            "probes": hold.probes,
        }
    not_before = None
    if next_try_s and hold is None:
        not_before = {"reason": inlet.wait_reason, "next_try_s": round(next_try_s, 3)}
    return {
        "name": inlet.name,
        "inlet_id": inlet.inlet_id,
        "held": held,
        "not_before": not_before,
        "flooded": {key or "(no dataset)": round(now - since, 3) for key, since in inlet.stopped.items()},
        "in_flight": inlet.in_flight,
        "in_flight_limit": 1 if hold else inlet.concurrency.allowed,
        "messages_per_s_limit": inlet.rate.limit if math.isfinite(inlet.rate.limit) else None,
        "max_bytes": inlet.max_bytes,
        "used_bytes": round(window.used),
        "window_bytes": window.limit,
        "queued": view.queued(inlet.name),
        "bisecting": inlet.bisecting is not None,
    }
