"""What can be observed: one method for each thing that happens, which counts and logs it. This one is silent; `telemetry` speaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bridge.model import BatchResponse, DeadLetter, TopicPartition


class Events:
    """Silent, for tests and the simulation."""

    def read(self, topic: str, records: int) -> None:
        """Records came from Kafka."""

    def skipped(self, topic: str, reason: str, records: int) -> None:
        """Records were settled without being sent, by a rule that the user configured."""

    def oversize(self, topic: str, records: int) -> None:
        """Events that Profile will drop for their size, after a 207."""

    def sent(self, inlet: str, records: int, size: int) -> None:
        """A request goes out."""

    def answered(self, inlet: str, answer: BatchResponse, seconds: float) -> None:
        """A request came back, or did not."""

    def accepted(self, accepted: Mapping[str, int]) -> None:
        """Records are in AEP, by topic."""

    def buried(self, letter: DeadLetter) -> None:
        """A dead letter was acknowledged by the broker."""

    def dead_letters_failed(self, topics: Iterable[str], error: str) -> None:
        """The broker did not take dead letters; they are tried again."""

    def waits(
        self, inlet: str, batch: str, records: int, first: str, reason: str, detail: str, seconds: float
    ) -> None:
        """Some records of a batch wait before their next attempt; the first of them is `topic/partition/offset`."""

    def held(self, inlet: str, reason: str, detail: str, seconds: float) -> None:
        """An inlet only probes from now on."""

    def probed(self, inlet: str, reason: str, detail: str, seconds: float) -> None:
        """A held inlet probed in vain."""

    def released(self, inlet: str, reason: str, seconds: float) -> None:
        """A held inlet accepts again."""

    def flooded(self, inlet: str, key: str) -> None:
        """The flood guard holds a dataset or route."""

    def stored(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Watermarks were handed to the client, to be committed."""

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions came."""

    def revoked(
        self, partitions: Iterable[TopicPartition], *, lost: bool, seconds: float, open_requests: int
    ) -> None:
        """Partitions went; with open requests, their records may be sent twice."""

    def rewound(self, partition: TopicPartition, before: int, now: int, unsettled: int) -> None:
        """Offsets went backwards: a topic was truncated or created anew. So many records of before are delivered, and stored nowhere."""

    def paused(self, partitions: Iterable[TopicPartition], reason: str) -> None:
        """Reading stops for these partitions."""

    def resumed(self, partitions: Iterable[TopicPartition]) -> None:
        """Reading goes on."""

    def draining(self, records: int, deadline_s: float) -> None:
        """The first SIGTERM."""

    def drained(self, *, abandoned: int, seconds: float) -> None:
        """The drain is over; what was abandoned is read again by the next owner."""
