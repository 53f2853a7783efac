"""Rate, concurrency and the size of requests against a quota, in simulated time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

import pytest

from tests.support.quota import QUOTA, Quota, QuotaSimulation, quota_simulation, refused_share, used_share


@dataclass
class Storm(Quota):
    """For a minute it refuses a share of what it would take, whatever the rate."""

    share: float = 0.0
    dice: Random = field(default_factory=Random)

    def take(self, amount: int, now: float) -> bool:
        return (not 100 <= now < 160 or self.dice.random() >= self.share) and super().take(amount, now)


@dataclass
class Strict(Quota):
    """A request that is larger than the bucket never passes."""

    def take(self, amount: int, now: float) -> bool:
        return amount <= self.per_s and super().take(amount, now)


@pytest.mark.parametrize("latency_s", [0.03, 0.3])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_process_settles_at_the_quota(latency_s: float, seed: int) -> None:
    """At least 95% of it is used, less than 1% of requests are refused, and no five seconds starve."""
    it = quota_simulation(latency_s, seed=seed)
    it.run(360)

    assert used_share(it.replicas, 60, 360) >= 0.95
    assert refused_share(it.replicas, 60, 360) < 0.01
    assert min(used_share(it.replicas, at, at + 5) for at in range(60, 355)) >= 0.8


@pytest.mark.parametrize("latency_s", [0.03, 0.3])
@pytest.mark.parametrize("factor", [1.5, 2.0, 0.5])
@pytest.mark.parametrize("moment", [100, 109, 118])
def test_a_quota_that_changes_is_found_within_seconds(latency_s: float, factor: float, moment: int) -> None:
    """Whenever it happens: after 30 seconds 90% of the new one is used, and stays so."""
    it = quota_simulation(latency_s, seed=moment)

    def change(now: float) -> None:
        if now == moment:
            it.quota.per_s = QUOTA * factor

    it.run(260, change)

    assert used_share(it.replicas, moment + 30, moment + 50, QUOTA * factor) >= 0.9
    assert used_share(it.replicas, moment + 60, 260, QUOTA * factor) >= 0.93


@pytest.mark.parametrize("latency_s", [0.03, 0.3])
def test_a_raised_quota_is_found_whenever_it_rises(latency_s: float) -> None:
    """The quota is raised by half: 95% of it is used after 12 seconds at most, and after 8 on average,
    wherever in its calm the rate is.
    """
    took = []
    for moment in range(100, 116):
        it = quota_simulation(latency_s, seed=moment)

        def change(now: float, it: QuotaSimulation = it, moment: int = moment) -> None:
            if now == moment:
                it.quota.per_s = QUOTA * 1.5

        it.run(moment + 30, change)
        took.append(
            next(
                s / 2
                for s in range(54)
                if used_share(it.replicas, moment + s / 2, moment + s / 2 + 3, QUOTA * 1.5) >= 0.95
            )
        )

    assert max(took) <= 12
    assert sum(took) / len(took) <= 8


@pytest.mark.parametrize("latency_s", [0.03, 0.3])
@pytest.mark.parametrize("apart_s", [0.0, 1.5, 40.0])
def test_three_processes_refuse_little_and_share_fairly(latency_s: float, apart_s: float) -> None:
    """From 60 seconds after the last one started: in 90 seconds, and in the minutes after them, less than 1%
    of requests are refused.

    Each refusal is chance, some 7 in 90 seconds: each run may have a little more than the goal, and all of
    them together must meet the goal.
    """
    at = 60 + 2 * apart_s
    early, late, least = [], [], []
    for seed in range(8):
        it = quota_simulation(latency_s, 3, apart_s=apart_s, seed=seed)
        it.run(at + 390)
        early.append(refused_share(it.replicas, at, at + 90))
        late.append(refused_share(it.replicas, at + 90, at + 390))

        assert used_share(it.replicas, at, at + 390) >= 0.95
        least.append(min(used_share([replica], at, at + 390) for replica in it.replicas) * 3)

    assert sum(early) / len(early) < 0.0085
    assert sum(late) / len(late) < 0.009
    assert max(*early, *late) < 0.015
    assert sum(least) / len(least) >= 0.8
    assert min(least) >= 0.6


@pytest.mark.parametrize("latency_s", [0.03, 0.3])
def test_a_replica_that_leaves_gives_its_share_at_once(latency_s: float) -> None:
    """A third of the quota was its; ten seconds after the rebalance the two that are left use it."""
    it = quota_simulation(latency_s, 3)

    def leave(now: float) -> None:
        if now == 200:
            gone = it.replicas[0]
            gone.starts, gone.inlet.rate.configured = math.inf, 1e-3
            it.rebalance(now)

    it.run(260, leave)

    assert used_share(it.replicas, 210, 260) >= 0.9


@pytest.mark.parametrize("latency_s", [0.03, 0.3])
def test_processes_that_know_nothing_of_each_other_share_a_quota(latency_s: float) -> None:
    """The members are of different groups, each with all of its partitions. More is refused, since each
    searches as if it were alone, but none starves.
    """
    it = quota_simulation(latency_s, 3)
    it.rebalance = lambda now: None  # type: ignore[method-assign]
    it.run(400)

    assert used_share(it.replicas, 60, 400) >= 0.95
    assert refused_share(it.replicas, 60, 400) < 0.06
    assert min(used_share([replica], 60, 400) for replica in it.replicas) >= 0.5 / 3


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_storm_of_429_is_forgotten_within_seconds(share: float, seed: int) -> None:
    """For a minute so many requests are refused whatever the rate. 40 seconds after it (back-off included)
    nearly as much is accepted as before.
    """
    it = quota_simulation(0.03, seed=seed)
    it.quota = Storm(30_000, 10_000, share=share, dice=Random(seed))
    it.run(230)

    assert used_share(it.replicas, 50, 100, 30_000) >= 0.9
    assert used_share(it.replicas, 200, 230, 30_000) >= 0.75


def test_a_configured_rate_is_kept_by_all_together() -> None:
    """Three processes with a third of 6,000 each never pass it, although the quota would allow more: no
    second has more than one request of each beyond it.
    """
    it = quota_simulation(0.03, 3)
    for replica in it.replicas:
        replica.inlet.rate.configured = 2000.0
    it.run(120)

    assert 0.95 <= used_share(it.replicas, 10, 120, 6000) <= 1.01
    assert max(used_share(it.replicas, at / 4, at / 4 + 1, 6000) for at in range(4 * 118)) <= 1.2
    assert not any(replica.refused for replica in it.replicas)


# -- small quotas -----------------------------------------------------------------------


@pytest.mark.parametrize("latency_s", [0.03, 0.3])
@pytest.mark.parametrize(("quota", "most"), [(2000, 0.022), (1000, 0.022), (500, 0.022), (50, 0.025)])
def test_a_small_quota_is_used_as_evenly_as_a_large_one(latency_s: float, quota: float, most: float) -> None:
    """From the second minute on some 2% of requests are refused, and nearly all of the quota is used:
    requests are as small as the rate.
    """
    for seed in range(3):
        it = quota_simulation(latency_s, seed=seed, quota=quota)
        it.run(360)

        assert refused_share(it.replicas, 60, 360) < most
        assert used_share(it.replicas, 60, 360, quota) >= 0.97


@pytest.mark.parametrize("latency_s", [0.03, 0.3])
@pytest.mark.parametrize(
    ("replicas", "quota", "early", "late"),
    [
        (6, 10_000, 0.03, 0.01),
        (12, 10_000, 0.04, 0.01),
        (3, 3000, 0.04, 0.016),
        (12, 3000, 0.06, 0.016),
        (12, 1000, 0.08, 0.016),
    ],
)
def test_many_processes_share_a_quota_that_is_small_for_each(
    latency_s: float, replicas: int, quota: float, early: float, late: float
) -> None:
    """With less than a full request a second for each, few requests are refused and no member starves, not
    even one whose first request finds nothing left.
    """
    for seed in range(2):
        it = quota_simulation(latency_s, replicas, seed=seed, quota=quota)
        it.run(360)

        assert refused_share(it.replicas, 0.1, 120) < early
        assert refused_share(it.replicas, 120, 360) < late
        assert used_share(it.replicas, 120, 360, quota) >= 0.98
        assert min(used_share([replica], 120, 360, quota) for replica in it.replicas) * replicas >= 0.5


@pytest.mark.parametrize(
    ("replicas", "factor", "most"), [(1, 0.05, 0.025), (1, 0.01, 0.03), (3, 0.05, 0.025)]
)
def test_a_quota_that_sinks_far_is_kept_to(replicas: int, factor: float, most: float) -> None:
    """Batches that were made large before are sent in parts: a minute later few requests are refused, and the
    available quota is used.
    """
    for seed in range(3):
        it = quota_simulation(0.03, replicas, seed=seed)

        def change(now: float, it: QuotaSimulation = it) -> None:
            if now == 60:
                it.quota.per_s = QUOTA * factor

        it.run(420, change)

        assert refused_share(it.replicas, 120, 420) < most
        assert used_share(it.replicas, 120, 420, QUOTA * factor) >= 0.93


@pytest.mark.parametrize("quota", [1000, 500])
def test_a_request_larger_than_the_bucket_gets_through_in_parts(quota: float) -> None:
    """A bucket that holds less than a batch would refuse it for ever."""
    for seed in range(3):
        it = quota_simulation(0.03, seed=seed, quota=quota)
        it.quota = Strict(quota, quota)
        it.run(600)

        assert refused_share(it.replicas, 300, 600) < 0.022
        assert used_share(it.replicas, 300, 600, quota) >= 0.97
