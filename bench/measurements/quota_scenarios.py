"""The scenarios of the quota: how many replicas, how fast AEP answers, and what changes when. Pure."""

from __future__ import annotations

from dataclasses import dataclass

QUOTA, RAISED_QUOTA = 10_000, 15_000
"""Messages per second; the token bucket holds those of one second."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. Moments are seconds from the start of the replicas."""

    name: str
    latency_ms: float
    replicas: int = 1
    seconds: int = 150
    raise_at: int | None = None
    """When the quota rises from `QUOTA` to `RAISED_QUOTA`."""
    configured: float | None = None
    """`aep.max_messages_per_s`, for all replicas together."""
    leaves_at: int | None = None
    """When the last replica gets a SIGTERM and drains."""
    returns_at: int | None = None
    """When another replica starts in its place."""

    @property
    def limit(self) -> float:
        """What the replicas together may reach at the end."""
        return min(self.configured or RAISED_QUOTA, RAISED_QUOTA if self.raise_at is not None else QUOTA)


def scenarios(seconds: int) -> list[Scenario]:
    """Return all scenarios, each of this length; where the quota rises, it does so after 60% of it."""
    raise_at = seconds * 6 // 10
    return [
        Scenario("30 ms", 30, seconds=seconds, raise_at=raise_at),
        Scenario("300 ms", 300, seconds=seconds, raise_at=raise_at),
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
    """Return so many events that no replica reaches their end, not even with more than its share."""
    return int(seconds * (RAISED_QUOTA * 0.4 + QUOTA * 0.6) * 1.7) + 2 * QUOTA
