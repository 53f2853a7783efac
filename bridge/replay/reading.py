"""Reads dead-letter topics from their beginnings to where they ended when asked. Commits nothing, joins no group."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from bridge.config.settings import PARKED, Settings
from bridge.kafka.coordinates import Coordinates
from bridge.kafka.header_repair import rename_unreadable_headers
from bridge.kafka.topics import TopicAdmin, Unreachable
from bridge.model import Record, TopicPartition
from bridge.replay.dead_letter import StoredDeadLetter, understood

PATIENCE_S = 30.0


@dataclass(slots=True)
class Bounds:
    """The first offset and the end of each partition, at one moment."""

    low: dict[TopicPartition, int] = field(default_factory=dict)
    end: dict[TopicPartition, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """At most so many letters."""
        return sum(self.end[where] - self.low[where] for where in self.end)


def topics_of(settings: Settings, asked: Iterable[str] = ()) -> dict[str, int]:
    """The dead-letter topics that exist, or those asked for, with their partition counts. Raises `Unreachable`, LookupError for one asked that is not there."""
    there = TopicAdmin(settings.admin_properties()).partition_counts(["^.*"])
    wanted = list(asked)
    if missing := [name for name in wanted if name not in there]:
        raise LookupError(
            f"{missing[0]}: no such topic; dead-letter topics here: {', '.join(n for n in there if _holds_letters(settings, n)) or 'none'}"
        )
    return {
        name: count
        for name, count in sorted(there.items())
        if (name in wanted if wanted else _holds_letters(settings, name))
    }


def _holds_letters(settings: Settings, name: str) -> bool:
    """Dead-letter topics, but neither their parking topics nor the marks of replays."""
    return (
        settings.is_dead_letter_topic(name) and not name.endswith(PARKED) and name != settings.replayed_topic
    )


class Reader:
    """A client that reads; close it."""

    def __init__(self, settings: Settings) -> None:
        properties = {
            **settings.consumer_properties(),
            "group.id": f"{settings.kafka.group_id}.dlq-reader",
            "enable.auto.commit": False,
        }
        self._consumer = Consumer({**properties, "enable.partition.eof": True, "auto.offset.reset": "error"})

    def bounds(self, topics: Mapping[str, int]) -> Bounds:
        """Raises `Unreachable`."""
        found = Bounds()
        for topic, partitions in topics.items():
            for number in range(partitions):
                where = TopicPartition(topic, number)
                try:
                    found.low[where], found.end[where] = self._consumer.get_watermark_offsets(
                        Position(topic, number), timeout=10
                    )
                except KafkaException as problem:
                    raise Unreachable(f"{where}: {problem.args[0].str()}") from None
        return found

    def letters(self, bounds: Bounds) -> Iterator[StoredDeadLetter]:
        """Every letter within the bounds. Raises `Unreachable` where nothing comes for `PATIENCE_S`."""
        return map(understood, self.records(bounds))

    def records(self, bounds: Bounds) -> Iterator[Record]:
        """Every record within the bounds. Raises `Unreachable` where nothing comes for `PATIENCE_S`."""
        left = {where: end for where, end in bounds.end.items() if end > bounds.low[where]}
        self._consumer.assign([Position(where.topic, where.partition, bounds.low[where]) for where in left])
        last = time.monotonic()
        while left:
            for message in self._consumer.consume(1000, 0.1):
                where = TopicPartition(cast("str", message.topic()), cast("int", message.partition()))
                error, offset = message.error(), cast("int", message.offset())
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        left.pop(where, None)
                    elif error.code() in (
                        KafkaError.TOPIC_AUTHORIZATION_FAILED,
                        KafkaError.OFFSET_OUT_OF_RANGE,
                        KafkaError._AUTO_OFFSET_RESET,
                    ):
                        raise Unreachable(f"{where}: {error.str()}")
                    continue
                last = time.monotonic()
                try:
                    message.headers()
                except (SystemError, UnicodeDecodeError):
                    rename_unreadable_headers([message])
                if where in left and offset < left[where]:
                    yield cast("Record", message)
                if where in left and offset + 1 >= left[where]:
                    del left[where]
            if time.monotonic() - last > PATIENCE_S:
                raise Unreachable(f"nothing came from {', '.join(map(str, left))} for {PATIENCE_S:.0f} s")

    def one(self, place: Coordinates) -> StoredDeadLetter | None:
        """The letter at a place, if it is still there. Raises `Unreachable`."""
        where = TopicPartition(place.topic, place.partition)
        try:
            low, end = self._consumer.get_watermark_offsets(Position(*where), timeout=10)
        except KafkaException as problem:
            raise Unreachable(f"{where}: {problem.args[0].str()}") from None
        if not low <= place.offset < end:
            return None
        return next(self.letters(Bounds({where: place.offset}, {where: place.offset + 1})), None)

    def close(self) -> None:
        """Lets the brokers go."""
        self._consumer.close()
