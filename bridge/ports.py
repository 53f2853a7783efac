"""What the engine asks of the world: Kafka, HTTP, the dead-letter topics and the clock.

The real implementations (kafka/, aep/, http/) and the simulated ones (tests/) keep the same obligations,
which are written at each call. tests/contract checks those of `Source` and `DeadLetterProducer` against a
real broker and against the fakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from bridge.model import BatchRequest, DeadLetter, Slice, TopicPartition


class Fatal(Exception):
    """The Kafka client can't go on. The process must end with an exit code other than 0."""


class RebalanceListener(Protocol):
    """What a `Source` calls when the group's rebalance changes the partitions of this member.

    The calls come from inside `Source.read` and `Source.close`, on the thread that called those. While one
    runs, nothing is read; one that takes longer than Kafka's `max.poll.interval.ms` costs the membership in
    the group. They must not raise: the source would raise `Fatal` out of its next `read`.
    """

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        """Begin with these partitions; return those that must start paused.

        The mapping has the committed offset of each partition, or None where the group has none or did not
        say it in time. No record of a partition is returned before this call. The partition may have been
        assigned before: nothing of that assignment counts any more, not even that it was paused.
        """
        ...

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Give up these partitions, which still belong to this member until this call returns.

        An offset that is stored before this returns is committed before the next owner starts to read.
        After this returns, nothing may be stored for these partitions, and no record of them is read.
        Waiting here for open requests keeps their records from being sent twice, but stops all reading of
        this member.
        """
        ...

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Give up these partitions, which may already belong to another member.

        Nothing may be stored for them, not even inside this call. Their unsettled records are read again by
        their next owner.
        """
        ...


class Source(Protocol):
    """A member of a consumer group: the engine reads from it and hands it the offsets to commit.

    One thread makes all calls. Offsets are those of the next record to read.
    """

    def read(self, limit: int, timeout_s: float) -> Sequence[Slice]:
        """Return up to `limit` records as slices, those of one partition in the order of its log.

        Waits up to `timeout_s` for a first record, and not for a second one. All slices belong to
        partitions that are assigned when this returns. May call the listener before it returns.

        Must be called again and again, even while every partition is paused: this keeps the membership in the
        group alive and lets the client commit. Must not be called after `close`. Raises `Fatal`.
        """
        ...

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Mark offsets to be committed by the client, soon and without further calls than `read` or `close`.

        Every record below a stored offset must be settled. Offsets of partitions that are not assigned are
        left out: that is no error, because partitions may go at any time. May be called between reads, and
        inside `RebalanceListener.revoked`. Must not block. Raises `Fatal`.
        """
        ...

    def uncommitted(self) -> int:
        """Return how many partitions have a stored offset that is not known to be committed yet.

        The client commits while `read` is called, so the number goes down only then.
        """
        ...

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Return no records of these partitions until they are resumed or assigned anew.

        Records that the client has fetched and not returned are thrown away, and are fetched again after
        `resume`: a pause costs network traffic. Partitions that are not assigned are left out. May be called
        between reads; pausing a paused partition changes nothing.
        """
        ...

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Return records of these partitions again, from where reading stopped. See `pause`."""
        ...

    def close(self) -> None:
        """Call `RebalanceListener.revoked` for what is assigned, commit what is stored, and leave the group.

        May be called twice. Must not be called inside the listener. Does not raise: what could not be
        committed is read again by the next owner.
        """
        ...


class Completions(Protocol):
    """Where the replies to the engine's requests arrive, each under the ticket of its request."""

    def put(self, ticket: object, reply: object) -> None:
        """Add a reply. Any thread may call this. Must not block and must not raise."""
        ...

    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        """Return what has arrived since the last call, as `(ticket, reply)` in the order of `put`.

        Waits up to `timeout_s` if nothing has arrived; with 0 it does not wait. May return nothing before
        the time is over. Only the engine's thread calls this: it may also do the sender's work on its
        sockets.
        """
        ...


class Sender(Protocol):
    """Carries requests to AEP. Only the engine's thread calls it."""

    def send(self, ticket: object, request: BatchRequest) -> None:
        """Start a request. Its `BatchResponse` must arrive in the completions under the ticket, exactly once.

        Must not block and must not raise: whatever goes wrong is a response with a fault. Must not send
        a request again that AEP may have seen: that is for the engine to decide.
        """
        ...


class DeadLetterProducer(Protocol):
    """Publishes dead letters. Only the engine's thread calls it."""

    def publish(self, ticket: object, letters: Sequence[DeadLetter]) -> None:
        """Start to publish dead letters. Their `PublishResult` must arrive in the completions, exactly once.

        It must not arrive before the broker has acknowledged or refused every one of them, or has let its
        time pass. A dead letter that is not named as failed must be on every in-sync replica. Must not
        block and must not raise.
        """
        ...


class Clock(Protocol):
    """A clock for durations."""

    def __call__(self) -> float:
        """Return seconds since any fixed moment. They never go back."""
        ...
