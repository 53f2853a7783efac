"""The nouns of the bridge: what is read, grouped, sent, answered and settled. Pure values; no client, clock or thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

Headers = Sequence[tuple[str, bytes | None]]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Record(Protocol):
    """A Kafka record, with the accessors of `confluent_kafka.Message`, so that the real ones pass through unwrapped."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...
    def timestamp(self) -> tuple[int, int]:
        """Kafka's timestamp type (0 none, 1 create time, 2 log append time) and milliseconds since the epoch."""
        ...


class Slice(msgspec.Struct, frozen=True):
    """Consecutive records of one partition, in offset order, as they were read. Without records it is an end of partition."""

    partition: TopicPartition
    records: Sequence[Record]
    values: Sequence[bytes | None]
    next_offset: int
    """The offset after the last record, control records included where the client told of them."""
    overhead: int
    """Bytes of memory that these records hold beside their values until they are settled: keys, headers, objects."""


class Format(StrEnum):
    """What a topic's values are."""

    ENVELOPE = "envelope"
    ENTITY = "entity"
    RAW = "raw"


class Reason(StrEnum):
    """Why a record went to its dead-letter topic: the label of metrics and the header `aep.reason`."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    NO_ROUTE = "no_route"
    TOO_LARGE = "too_large"
    TOMBSTONE = "tombstone"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record is dead-lettered."""

    reason: Reason
    error: str
    status: int | None = None
    """AEP's status, where AEP refused it."""
    attempts: int = 0
    """Requests that carried the record."""
    extra: Headers = ()
    """More headers for the dead letter, such as who skipped a record, and why."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record on its way to its dead-letter topic."""

    record: Record
    topic: str
    """The dead-letter topic."""
    refusal: Refusal
    batch_id: str
    inlet_id: str
    dataset_id: str | None


class BatchRequest(msgspec.Struct, frozen=True):
    """A request to make: the pieces go out as `{"messages":[piece,piece,…]}` to the inlet's batch endpoint."""

    inlet: str
    """The inlet's name, a key of the sender's table."""
    pieces: Sequence[bytes]
    timeout_s: float
    """For the whole request, from connecting to the answer's last byte."""
    size: int
    """Bytes of the body."""


class Fault(StrEnum):
    """Why a request has no answer."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    """Refused, reset, DNS, TLS, a proxy that could not be reached, half an answer."""
    OVERSIZE = "oversize"
    """The answer was larger than its cap."""
    CREDENTIALS = "credentials"
    """No token could be got; nothing was sent."""


class BatchResponse(msgspec.Struct, frozen=True):
    """What came back for a `BatchRequest`: a status with its body, or a fault."""

    status: int = 0
    """0 with a fault."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Names in lower case; the last one wins."""
    body: bytes = b""
    fault: Fault | None = None
    error: str = ""
    """With a fault: what happened, without secrets."""
    token_was_good: bool = False
    """With 401 or 403: the token had been accepted before, and is refreshed before the next request."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What the broker said of a list of letters: the indexes it did not acknowledge, and why."""

    failed: Sequence[int] = ()
    error: str = ""
