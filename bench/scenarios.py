"""What runs differ in: against a quota, how many replicas, how fast AEP answers, what changes when; at an even rate, how the broker is asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass

QUOTA, RAISED = 10_000, 15_000
"""Messages a second; the bucket holds one second of them."""
GULPS = {"fetch.min.bytes": 1_000_000, "fetch.wait.max.ms": 100}
"""What the broker is asked to wait for, instead of answering every fetch with the few records that have just come. A batch lingers ten times as long."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. Moments in seconds from the start of the replicas."""

    name: str
    latency_ms: float
    replicas: int = 1
    seconds: int = 150
    raise_at: int | None = None
    """When the quota rises from `QUOTA` to `RAISED`."""
    configured: float | None = None
    """`aep.max_messages_per_s`, for all replicas together."""
    leaves_at: int | None = None
    """When the last replica is stopped, which then drains; `returns_at` another one starts in its place."""
    returns_at: int | None = None

    @property
    def limit(self) -> float:
        """What the replicas together may reach at the end."""
        return min(self.configured or RAISED, RAISED if self.raise_at is not None else QUOTA)


def scenarios(seconds: int) -> list[Scenario]:
    """The runs of the issue, all of the same length: the quota rises after 60% of it."""
    rise = seconds * 6 // 10
    return [
        Scenario("30 ms", 30, seconds=seconds, raise_at=rise),
        Scenario("300 ms", 300, seconds=seconds, raise_at=rise),
        Scenario("three replicas, 30 ms", 30, replicas=3, seconds=seconds),
        Scenario("three replicas, 300 ms", 300, replicas=3, seconds=seconds),
        Scenario(
            "three replicas, 6,000/s configured",
            30,
            replicas=3,
            seconds=seconds,
            configured=6000,
            leaves_at=seconds // 3,
            returns_at=seconds * 2 // 3,
        ),
    ]


def events_needed(seconds: int) -> int:
    """What no scenario comes to the end of, nor a replica that takes more than its share."""
    return int(seconds * (RAISED * 0.4 + QUOTA * 0.6) * 1.7) + 2 * QUOTA
