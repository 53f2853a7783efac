"""What is measured, in which order: a round takes every step once, so that a machine that becomes slower does so for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock
from types import TracebackType
from typing import Any, Self

from bench.drain import Load, drain, flood, reference
from bench.events import PARTITIONS, SHAPES
from bench.farend import FarEnd
from bench.latency import latency
from bench.machine import Lab
from bench.paced import paced
from bench.profile import sampled, seams
from bench.quota import PARTITIONS as QUOTA_PARTITIONS
from bench.quota import SIZE, quota
from bench.scaling import scaling
from bench.scenarios import Scenario, events_needed, scenarios
from bench.startup import delayed, startup

FEW = 3
"""Rounds of what takes long and hardly differs."""
PARTS = ("throughput", "latency", "paced", "scaling", "startup", "profile", "quota")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    rounds: int = 5
    events: int = 500_000
    """Of 1 KB, and of 200 B; a tenth as many of 10 KB."""
    sink_ms: tuple[int, ...] = (30, 150)
    """How long the sink takes to answer, where it doesn't do so at once."""
    lingers_ms: tuple[int, ...] = (0, 100, 1000)
    latency_s: int = 10
    """How long events come one by one."""
    paced: tuple[int, ...] = (1000, 10_000)
    """Events a second that come at an even rate, each for `paced_s`."""
    paced_s: int = 5
    scaling_s: int = 6
    """Work of so many seconds for each replica."""
    replicas: tuple[int, ...] = (1, 2, 3, 6)
    quota_s: int = 240
    scenarios: tuple[str, ...] = ()
    """Those of the quota, by name; none named are all."""
    at_once: int = 3
    """Of the scenarios."""

    def quota(self) -> list[Scenario]:
        """The scenarios that are run."""
        return [
            scenario
            for scenario in scenarios(self.quota_s)
            if not self.scenarios or scenario.name in self.scenarios
        ]


