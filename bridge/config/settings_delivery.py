"""The sections `batch`, `delivery` and `dead_letter`: how records are sent, and where refused ones go."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bridge.config.section import Section


class BatchSettings(Section):
    """How large a request becomes, and how long a record waits for others to share it."""

    max_bytes: int = Field(default=1_000_000, ge=10_000, le=1_000_000)
    """Largest request body in bytes, with everything around the records.
    A single record that is larger is sent alone, up to 1,000,000 bytes: AEP takes no more."""
    max_messages: int = Field(default=1000, ge=1, le=10_000)
    """Most records in a request.
    While a rate limits the inlet (`max_messages_per_s`, or one learned from 429s), a request holds at most
    what that rate allows in a fifth of a second, but at least ten."""
    linger_ms: int = Field(default=1000, ge=0, le=600_000)
    """Milliseconds that a batch waits for more records."""


class DeliverySettings(Section):
    """How requests are sent and repeated, and which limits apply."""

    max_in_flight: int = Field(default=8, ge=1, le=256)
    """Most requests under way at once for each inlet. The limit adapts itself below this."""
    max_uncommitted_records: int = Field(default=100_000, ge=1)
    """How many records a partition is read ahead of its committed offset.
    A crash repeats at most this many of it. Below 1,000 the reads become smaller and cost more CPU."""
    window_bytes: int = Field(default=33_554_432, ge=20_000)
    """Bytes of all records that were read and are not settled yet, for each inlet.
    At least twice `batch.max_bytes`. This is most of the process's memory."""
    request_timeout_s: float = Field(default=30, gt=0, le=300)
    """Seconds for a whole request, from connecting to the last byte of the response.
    At most `drain_timeout_s`."""
    retry_after_max_s: float = Field(default=300, ge=0)
    """Longest wait in seconds that AEP's `Retry-After` can ask for. A longer one is cut to this."""
    ordering: Literal["none", "partition"] = "none"
    """`none`: batches of a partition may overtake each other.
    `partition`: the records of a partition arrive in order, which is slower and repeats more records after a
    partial failure."""
    drain_timeout_s: float = Field(default=30, gt=0, le=3600)
    """Seconds from SIGTERM until the last offset is committed.
    Records that are not settled by then are read again by the next owner of their partition."""
    revoke_timeout_s: float = Field(default=10, gt=0)
    """Seconds that a rebalance waits for requests under way.
    Less than half of the consumer's `max.poll.interval.ms`."""
    backoff_max_s: float = Field(default=60, gt=0)
    """Longest wait in seconds between two attempts, where AEP does not say when to come back."""


class DeadLetterSettings(Section):
    """What happens to records that can't be delivered."""

    create_topics: bool = True
    """Create missing dead-letter topics, with unlimited retention and as many partitions as their source."""
    flood_guard: int = Field(default=1000, ge=0)
    """Refused records in a row, with none accepted between them, after which a dataset of an inlet is held:
    its records then wait instead of being dead-lettered. 0: never."""
    tombstones: Literal["skip", "dead_letter"] = "skip"
    """What happens to records without a value.
    `skip`: they are counted and passed over. `dead_letter`: they are dead-lettered."""
