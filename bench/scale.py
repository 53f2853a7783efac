"""How much is measured: rounds, events, seconds, replicas."""

from __future__ import annotations

from dataclasses import dataclass

from bench.measurements.quota_scenarios import Scenario, scenarios


@dataclass(frozen=True, slots=True)
class Scale:
    """How many rounds, how many events, and for how long."""

    rounds: int = 5
    events: int = 500_000
    """Events of 1 KB, and of 200 B; of 10 KB a tenth as many."""
    sink_ms: tuple[int, ...] = (30, 150)
    """How long the sink takes to answer, where it does not answer at once."""
    lingers_ms: tuple[int, ...] = (0, 100, 1000)
    latency_s: int = 10
    """For how long events come one by one."""
    steady_per_s: tuple[int, ...] = (1000, 10_000)
    """Events per second that come at an even rate, each rate for `steady_s`."""
    steady_s: int = 5
    scaling_s: int = 6
    """How many seconds of work there are for each replica."""
    replicas: tuple[int, ...] = (1, 2, 3, 6)
    quota_s: int = 240
    scenarios: tuple[str, ...] = ()
    """Names of the quota's scenarios; empty for all."""
    scenarios_at_once: int = 3

    def quota_scenarios(self) -> list[Scenario]:
        """Return the scenarios to run."""
        every = scenarios(self.quota_s)
        return [scenario for scenario in every if not self.scenarios or scenario.name in self.scenarios]


QUICK = Scale(
    rounds=1,
    events=30_000,
    sink_ms=(30,),
    lingers_ms=(0, 100),
    latency_s=1,
    steady_s=1,
    scaling_s=1,
    replicas=(1, 2),
    quota_s=15,
    scenarios=("30 ms", "three replicas, 6,000/s configured"),
)
"""Enough to see that the bench works."""
