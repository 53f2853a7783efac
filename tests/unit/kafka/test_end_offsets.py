"""Where partitions end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from bridge.kafka.end_offsets import SILENCE_S, EndOffsets
from bridge.kafka.topics import TopicAdmin
from bridge.model import TopicPartition

A, B = TopicPartition("shop-a", 0), TopicPartition("shop-b", 0)


class Bench:
    """End offsets over brokers that answer as a test says, and a clock that stands still otherwise."""

    def __init__(self, *assigned: TopicPartition) -> None:
        self.assigned = list(assigned)
        self.answers: dict[TopicPartition, int] = {}
        self.leaderless: set[TopicPartition] = set()
        self.asked: list[list[TopicPartition]] = []
        self.now = 100.0
        self.ends = EndOffsets(lambda: self.assigned, lambda: self.now)

    def query(self) -> None:
        self.ends.query(cast("TopicAdmin", self))

    def end_offsets(
        self, partitions: Iterable[TopicPartition], timeout_s: float
    ) -> dict[TopicPartition, int]:
        """What is used of `TopicAdmin`."""
        asked = list(partitions)
        self.asked.append(asked)
        if self.leaderless.intersection(asked):
            self.now += timeout_s
        return {partition: self.answers[partition] for partition in asked if partition in self.answers}


def test_an_end_is_the_larger_of_the_fetched_and_the_answered_one() -> None:
    """A paused partition is not fetched: the brokers know better. Where they don't answer, the known end
    stays.
    """
    bench = Bench(A, B)
    bench.ends.update_fetched({A: 10, B: 30})
    bench.answers = {A: 40, B: 20}
    bench.query()

    assert bench.ends.by_partition() == {A: 40, B: 30}

    bench.answers = {B: 35}
    bench.query()

    assert bench.ends.by_partition() == {A: 40, B: 35}


def test_only_assigned_partitions_are_asked_for() -> None:
    """Without any there is no request. A partition that went to another member is forgotten."""
    bench = Bench()
    bench.query()

    assert bench.asked == []

    bench.answers = {A: 40}
    bench.assigned = [A]
    bench.query()
    bench.assigned = []
    bench.query()

    assert bench.ends.by_partition() == {}


def test_a_partition_without_a_leader_is_left_alone_for_a_minute() -> None:
    """The client would use a whole processor while it looks for the leader. The others are asked for
    meanwhile, and an answer that is only late changes nothing.
    """
    bench = Bench(A, B)
    bench.answers = {A: 40}
    bench.query()
    bench.leaderless = {B}
    bench.query()
    bench.query()
    bench.now += SILENCE_S
    bench.query()

    assert bench.asked == [[A, B], [A, B], [A], [A, B]]
