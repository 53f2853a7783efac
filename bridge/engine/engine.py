"""The engine: its parts put together, and what others ask of it: threads, the group and the dispatcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bridge.codec.routes import Route
from bridge.engine import events
from bridge.engine.batch import Batch
from bridge.engine.batcher import Batcher
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.effects import Settled
from bridge.engine.events import Observer, Observers
from bridge.engine.flow_control import FlowControl
from bridge.engine.inlet import Inlet
from bridge.engine.intake import Intake
from bridge.engine.loop import BUSY_S, Loop
from bridge.engine.offsets import Offsets
from bridge.engine.rebalance import Rebalance
from bridge.engine.skips import SkipOrders
from bridge.engine.states import State
from bridge.engine.view import EngineView
from bridge.model import TopicPartition
from bridge.ports import Clock, Completions, DeadLetterProducer, Sender, Source


@dataclass(slots=True)
class EngineSettings:
    """What the engine itself needs of the configuration. Seconds and records."""

    max_messages: int = 1000
    linger_s: float = 1.0
    max_uncommitted_records: int = 100_000
    revoke_timeout_s: float = 10.0
    drain_timeout_s: float = 30.0
    ordered: bool = False
    name: str = "batch"
    """What batch ids begin with."""


class Engine:
    """Reads, delivers and stores. It implements `ports.RebalanceListener`, and the dispatcher's
    `Settlement`.
    """

    def __init__(
        self,
        *,
        route_of: Callable[[str], Route | None],
        inlets: Mapping[str, Inlet],
        sender: Sender,
        dead_letters: DeadLetterProducer,
        completions: Completions,
        clock: Clock,
        settings: EngineSettings,
        observers: Iterable[Observer] = (),
    ) -> None:
        self._find_route = cache(route_of)
        self._clock, self._settings = clock, settings
        self._observer = observer = Observers(observers)
        self._offsets = offsets = Offsets()
        self._batcher = batcher = Batcher(
            max_bytes=lambda name: inlets[name].max_bytes,
            max_messages=lambda name: inlets[name].rate.at_most(settings.max_messages),
            linger_s=settings.linger_s,
            name=settings.name,
        )
        self._dispatcher = dispatcher = Dispatcher(
            inlets=inlets,
            sender=sender,
            dead_letters=dead_letters,
            dead_letter_topic=lambda topic: self._route(topic).dead_letter_topic(topic),
            settlement=self,
            observer=observer,
            clock=clock,
        )
        self._flow = flow = FlowControl(
            inlets=inlets,
            offsets=offsets,
            dispatcher=dispatcher,
            route=self._route,
            max_uncommitted_records=settings.max_uncommitted_records,
            observer=observer,
            now=clock(),
        )
        self._intake = Intake(
            inlets=inlets,
            offsets=offsets,
            batcher=batcher,
            flow=flow,
            route=self._route,
            dispatch=dispatcher.add,
            ordered=settings.ordered,
            observer=observer,
        )
        self._skips = skips = SkipOrders(offsets, batcher, dispatcher, dispatcher.add)
        self._rebalance = Rebalance(
            offsets=offsets, batcher=batcher, dispatcher=dispatcher, flow=flow, skips=skips, observer=observer
        )
        self.view = EngineView(
            inlets=inlets, offsets=offsets, batcher=batcher, dispatcher=dispatcher, flow=flow, skips=skips
        )
        self.loop = Loop(
            inlets=inlets,
            offsets=offsets,
            batcher=batcher,
            dispatcher=dispatcher,
            flow=flow,
            intake=self._intake,
            skips=skips,
            view=self.view,
            completions=completions,
            find_route=self._find_route,
            drain_timeout_s=settings.drain_timeout_s,
            observer=observer,
            clock=clock,
        )

    def run(self, source: Source) -> bool:
        """Read and deliver until `stop`, then drain. Return whether nothing was abandoned.

        Raises `Fatal` from the source.
        """
        return self.loop.run(source)

    # -- for any thread -------------------------------------------------------------------

    def stop(self) -> None:
        """Ask for the drain. A signal handler may call this too."""
        self.loop.request_stop()

    def note_partition_counts(self, counts: Mapping[str, int]) -> None:
        """Note the number of partitions of the mapped topics. The mapping must not change any more."""
        self.loop.note_partition_counts(counts)

    def note_joined(self) -> None:
        """Note that this member has joined the group; it may have no partitions."""
        self.loop.note_joined()

    @property
    def status(self) -> dict[str, Any]:
        """The last snapshot. It is replaced and never changed."""
        return self.loop.status

    @property
    def state(self) -> State:
        """Whether the engine runs, drains or leaves the group."""
        return self.loop.state

    @property
    def beat(self) -> float:
        """When the loop last turned, in seconds of the engine's clock."""
        return self.loop.beat

    @property
    def joined(self) -> bool:
        """Whether the group has given this member an assignment, an empty one included."""
        return self.loop.joined

    def _route(self, topic: str) -> Route:
        route = self._find_route(topic)
        if route is None:
            raise RuntimeError(f"topic {topic} was read, but no route of the mapping matches it")
        return route

    # -- what the dispatcher reports --------------------------------------------------------

    def records_settled(self, batch: Batch, settled: Settled) -> None:
        """Release the lanes that have nothing left in the batch."""
        if settled.accepted:
            self._observer.records_accepted(events.RecordsAccepted(settled.accepted))
        for letter in settled.dead_letters:
            self._observer.dead_letter_published(events.DeadLetterPublished(letter))
            self._skips.published(letter)
        for lane in settled.lanes:
            self._offsets.resolve(lane, batch)

    def batch_finished(self, batch: Batch) -> None:
        """Give back what the batch held."""
        self.batch_dropped(batch)
        self._skips.batch_finished(batch)

    def batch_dropped(self, batch: Batch) -> None:
        """Give back what the batch held. Orders for its records are answered when the partition ends."""
        self._flow.windows[batch.key.inlet].give_back(batch.weight)

    # -- the group (called by the source, on the engine's thread) -----------------------------

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        """Begin lanes; return those that start paused."""
        self.loop.note_joined()
        return self._rebalance.assigned(offsets, self._clock(), draining=self.loop.is_draining)

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Let what is in flight finish, within one deadline, store, and end the lanes."""
        started = self._clock()
        deadline = min(started + self._settings.revoke_timeout_s, max(started, self.state.deadline))

        def wait(is_open: Callable[[], bool]) -> None:
            while is_open() and (left := deadline - self._clock()) > 0:
                self.loop.complete(min(BUSY_S, left))

        self._rebalance.revoked(partitions, wait, self.loop.store, self._clock)

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """End lanes that another member has already."""
        self._rebalance.lost(partitions)
