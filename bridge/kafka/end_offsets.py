"""Know where the assigned partitions end, which the lag is computed from.

The consumer's fetches report it at no cost, but a paused partition is not fetched. So the brokers are
asked, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from bridge.kafka.topics import TopicAdmin
from bridge.model import TopicPartition
from bridge.ports import Clock

ANSWER_S = 2.0
"""How long the brokers may take to answer one request for end offsets."""

SILENCE_S = 60.0
"""How long a partition is not asked for after it did not answer. Most likely it has no leader."""


class EndOffsets:
    """The end offsets of partitions. One thread calls `query`; any thread may use the rest."""

    def __init__(
        self, assigned: Callable[[], Iterable[TopicPartition]], clock: Clock = time.monotonic
    ) -> None:
        """`assigned` returns the partitions that are assigned to this member now."""
        self._assigned, self._clock = assigned, clock
        self._fetched: Mapping[TopicPartition, int] = {}
        self._answered: Mapping[TopicPartition, int] = {}
        self._silent_until: dict[TopicPartition, float] = {}
        """Partitions that did not answer, and when they are asked for again."""

    def by_partition(self) -> dict[TopicPartition, int]:
        """Return the larger of the fetched and the answered end of each partition that has one."""
        fetched, answered = self._fetched, self._answered
        larger = {partition: max(end, fetched.get(partition, end)) for partition, end in answered.items()}
        return {**fetched, **larger}

    def update_fetched(self, ends: Mapping[TopicPartition, int]) -> None:
        """Replace what the consumer's fetches say. A partition that is not fetched keeps an old end there."""
        self._fetched = ends

    def query(self, admin: TopicAdmin) -> None:
        """Ask the brokers for the ends of the assigned partitions. A partition without an answer keeps its
        end.

        Blocks for `ANSWER_S` at most. Brokers that are away are reported by the consumer, not here.
        """
        assigned, began = list(self._assigned()), self._clock()
        self._silent_until = {
            partition: until for partition, until in self._silent_until.items() if until > began
        }
        wanted = [partition for partition in assigned if partition not in self._silent_until]
        answers = admin.end_offsets(wanted, ANSWER_S) if wanted else {}
        if self._clock() - began >= ANSWER_S:
            silent = [partition for partition in wanted if partition not in answers]
            self._silent_until.update(dict.fromkeys(silent, began + SILENCE_S))
        ends = {**self._answered, **answers}
        self._answered = {partition: ends[partition] for partition in assigned if partition in ends}
