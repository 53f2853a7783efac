"""What can be observed in the engine: one hook for each event, given one frozen value with the details.

An observer overrides the hooks that it needs. The engine calls the observers in the order of its list, on
its own thread. A hook must not block and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.model import BatchResponse, DeadLetter, Reason, TopicPartition


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """Records came from Kafka."""

    topic: str
    records: int


@dataclass(frozen=True, slots=True)
class RecordsSkipped:
    """Records were settled without being sent, by a rule that the user configured."""

    topic: str
    reason: Reason
    records: int


@dataclass(frozen=True, slots=True)
class RecordsTooLargeForProfile:
    """Profile drops these records for their size, after AEP's 207."""

    topic: str
    records: int


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A request goes out."""

    inlet: str
    records: int
    size: int
    """Bytes of its body."""


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """A request ended, with AEP's response or without one."""

    inlet: str
    response: BatchResponse
    seconds: float


@dataclass(frozen=True, slots=True)
class RecordsAccepted:
    """Records are in AEP."""

    by_topic: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DeadLetterPublished:
    """The broker acknowledged a dead letter."""

    dead_letter: DeadLetter


@dataclass(frozen=True, slots=True)
class DeadLettersFailed:
    """The broker did not acknowledge some dead letters. They are published again."""

    topics: frozenset[str]
    error: str


@dataclass(frozen=True, slots=True)
class BatchWaits:
    """Some records of a batch wait before their next attempt."""

    inlet: str
    batch: str
    records: int
    first: str
    """The first of them, as `topic/partition/offset`; empty where the whole batch waits."""
    reason: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class InletHeld:
    """An inlet is held: from now on one request at a time probes it."""

    inlet: str
    reason: str
    detail: str
    next_try_s: float


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """A request that probed a held inlet was not accepted."""

    inlet: str
    reason: str
    detail: str
    next_try_s: float


@dataclass(frozen=True, slots=True)
class InletReleased:
    """A held inlet accepts again."""

    inlet: str
    reason: str
    """Why it was held."""
    held_s: float


@dataclass(frozen=True, slots=True)
class FloodGuardStopped:
    """The flood guard holds the refused records of a dataset, or of a route."""

    inlet: str
    key: str


@dataclass(frozen=True, slots=True)
class OffsetsStored:
    """Watermarks were handed to the client, which commits them."""

    offsets: Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class PartitionsAssigned:
    """Partitions came to this member."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class PartitionsRevoked:
    """Partitions went to another member."""

    partitions: tuple[TopicPartition, ...]
    lost: bool
    """They were gone before this member could store anything of them."""
    seconds: float
    """How long the revoke waited for open requests."""
    open_requests: int
    """Requests that were still open: the next owner sends their records again."""


@dataclass(frozen=True, slots=True)
class PartitionRewound:
    """A partition's offsets went backwards: its topic was truncated, or created anew."""

    partition: TopicPartition
    expected_offset: int
    offset: int
    unsettled: int
    """Records of before that are still delivered, and of which no offset is stored."""


@dataclass(frozen=True, slots=True)
class PartitionsPaused:
    """Reading of these partitions stops."""

    partitions: tuple[TopicPartition, ...]
    reason: str
    """`drain`; `window`: their inlet's window is full; or `max_uncommitted_records`: they are that far
    ahead."""


@dataclass(frozen=True, slots=True)
class PartitionsResumed:
    """Reading of these partitions goes on."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class DrainStarted:
    """The engine reads no more, and settles what it has read."""

    records: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class DrainFinished:
    """The drain is over. The next owner reads again what was abandoned."""

    abandoned: int
    seconds: float


class Observer:
    """An observer that ignores every event. Override the hooks that you need."""

    def records_read(self, event: RecordsRead) -> None: ...
    def records_skipped(self, event: RecordsSkipped) -> None: ...
    def records_too_large_for_profile(self, event: RecordsTooLargeForProfile) -> None: ...
    def request_sent(self, event: RequestSent) -> None: ...
    def response_received(self, event: ResponseReceived) -> None: ...
    def records_accepted(self, event: RecordsAccepted) -> None: ...
    def dead_letter_published(self, event: DeadLetterPublished) -> None: ...
    def dead_letters_failed(self, event: DeadLettersFailed) -> None: ...
    def batch_waits(self, event: BatchWaits) -> None: ...
    def inlet_held(self, event: InletHeld) -> None: ...
    def probe_failed(self, event: ProbeFailed) -> None: ...
    def inlet_released(self, event: InletReleased) -> None: ...
    def flood_guard_stopped(self, event: FloodGuardStopped) -> None: ...
    def offsets_stored(self, event: OffsetsStored) -> None: ...
    def partitions_assigned(self, event: PartitionsAssigned) -> None: ...
    def partitions_revoked(self, event: PartitionsRevoked) -> None: ...
    def partition_rewound(self, event: PartitionRewound) -> None: ...
    def partitions_paused(self, event: PartitionsPaused) -> None: ...
    def partitions_resumed(self, event: PartitionsResumed) -> None: ...
    def drain_started(self, event: DrainStarted) -> None: ...
    def drain_finished(self, event: DrainFinished) -> None: ...


HOOKS = tuple(name for name in vars(Observer) if not name.startswith("_"))
"""The names of the hooks."""


class Observers(Observer):
    """Passes every event on to each observer of a list, in its order."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        """Look up once which observers override which hook, so that an event nobody observes costs
        nothing.
        """
        listening = tuple(observers)
        for name in HOOKS:
            ignores = getattr(Observer, name)
            overrides = (getattr(observer, name) for observer in listening)
            hooks = tuple(hook for hook in overrides if getattr(hook, "__func__", hook) is not ignores)
            setattr(self, name, hooks[0] if len(hooks) == 1 else _fan_out(hooks))


def _fan_out(hooks: tuple[Callable[[Any], None], ...]) -> Callable[[Any], None]:
    def notify(event: Any) -> None:
        for hook in hooks:
            hook(event)

    return notify
