"""The seams: what the pump asks of Kafka, HTTP, the dead-letter topic and the clock. The real rooms and the simulated ones both fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from bridge.model import BatchRequest, DeadLetter, Slice, TopicPartition


class RebalanceListener(Protocol):
    """What a source tells, from inside `read` or `close`, on the caller's thread. None of these raises."""

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        """Partitions came, with their committed offsets where known; returns those to start paused."""
        ...

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions go, in good order: what is stored when this returns is committed before the next owner starts."""
        ...

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions are gone already: nothing of them may be stored."""
        ...


class Source(Protocol):
    """A member of a consumer group. One thread calls it."""

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
        """Up to `limit` records, those of one partition in offset order; waits for the first one only. Keeps the group membership alive.

        Raises `Fatal` when the client can't go on.
        """
        ...

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Marks the offsets to commit (each the next one to read); refused silently for partitions that are no longer ours."""
        ...

    def uncommitted(self) -> int:
        """Partitions whose stored offset is not known to be committed yet."""
        ...

    def pause(self, partitions: Iterable[TopicPartition]) -> None: ...
    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...
    def close(self) -> None:
        """Commits what is stored and leaves the group."""
        ...


class Completions(Protocol):
    """Where replies arrive, each under the ticket that it was asked with."""

    def put(self, ticket: object, reply: object) -> None: ...
    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        """Everything that has arrived; waits up to `timeout_s` for something to happen, a part of an answer perhaps (0: doesn't wait)."""
        ...


class Sender(Protocol):
    """Carries requests. Never blocks; the answer arrives in the completions as `(ticket, Answer)`."""

    def send(self, ticket: object, post: BatchRequest) -> None: ...


class DeadLetterProducer(Protocol):
    """Publishes letters. Never blocks; `(ticket, Published)` arrives once the broker acknowledged or refused each."""

    def publish(self, ticket: object, letters: Sequence[DeadLetter]) -> None: ...


class Clock(Protocol):
    """Seconds that never go back."""

    def __call__(self) -> float: ...


class Fatal(Exception):
    """The client can't go on; the process ends with a non-zero code."""
