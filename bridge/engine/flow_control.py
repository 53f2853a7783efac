"""How much is read, and of what: each inlet's window of bytes, and which partitions are paused.

What is read and not settled fits each inlet's window, and each partition stays within
`max_uncommitted_records` of its watermark. Where nothing may be read at all, the loop stalls: a pause would
throw away what Kafka's client has fetched. Where only some partitions may not be read, or a window stays
full for long, partitions are paused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bridge.codec.routes import Route
from bridge.engine import events
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.events import Observer
from bridge.engine.inlet import Inlet
from bridge.engine.offsets import Lane, Offsets
from bridge.engine.window import Window
from bridge.model import TopicPartition
from bridge.ports import Source

MAX_READ_RECORDS = 500
"""Records of one read."""
PAUSE_AFTER_S = 5.0
"""A window that stays full for so long pauses its partitions; a pause throws away what was prefetched."""
ENOUGH_S = 0.25
"""Where enough requests wait to be sent, nothing more is read for at most so long: responses may come
meanwhile, and what is read long before it can be sent costs memory and has left the processor's caches by
then."""
BALANCE_EVERY_S = 0.05


class FlowControl:
    """The windows of the inlets and the paused partitions. One thread owns it."""

    def __init__(
        self,
        *,
        inlets: Mapping[str, Inlet],
        offsets: Offsets,
        dispatcher: Dispatcher,
        route: Callable[[str], Route],
        max_uncommitted_records: int,
        observer: Observer,
        now: float,
    ) -> None:
        """`route` returns the route of a topic that is read."""
        self._inlets, self._offsets, self._dispatcher = inlets, offsets, dispatcher
        self._route, self._observer = route, observer
        self.windows = {name: Window(inlet.policy.window_bytes) for name, inlet in inlets.items()}
        self.read_records = min(MAX_READ_RECORDS, max(1, max_uncommitted_records // 2))
        """Records that one read may bring."""
        self._pause_at_records = max(1, max_uncommitted_records - self.read_records)
        """Records ahead of its watermark at which a partition is paused: one more read still fits."""
        self.paused: set[TopicPartition] = set()
        self._balance_at = 0.0
        self._was_stalled = False
        """Whether the turn before did not read, because of full windows."""
        self._read_at = now
        """When something was last read."""

    # -- before a read --------------------------------------------------------------------

    def is_stalled(self, now: float) -> bool:
        """Return whether to read nothing at all for now.

        Every inlet in use is full, and not for so long that its partitions are paused; or it has enough to
        send.
        """
        full = {name for name, window in self.windows.items() if window.used and window.is_full(now)}
        if any(self.windows[name].full_for(now) >= PAUSE_AFTER_S for name in full):
            return False
        if now - self._read_at < ENOUGH_S:
            full |= {name for name, inlet in self._inlets.items() if self._has_enough(inlet)}
        if len(full) == len(self._inlets):
            return True
        return bool(full) and all(self._route(source.topic).inlet in full for source in self._offsets.lanes)

    def _has_enough(self, inlet: Inlet) -> bool:
        if not inlet.in_flight:
            return False
        return self._dispatcher.queued(inlet.name) >= max(2, inlet.concurrency.allowed // 2)

    def note_read(self, now: float) -> None:
        """Note that records were asked for."""
        self._read_at = now

    def check_lane(self, lane: Lane) -> None:
        """Have a lane that is too far ahead of its watermark paused before the next read."""
        if lane.uncommitted >= self._pause_at_records:
            self._balance_at = 0.0

    # -- pauses ------------------------------------------------------------------------------

    def balance(
        self, source: Source, now: float, *, stalled: bool, draining: bool, force: bool = False
    ) -> bool:
        """Pause the partitions whose window is full or that are too far ahead, and resume the others.

        `stalled` says whether this turn reads nothing. Return False where it was too early for another look.
        """
        after_stall, self._was_stalled = self._was_stalled and not stalled, stalled
        full = any(window.is_marked_full for window in self.windows.values())
        # What a stall held back must be paused before the next read.
        if now < self._balance_at and not (force or (after_stall and full)):
            return False
        self._balance_at = now + BALANCE_EVERY_S
        for name in {self._route(where.topic).inlet for where in self._offsets.lanes}:
            self.windows[name].is_full(now)
        pause: dict[str, list[TopicPartition]] = {}
        resume: list[TopicPartition] = []
        for where, lane in self._offsets.lanes.items():
            paused = where in self.paused
            reason = ""
            if draining:
                reason = "drain"
            elif self._is_too_far_ahead(lane, paused=paused):
                reason = "max_uncommitted_records"
            elif self._is_blocked(where, stalled=stalled):
                reason = "window"
            if reason and not paused:
                pause.setdefault(reason, []).append(where)
            elif not reason and paused:
                resume.append(where)
        for reason, partitions in pause.items():
            self.paused.update(partitions)
            source.pause(partitions)
            self._observer.partitions_paused(events.PartitionsPaused(tuple(partitions), reason))
        if resume:
            self.paused.difference_update(resume)
            source.resume(resume)
            self._observer.partitions_resumed(events.PartitionsResumed(tuple(resume)))
        return True

    def _is_too_far_ahead(self, lane: Lane, *, paused: bool) -> bool:
        most = self._pause_at_records
        return lane.uncommitted >= (max(1, most // 2) if paused else most)

    def _is_blocked(self, where: TopicPartition, *, stalled: bool) -> bool:
        """Return whether a partition's window is full. A stall needs no pause, but it resumes nothing
        either.
        """
        window = self.windows[self._route(where.topic).inlet]
        return window.is_marked_full and (not stalled or where in self.paused)

    # -- the group -----------------------------------------------------------------------------

    def assigned(
        self, partitions: Iterable[TopicPartition], now: float, *, draining: bool
    ) -> set[TopicPartition]:
        """Return which of the assigned partitions start paused."""
        assigned = set(partitions)
        full = {name for name, window in self.windows.items() if window.is_full(now)}
        paused = {where for where in assigned if draining or self._route(where.topic).inlet in full}
        self.paused = (self.paused - assigned) | paused
        return paused

    def ended(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that went to another member."""
        self.paused.difference_update(partitions)
