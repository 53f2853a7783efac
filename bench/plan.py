"""What is measured, and in which order.

A round takes every step once, so that a machine which becomes slower becomes so for all steps alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

from bench.environment.events import SHAPES
from bench.measurements.latency import latency
from bench.measurements.profile import perf_samples, timed_parts
from bench.measurements.quota import EVENT_BYTES, quota
from bench.measurements.quota import PARTITIONS as QUOTA_PARTITIONS
from bench.measurements.quota_scenarios import Scenario, events_needed
from bench.measurements.scaling import scaling
from bench.measurements.startup import startup, startup_with_default_delay
from bench.measurements.steady_rate import steady_rate
from bench.stage import Stage

PARTS = ("throughput", "latency", "steady", "scaling", "startup", "profile", "quota")
FEW_ROUNDS = 3
"""Rounds of steps that take long and hardly differ from round to round."""
_SMALL_BATCHES = {"max_bytes": 100_000}


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement."""

    part: str
    name: str
    run: Callable[[], dict[str, Any]]
    rounds: int | None = None
    """How many rounds take this step at most; None for all."""


def steps(stage: Stage, parts: tuple[str, ...]) -> list[Step]:
    """Return the steps of these parts in the order of a round.

    The quota has none: its scenarios run after the rounds.
    """
    of_part = {
        "throughput": _throughput_steps,
        "profile": _profile_steps,
        "startup": _startup_steps,
        "latency": _latency_steps,
        "steady": _steady_steps,
        "scaling": _scaling_steps,
    }
    return [step for part, part_steps in of_part.items() if part in parts for step in part_steps(stage)]


def _throughput_steps(stage: Stage) -> Iterator[Step]:
    """What is compared stands side by side: minutes later the machine may be a different one."""

    def step(name: str, run: Callable[..., dict[str, Any]], *arguments: Any, **keywords: Any) -> Step:
        return Step("throughput", name, partial(run, *arguments, **keywords))

    scale = stage.scale
    yield step("prepare", stage.reference, "prepare")
    yield step("http-0", stage.throughput, tls=False)
    yield step("read", stage.reference, "read")
    yield step("tls-0", stage.throughput, tls=True)
    yield step("tls-100kb", stage.throughput, tls=True, batch=_SMALL_BATCHES)
    module = "bench.programs.bridge_without_extras"
    yield step("without-extras", stage.throughput, tls=True, module=module)
    for kind in ("http", "tls"):
        for latency_ms in scale.sink_ms:
            yield step(f"{kind}-{latency_ms}", stage.throughput, tls=kind == "tls", latency_ms=latency_ms)
    yield step("tls-200b-events", stage.throughput, tls=True, size=200)
    yield step("tls-10kb-events", stage.throughput, tls=True, size=10_240)
    for shape in SHAPES:
        if shape != "envelope":
            yield step(f"tls-{shape}", stage.throughput, tls=True, shape=shape)
    yield step("sink-http", stage.sink_capacity, tls=False, requests=math.ceil(scale.events / 250))
    yield step("sink-tls", stage.sink_capacity, tls=True, requests=math.ceil(scale.events / 500))


def _profile_steps(stage: Stage) -> Iterator[Step]:
    lab = stage.lab

    def parts(*, tls: bool, **load: Any) -> dict[str, Any]:
        return timed_parts(lab, stage.tls_sink if tls else stage.http_sink, stage.load(**load))

    yield Step("profile", "parts-tls", partial(parts, tls=True))
    yield Step("profile", "parts-tls-30", partial(parts, tls=True, latency_ms=30))
    yield Step("profile", "parts-http", partial(parts, tls=False))
    yield Step("profile", "parts-tls-100kb", partial(parts, tls=True, batch=_SMALL_BATCHES))
    yield Step("profile", "perf", lambda: perf_samples(lab, stage.tls_sink, stage.load()))


def _startup_steps(stage: Stage) -> Iterator[Step]:
    events = stage.scale.events
    yield Step("startup", "first 207", lambda: startup(stage.lab, stage.http_sink, stage.topic(events, 1024)))
    yield Step(
        "startup",
        "first 207, delayed",
        lambda: startup_with_default_delay(stage.http_sink, min(events, 20_000)),
        FEW_ROUNDS,
    )


def _latency_steps(stage: Stage) -> Iterator[Step]:
    def run(linger_ms: int) -> dict[str, Any]:
        return latency(stage.lab, stage.http_sink, linger_ms=linger_ms, seconds=stage.scale.latency_s)

    for linger_ms in stage.scale.lingers_ms:
        yield Step("latency", f"linger-{linger_ms}", partial(run, linger_ms))


def _steady_steps(stage: Stage) -> Iterator[Step]:
    def run(per_s: int, *, large_fetches: bool) -> dict[str, Any]:
        return steady_rate(
            stage.lab,
            stage.tls_sink,
            per_s=per_s,
            seconds=stage.scale.steady_s,
            large_fetches=large_fetches,
        )

    for per_s in stage.scale.steady_per_s:
        yield Step("steady", str(per_s), partial(run, per_s, large_fetches=False), FEW_ROUNDS)
        yield Step("steady", f"{per_s}, large fetches", partial(run, per_s, large_fetches=True), FEW_ROUNDS)


def _scaling_steps(stage: Stage) -> Iterator[Step]:
    def run(replicas: int) -> dict[str, Any]:
        return scaling(stage.lab, stage.http_sink, replica_count=replicas, seconds=stage.scale.scaling_s)

    for replicas in stage.scale.replicas:
        yield Step("scaling", str(replicas), partial(run, replicas))


@contextmanager
def quota_runs(stage: Stage) -> Iterator[list[tuple[Scenario, Future[dict[str, Any]]]]]:
    """Run the scenarios, some side by side: the quota limits them, and each leaves most of a core idle.

    The first one to start fills the topic.
    """
    seconds, filling = stage.scale.quota_s, Lock()

    def run(scenario: Scenario) -> dict[str, Any]:
        with filling:
            topic = stage.topic(events_needed(seconds), EVENT_BYTES, QUOTA_PARTITIONS)
        return quota(stage.lab, topic, scenario)

    with ThreadPoolExecutor(stage.scale.scenarios_at_once) as pool:
        yield [(scenario, pool.submit(run, scenario)) for scenario in stage.scale.quota_scenarios()]
