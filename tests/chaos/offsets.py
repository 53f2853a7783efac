"""What the group has committed, where the topics end, and how far that is apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Position


class Offsets:
    """Of one group and topic, asked past the gateways. `partitions`: how many the topic has now."""

    def __init__(
        self, properties: Mapping[str, str], group: str, topic: str, partitions: Callable[[], int]
    ) -> None:
        self._properties = {**properties, "group.id": group, "log_level": 0}
        self._topic, self._partitions = topic, partitions
        self.commits: dict[int, list[tuple[float, int]]] = {}
        """By partition: what was seen to be committed, and when that was known."""

    @contextmanager
    def _reader(self) -> Iterator[Consumer]:
        reader = Consumer(self._properties)
        try:
            yield reader
        finally:
            reader.close()

    def _committed(self, reader: Consumer, seconds: float) -> list[Position]:
        return reader.committed(
            [Position(self._topic, number) for number in range(self._partitions())], seconds
        )

    def watch(self, over: Event) -> None:
        """Looks twice a second."""
        with self._reader() as reader:
            while not over.wait(0.5):
                try:
                    found = self._committed(reader, 5)
                except KafkaException:
                    continue
                self.saw(
                    time.time(),
                    {
                        each.partition: each.offset
                        for each in found
                        if each.error is None and each.offset >= 0
                    },
                )

    def saw(self, at: float, offsets: Mapping[int, int]) -> None:
        """Notes what was committed at a time, at the latest."""
        for partition, offset in offsets.items():
            self.commits.setdefault(partition, []).append((at, offset))

    def lag(self) -> int:
        """Records behind; -1 where the brokers don't say."""
        with self._reader() as reader:
            try:
                done = self._committed(reader, 10)
                return sum(
                    self._end(reader, self._topic, each.partition) - max(each.offset, 0) for each in done
                )
            except KafkaException:
                return -1

    def ends(self, deadline: float) -> dict[int, int]:
        """Where each partition ends now; raises `KafkaException` where nobody says so until the deadline (monotonic)."""
        with self._reader() as reader:
            while True:
                try:
                    return {
                        number: self._end(reader, self._topic, number) for number in range(self._partitions())
                    }
                except KafkaException:
                    if time.monotonic() > deadline:
                        raise

    def size(self, topic: str, partitions: int) -> int:
        """Where the partitions of another topic end, together; -1 where the brokers don't say."""
        with self._reader() as reader:
            try:
                return sum(self._end(reader, topic, number) for number in range(partitions))
            except KafkaException:
                return -1

    def reached(self, ends: Mapping[int, int]) -> bool:
        """Whether all of that was seen to be committed."""
        return all(self.commits.get(number, [(0.0, -1)])[-1][1] >= end for number, end in ends.items() if end)

    @staticmethod
    def _end(reader: Consumer, topic: str, partition: int) -> int:
        return int(reader.get_watermark_offsets(Position(topic, partition), 10)[1])
