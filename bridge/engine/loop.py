"""The turn of the engine: complete what came back, balance, read, take in, dispatch what is due, store.

One thread owns all of it. It reaches Kafka, HTTP, the dead-letter topic and the clock through `ports` only,
so that the simulation runs this very loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from bridge.codec.routes import Route
from bridge.engine import events
from bridge.engine.batcher import Batcher
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.events import Observer
from bridge.engine.flow_control import FlowControl
from bridge.engine.inlet import Inlet
from bridge.engine.intake import Intake
from bridge.engine.offsets import Offsets
from bridge.engine.shares import share_rates
from bridge.engine.skips import SkipOrder, SkipOrders
from bridge.engine.snapshot import snapshot
from bridge.engine.states import Draining, Leaving, Running, State
from bridge.engine.task import Task
from bridge.engine.view import EngineView
from bridge.ports import Clock, Completions, Source

IDLE_S, BUSY_S = 0.1, 0.01
"""How long to wait for a first record with nothing under way; and for replies, with something under way and
nothing to read."""
SNAPSHOT_EVERY_S = 0.5


class Loop:
    """Turns until it is stopped, then drains. Only `request_stop` and the `note_` methods are for other
    threads.
    """

    def __init__(
        self,
        *,
        inlets: Mapping[str, Inlet],
        offsets: Offsets,
        batcher: Batcher,
        dispatcher: Dispatcher,
        flow: FlowControl,
        intake: Intake,
        skips: SkipOrders,
        view: EngineView,
        completions: Completions,
        find_route: Callable[[str], Route | None],
        drain_timeout_s: float,
        observer: Observer,
        clock: Clock,
    ) -> None:
        self._inlets, self._offsets, self._batcher, self._dispatcher = inlets, offsets, batcher, dispatcher
        self._flow, self._intake, self._skips, self._view = flow, intake, skips, view
        self._completions, self._find_route, self._drain_timeout_s = completions, find_route, drain_timeout_s
        self._observer, self._clock = observer, clock
        self.state: State = Running()
        self.status: dict[str, Any] = {}
        """The last snapshot. It is replaced and never changed, so that any thread may read it."""
        self.beat = clock()
        """When the loop last turned."""
        self.joined = False
        """Whether the group has given this member an assignment, an empty one included."""
        self._stop_requested = False
        self._partition_counts: Mapping[str, int] = {}
        self._last_read_was_empty = False
        self._snapshot_at = 0.0
        self._source: Source | None = None

    def request_stop(self) -> None:
        """Ask for the drain."""
        self._stop_requested = True

    def note_partition_counts(self, counts: Mapping[str, int]) -> None:
        """Note the number of partitions of the mapped topics. The mapping must not change any more."""
        self._partition_counts = counts

    def note_joined(self) -> None:
        """Note that this member has joined the group; it may have no partitions."""
        self.joined = True

    @property
    def is_draining(self) -> bool:
        """Whether nothing is read any more."""
        return not isinstance(self.state, Running)

    def run(self, source: Source) -> bool:
        """Turn until a stop is requested, then drain. Return whether nothing was abandoned."""
        self.attach(source)
        while not self._stop_requested:
            self.turn(source)
        return self.drain(source)

    def attach(self, source: Source) -> None:
        """Store into this source from now on, also when partitions are revoked."""
        self._source = source

    def turn(self, source: Source) -> None:
        """Do one turn."""
        now = self._clock()
        stalled, busy = self._flow.is_stalled(now), bool(self._dispatcher.tasks)
        # With something under way and nothing to read, replies are waited for; Kafka is asked in between.
        rests = stalled or (self._last_read_was_empty and busy)
        self.complete(min(BUSY_S, max(0.001, self._dispatcher.next_timer() - now)) if rests else 0.0)
        self.balance(source, stalled=stalled)
        if not stalled:
            self._read(source, now)
        self.dispatch_due()
        self.store()

    def complete(self, timeout_s: float) -> None:
        """Go on with what came back and with what has waited long enough, and send what may go.

        Waits for a first reply for up to `timeout_s`.
        """
        self.beat = self._clock()
        for ticket, reply in self._completions.take(timeout_s):
            if isinstance(ticket, Task):
                self._dispatcher.complete(ticket, reply)
            elif isinstance(ticket, SkipOrder):
                self._skips.carry_out(ticket)
        self._dispatcher.advance()

    def balance(self, source: Source, *, stalled: bool = False, force: bool = False) -> None:
        """Pause and resume partitions, share rates and put the snapshot together, each when it is due."""
        now = self._clock()
        if not self._flow.balance(source, now, stalled=stalled, draining=self.is_draining, force=force):
            return
        share_rates(self._inlets, self._find_route, self._offsets.lanes, self._partition_counts)
        if now >= self._snapshot_at:
            self._snapshot_at = now + SNAPSHOT_EVERY_S
            self.status = snapshot(self._view, now, joined=self.joined, draining=self.is_draining)

    def _read(self, source: Source, now: float) -> None:
        wait_s = 0.0
        if not self._dispatcher.tasks:
            due = min(self._batcher.next_due(), self._dispatcher.next_timer())
            wait_s = min(IDLE_S, max(0.001, due - now))
        slices = source.read(self._flow.read_records, wait_s)
        self._last_read_was_empty = not slices
        self._flow.note_read(now)
        for part in slices:
            self._intake.take(part, self._clock())

    def dispatch_due(self, *, everything: bool = False) -> None:
        """Dispatch the batches that have waited long enough.

        While earlier batches queue for their inlet, an open one may as well grow.
        """
        now = math.inf if everything else self._clock()
        if now < self._batcher.next_due():
            return
        busy = set() if everything else {name for name in self._inlets if self._dispatcher.queued(name)}
        for batch in self._batcher.due(now, busy):
            self._dispatcher.add(batch)

    def store(self) -> None:
        """Hand the watermarks that moved to the client, which commits them."""
        if self._source is not None and (moved := self._offsets.moved(self._clock())):
            self._source.store(moved)
            self._observer.offsets_stored(events.OffsetsStored(moved))

    def drain(self, source: Source) -> bool:
        """Stop reading, settle what was read, store and leave the group, all within one deadline.

        Return whether nothing was abandoned.
        """
        started = self._clock()
        self.state = Draining(started + self._drain_timeout_s)
        unsettled = sum(len(task.batch.records) for task in self._dispatcher.tasks)
        unsettled += sum(len(batch.records) for batch in self._batcher.open_batches())
        self._observer.drain_started(events.DrainStarted(unsettled, self._drain_timeout_s))
        self.balance(source, force=True)
        self.dispatch_due(everything=True)
        self._dispatcher.wake_all()
        while not self._dispatcher.is_idle and (left := self.state.deadline - self._clock()) > 0:
            self.complete(min(BUSY_S, left))
            self.balance(source)
            # This keeps the group. A paused partition gives nothing, and what comes all the same is not
            # taken in.
            source.read(self._flow.read_records, 0.001)
            self.store()
        self.store()
        while source.uncommitted() and self.state.deadline - self._clock() > 0:
            # A commit in the middle of a rebalance is refused: the rebalance has to end first.
            source.read(self._flow.read_records, BUSY_S)
        abandoned = sum(len(task.batch.records) for task in self._dispatcher.tasks)
        self.state = Leaving(self.state.deadline)
        source.close()
        self._observer.drain_finished(events.DrainFinished(abandoned, self._clock() - started))
        return abandoned == 0
