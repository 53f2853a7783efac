"""What may be seen of the engine: for the snapshot, and for the checks of the simulation.

Nothing here changes what the engine does. `next_timer` and `is_stalled` bring the rates and windows up to
date.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from bridge.engine.batch import Batch
from bridge.engine.batcher import Batcher
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.flow_control import FlowControl
from bridge.engine.inlet import Inlet
from bridge.engine.offsets import Lane, Offsets
from bridge.engine.skips import SkipOrders
from bridge.engine.task import Task
from bridge.engine.window import Window
from bridge.model import TopicPartition


class EngineView:
    """Reads the engine's parts. Only the engine's own thread may ask."""

    def __init__(
        self,
        *,
        inlets: Mapping[str, Inlet],
        offsets: Offsets,
        batcher: Batcher,
        dispatcher: Dispatcher,
        flow: FlowControl,
        skips: SkipOrders,
    ) -> None:
        self._offsets, self._batcher, self._dispatcher = offsets, batcher, dispatcher
        self._flow, self._skips = flow, skips
        self.inlets = inlets

    @property
    def lanes(self) -> Mapping[TopicPartition, Lane]:
        """The lanes of this member, by partition."""
        return self._offsets.lanes

    @property
    def tasks(self) -> Collection[Task]:
        """The batches under way, in the order in which they were dispatched."""
        return self._dispatcher.tasks

    def task_of(self, batch: Batch) -> Task | None:
        """Return the task of a batch that is under way."""
        return self._dispatcher.task_of(batch)

    @property
    def open_batches(self) -> Iterable[Batch]:
        """The batches that still wait for records."""
        return self._batcher.open_batches()

    @property
    def dispatched_batches(self) -> Iterable[Batch]:
        """The batches under way, and those that wait behind another of their lane."""
        return self._dispatcher.batches()

    @property
    def is_idle(self) -> bool:
        """Whether no batch is open, under way or waiting for its turn."""
        return self._dispatcher.is_idle and not any(True for _ in self._batcher.open_batches())

    @property
    def windows(self) -> Mapping[str, Window]:
        """The inlets' windows."""
        return self._flow.windows

    @property
    def paused(self) -> Collection[TopicPartition]:
        """The partitions that are paused."""
        return self._flow.paused

    @property
    def skip_orders(self) -> int:
        """The number of operators' orders that are being carried out."""
        return len(self._skips)

    def queued(self, inlet: str) -> int:
        """Return the number of requests that wait until their inlet may take them."""
        return self._dispatcher.queued(inlet)

    def next_timer(self) -> float:
        """Return when a waiting task or a queued request is due; infinity where only replies bring
        anything.
        """
        return self._dispatcher.next_timer()

    def is_stalled(self, now: float) -> bool:
        """Return whether nothing at all is read for now."""
        return self._flow.is_stalled(now)
