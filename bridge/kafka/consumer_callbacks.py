"""What the consumer reports besides the calls of its `ports.RebalanceListener`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError

from bridge.model import TopicPartition


def _ignore(*_: object) -> None:
    """The default of every callback: nobody listens."""


@dataclass(frozen=True, slots=True)
class ConsumerCallbacks:
    """Functions that the consumer calls, each optional, on the thread that calls `read` or `close`.

    A callback must return soon, because nothing is read meanwhile, and must not raise.
    """

    on_commit: Callable[[KafkaError | None, Mapping[TopicPartition, int]], None] = _ignore
    """A commit has ended: its error, if there was one, and the offsets that are committed now."""
    on_error: Callable[[KafkaError], None] = _ignore
    """The client has a problem that it handles itself: no broker, a missing ACL, a missing topic."""
    on_statistics: Callable[[str], None] = _ignore
    """The client's statistics as JSON, every `statistics.interval.ms`. See kafka/statistics."""
    on_offset_reset: Callable[[TopicPartition, int, int], None] = _ignore
    """An offset (the first number) is gone, and reading went on at another one (the second).

    If it went on at a higher offset, the records between were deleted before they were read: they are lost to
    the bridge. If it went on at a lower one, the topic was truncated or created anew since the offset was
    committed. See kafka/offset_resets."""
    on_store_refused: Callable[[Mapping[TopicPartition, int]], None] = _ignore
    """These offsets were not stored, because their partitions are no longer assigned to this member."""
    on_partitions_ignored: Callable[[Sequence[TopicPartition]], None] = _ignore
    """The group has assigned these partitions to this member, which excludes their topics from reading."""
    on_headers_renamed: Callable[[TopicPartition, Sequence[int]], None] = _ignore
    """The records at these offsets had a header whose name is not UTF-8. See kafka/header_repair."""
    on_callback_failure: Callable[[str, BaseException], None] = _ignore
    """The handling of a rebalance has failed, so that the next `read` raises `Fatal`; or `close` has failed.

    The text names which of them, and the exception says why."""
