"""The nouns of the bridge: what is read, sent, answered and dead-lettered. Values without behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

Headers = Sequence[tuple[str, bytes | None]]
"""Kafka's record headers, in their order: names may repeat, and a value may be null."""


class TopicPartition(NamedTuple):
    """One partition of one topic of Kafka. Its text is `topic/partition`."""

    topic: str
    partition: int
    """Its number, from 0."""

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Record(Protocol):
    """A Kafka record.

    It has the accessors of `confluent_kafka.Message`, so that the client's messages need no wrapper.
    """

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...
    def timestamp(self) -> tuple[int, int]:
        """Return the type (0 none, 1 create time, 2 log append time) and milliseconds since the epoch."""
        ...


class Slice(msgspec.Struct, frozen=True):
    """Records of one partition that were read together, in the order of its log.

    A slice without records says that the partition ends at `next_offset`. Offsets rise within a slice, with
    gaps where compaction or transactions left some; they go backwards only where the log began anew.
    """

    partition: TopicPartition
    records: Sequence[Record]
    values: Sequence[bytes | None]
    """The value of each record, in the same order; None is a tombstone."""
    next_offset: int
    """The offset to read next: behind the last record, and behind control records at the partition's end."""
    overhead: int
    """Bytes that the records hold in memory beside their values: keys, headers, objects."""


class Format(StrEnum):
    """What a topic's values are, as the user configures it (`topics[].format`)."""

    ENVELOPE = "envelope"
    """Adobe's messages: `{"header":…,"body":…}`."""
    ENTITY = "entity"
    """Bare XDM entities, around which the bridge puts the envelope."""
    RAW = "raw"
    """Sent as they are."""


class Reason(StrEnum):
    """Why a record is dead-lettered: a label of metrics, and the dead letter's header `aep.reason`.

    `TOMBSTONE` is also the reason for which a record is settled without being sent.
    """

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    NO_ROUTE = "no_route"
    """The record's own header names no usable dataset."""
    TOO_LARGE = "too_large"
    """It does not fit into a request."""
    TOMBSTONE = "tombstone"
    """Its value is null."""
    REFUSED = "refused"
    """AEP refused it."""
    SKIPPED = "skipped"
    """An operator ordered it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record is dead-lettered, with the evidence."""

    reason: Reason
    error: str
    """For the operator: what is wrong, without secrets."""
    status: int | None = None
    """AEP's HTTP status for this record; None where AEP did not refuse it."""
    attempts: int = 0
    """How many requests carried the record."""
    extra: Headers = ()
    """More headers for the dead letter, such as who skipped the record and why."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record on its way to its dead-letter topic."""

    record: Record
    topic: str
    """The dead-letter topic."""
    refusal: Refusal
    batch_id: str
    """The batch that carried the record; the log names it too."""
    inlet_id: str
    """Adobe's id of the streaming inlet, which is the last part of its URL."""
    dataset_id: str | None
    """None where the record names none and its topic has none configured."""


class BatchRequest(msgspec.Struct, frozen=True):
    """A request to make: a POST to the batch endpoint of an inlet."""

    inlet: str
    """The name under which the sender knows the inlet's endpoint."""
    pieces: Sequence[bytes]
    """One message each, as JSON. The body is `{"messages":[piece,piece,…]}`."""
    timeout_s: float
    """Time for the whole request, from connecting to the last byte of the response."""
    size: int
    """Bytes of the body."""


class Fault(StrEnum):
    """Why a request has no usable response. AEP may have accepted it, except with `CREDENTIALS`."""

    TIMEOUT = "timeout"
    """The response was not complete within the request's `timeout_s`."""
    CONNECTION = "connection"
    """The connection failed: DNS, proxy, TLS, refused, reset, or closed before the response was complete."""
    OVERSIZE = "oversize"
    """The response was larger than the sender accepts."""
    CREDENTIALS = "credentials"
    """There was no access token, so that nothing was sent."""


class BatchResponse(msgspec.Struct, frozen=True):
    """What became of a `BatchRequest`: AEP's status and body, or a fault."""

    status: int = 0
    """The HTTP status; 0 with a fault."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """The response's headers, names in lower case. Of a name that repeats, the last value."""
    body: bytes = b""
    """The response's body, with the request's secrets masked where it repeats them."""
    fault: Fault | None = None
    """None where AEP responded."""
    error: str = ""
    """With a fault: what happened, without secrets."""
    token_was_good: bool = False
    """With 401 or 403: AEP had accepted this access token before. It is refreshed before the next request."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What became of a list of dead letters that was published."""

    failed: Sequence[int] = ()
    """Indexes of those that no broker acknowledged, rising."""
    error: str = ""
    """Why the first of them failed: the record, the topic, the reason and what to do about it."""