QUICK = Scale(
    rounds=1,
    events=30_000,
    sink_ms=(30,),
    lingers_ms=(0, 100),
    latency_s=1,
    paced_s=1,
    scaling_s=1,
    replicas=(1, 2),
    quota_s=15,
    scenarios=("30 ms", "three replicas, 6,000/s configured"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement."""

    part: str
    name: str
    run: Callable[[], dict[str, Any]]
    rounds: int | None = None
    """No more than so many, for what takes long and hardly differs from round to round."""


class Stage:
    """The broker, the sinks and the topics; each is there from its first use on."""

    def __init__(self, scale: Scale) -> None:
        self.scale, self.lab = scale, Lab()
        self._topics: dict[tuple[int, int, int, str], str] = {}
        self._sinks: list[FarEnd] = []

    def __enter__(self) -> Self:
        self.lab.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sink in self._sinks:
            sink.child.kill()
        self.lab.__exit__(kind, error, trace)

    @cached_property
    def plain(self) -> FarEnd:
        """A sink."""
        return self._sink(tls=False)

    @cached_property
    def secure(self) -> FarEnd:
        """A sink that talks TLS."""
        return self._sink(tls=True)

    def _sink(self, *, tls: bool) -> FarEnd:
        self._sinks.append(self.lab.sink(tls=tls))
        return self._sinks[-1]

    def topic(self, count: int, size: int, partitions: int = PARTITIONS, shape: str = "envelope") -> str:
        """One that holds so many events of so many bytes, of this shape."""
        key = count, size, partitions, shape
        if key not in self._topics:
            self._topics[key] = self.lab.filled(*key)
        return self._topics[key]

    def drain(
        self,
        *,
        tls: bool,
        latency_ms: float = 0,
        size: int = 1024,
        bare: bool = False,
        **sections: dict[str, Any],
    ) -> dict[str, Any]:
        """A whole process empties a topic."""
        count = self.scale.events // (10 if size > 5000 else 1)
        load = Load(self.topic(count, size), count, size, latency_ms, sections)
        return drain(
            self.lab, self.secure if tls else self.plain, load, module="bench.bare" if bare else "bridge"
        )

    def shaped(self, shape: str) -> dict[str, Any]:
        """The same, over TLS, of events that are no whole envelopes for one dataset."""
        count = self.scale.events
        return drain(
            self.lab,
            self.secure,
            Load(self.topic(count, 1024, shape=shape), count, 1024, route=SHAPES[shape][1]),
        )

    def reference(self, kind: str) -> dict[str, Any]:
        """A reference line over the topic of 1 KB events."""
        return reference(self.lab, kind, self.topic(self.scale.events, 1024), self.scale.events)

    def load(self, *, latency_ms: int = 0, **sections: dict[str, Any]) -> Load:
        """That topic, for a process that is looked into."""
        return Load(
            self.topic(self.scale.events, 1024),
            self.scale.events,
            1024,
            latency_ms=latency_ms,
            sections=sections,
        )

    def latency(self, linger_ms: int) -> dict[str, Any]:
        """Events one by one into an idle process."""
        return latency(self.lab, self.plain, linger_ms=linger_ms, seconds=self.scale.latency_s)

    def paced(self, per_s: int, *, gulps: bool) -> dict[str, Any]:
        """Events at an even rate, over TLS."""
        return paced(self.lab, self.secure, per_s=per_s, seconds=self.scale.paced_s, gulps=gulps)

    def scaling(self, replicas: int) -> dict[str, Any]:
        """So many processes of one group."""
        return scaling(self.lab, self.plain, replicas=replicas, seconds=self.scale.scaling_s)


def steps(stage: Stage, parts: tuple[str, ...]) -> list[Step]:
    """One round, in its order; the quota's scenarios are not among them."""
    scale, lab = stage.scale, stage.lab
    small = {"max_bytes": 100_000}
    whole: list[tuple[str, str, Callable[[], dict[str, Any]]]] = [
        # What is compared stands side by side: minutes later the machine may be another one.
        ("throughput", "prepare", lambda: stage.reference("prepare")),
        ("throughput", "http-0", partial(stage.drain, tls=False)),
        ("throughput", "read", lambda: stage.reference("read")),
        ("throughput", "tls-0", partial(stage.drain, tls=True)),
        ("throughput", "tls-100kb", lambda: stage.drain(tls=True, batch=small)),
        ("throughput", "bare", lambda: stage.drain(tls=True, bare=True)),
        *(
            ("throughput", f"{kind}-{ms}", partial(stage.drain, tls=kind == "tls", latency_ms=ms))
            for kind in ("http", "tls")
            for ms in scale.sink_ms
        ),
        ("throughput", "tls-200b-events", lambda: stage.drain(tls=True, size=200)),
        ("throughput", "tls-10kb-events", lambda: stage.drain(tls=True, size=10_240)),
        *(
            ("throughput", f"tls-{shape}", partial(stage.shaped, shape))
            for shape in SHAPES
            if shape != "envelope"
        ),
        ("throughput", "sink-http", lambda: flood(lab, stage.plain, requests=math.ceil(scale.events / 250))),
        ("throughput", "sink-tls", lambda: flood(lab, stage.secure, requests=math.ceil(scale.events / 500))),
        ("profile", "doors-tls", lambda: seams(lab, stage.secure, stage.load())),
        ("profile", "doors-tls-30", lambda: seams(lab, stage.secure, stage.load(latency_ms=30))),
        ("profile", "doors-http", lambda: seams(lab, stage.plain, stage.load())),
        ("profile", "doors-tls-100kb", lambda: seams(lab, stage.secure, stage.load(batch=small))),
        ("profile", "perf", lambda: sampled(lab, stage.secure, stage.load())),
        ("startup", "first 207", lambda: startup(lab, stage.plain, stage.topic(scale.events, 1024))),
        ("startup", "first 207, delayed", lambda: delayed(stage.plain, min(scale.events, 20_000))),
        *(("latency", f"linger-{ms}", partial(stage.latency, ms)) for ms in scale.lingers_ms),
        *(
            ("paced", f"{per_s}{', gulps' * gulps}", partial(stage.paced, per_s, gulps=gulps))
            for per_s in scale.paced
            for gulps in (False, True)
        ),
        *(("scaling", str(n), partial(stage.scaling, n)) for n in scale.replicas),
    ]
    few = "paced", "first 207, delayed"
    return [
        Step(part, name, run, FEW if part in few or name in few else None)
        for part, name, run in whole
        if part in parts
    ]


@contextmanager
def quota_runs(stage: Stage) -> Iterator[list[tuple[Scenario, Future[dict[str, Any]]]]]:
    """The scenarios, some side by side: what limits them is the quota, and each leaves most of a core idle. The topic is filled within the first of them."""
    seconds, filling = stage.scale.quota_s, Lock()

    def run(scenario: Scenario) -> dict[str, Any]:
        with filling:
            topic = stage.topic(events_needed(seconds), SIZE, QUOTA_PARTITIONS)
        return quota(stage.lab, topic, scenario)

    with ThreadPoolExecutor(stage.scale.at_once) as pool:
        yield [(scenario, pool.submit(run, scenario)) for scenario in stage.scale.quota()]
