"""Which part of a quota, and of an organisation-wide rate, a member uses."""

from __future__ import annotations

from dataclasses import replace

from bridge.codec.routes import Route
from bridge.model import Format, TopicPartition
from tests.support.engine_bench import Bench


def test_the_learned_rate_moves_with_the_partitions() -> None:
    """The rate of the topic's own inlet changes at once; partitions of another topic count for that topic's
    inlet. Between two assignments nothing is forgotten.
    """
    bench = Bench(routes=(Route("t", Format.RAW, "a", "ds"), Route("u", Format.RAW, "b", "ds")), partitions=3)
    bench.engine.note_partition_counts({"t": 3, "u": 12})
    bench.engine.loop.balance(bench.source, force=True)
    for inlet in bench.inlets.values():
        inlet.rate.accepted(40_000, 0.0)
        inlet.rate.pushed_back(1.0)
    assert (bench.inlets["a"].rate.limit, bench.inlets["b"].rate.limit) == (40_000, 10_000)

    def limits() -> tuple[float, ...]:
        bench.engine.loop.balance(bench.source, force=True)
        return tuple(round(inlet.rate.limit) for inlet in bench.inlets.values())

    bench.engine.revoked([TopicPartition("t", 1), TopicPartition("t", 2), TopicPartition("u", 2)])
    assert limits() == (13_333, 6667)
    bench.engine.revoked([TopicPartition("t", 0)])
    assert limits() == (13_333, 6667)
    bench.assign(*(TopicPartition("t", number) for number in range(3)))
    assert limits() == (40_000, 6667)


def test_the_organisations_rate_is_one_for_all_inlets_that_share_it() -> None:
    """By the partitions of their topics, whoever has them; an inlet with a rate of its own has that."""
    routes = [
        Route(topic, Format.RAW, inlet, "ds") for topic, inlet in (("t", "a"), ("u", "b"), ("v", "own"))
    ]
    bench = Bench(routes=routes, partitions=1, policy={"max_messages_per_s": 6000, "shares_rate": True})
    bench.inlets["own"].policy = replace(bench.inlets["own"].policy, max_messages_per_s=90, shares_rate=False)

    def configured() -> tuple[float | None, ...]:
        bench.engine.loop.balance(bench.source, force=True)
        return tuple(inlet.rate.configured for inlet in bench.inlets.values())

    bench.engine.note_partition_counts({"t": 1, "u": 3, "v": 1})
    assert configured() == (1500, 1500, 90)
    bench.assign(*(TopicPartition("u", number) for number in range(3)))
    assert configured() == (1500, 4500, 90)
    bench.engine.revoked([TopicPartition("t", 0)])
    assert configured() == (1, 4500, 90)
