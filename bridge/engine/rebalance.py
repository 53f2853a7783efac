"""Partitions come and go: what Kafka's group says to this member, from inside a read or the close of the
source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bridge.engine import events
from bridge.engine.batcher import Batcher
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.events import Observer
from bridge.engine.flow_control import FlowControl
from bridge.engine.offsets import Lane, Offsets
from bridge.engine.skips import SkipOrders
from bridge.model import TopicPartition


class Rebalance:
    """Begins and ends lanes. What is unsettled of a lane that ends is left to its next owner."""

    def __init__(
        self,
        *,
        offsets: Offsets,
        batcher: Batcher,
        dispatcher: Dispatcher,
        flow: FlowControl,
        skips: SkipOrders,
        observer: Observer,
    ) -> None:
        self._offsets, self._batcher, self._dispatcher = offsets, batcher, dispatcher
        self._flow, self._skips, self._observer = flow, skips, observer

    def assigned(
        self, committed: Mapping[TopicPartition, int | None], now: float, *, draining: bool
    ) -> Iterable[TopicPartition]:
        """Begin lanes; return those that start paused: their window is full, or nothing is read any more."""
        self._observer.partitions_assigned(events.PartitionsAssigned(tuple(committed)))
        for where, offset in committed.items():
            self._end([where])
            self._offsets.begin(where, now, offset)
        return self._flow.assigned(committed, now, draining=draining)

    def revoked(
        self,
        partitions: Iterable[TopicPartition],
        wait: Callable[[Callable[[], bool]], None],
        store: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """Let what is in flight finish, store the watermarks, and end the lanes.

        `wait` takes in replies while its argument says that there is something to wait for, up to a deadline.
        """
        started = clock()
        lanes = self._offsets.close(partitions)
        self._give_back(lanes)
        self._dispatcher.lanes_changed(lanes)
        wait(lambda: self._dispatcher.open_requests(lanes) > 0)
        open_requests = self._dispatcher.open_requests(lanes)
        store()
        ended = [lane.source for lane in lanes]
        self._end(ended)
        self._observer.partitions_revoked(
            events.PartitionsRevoked(
                tuple(ended), lost=False, seconds=clock() - started, open_requests=open_requests
            )
        )

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """End the lanes of partitions that another member has already: nothing of them is stored."""
        lanes = self._offsets.lanes
        gone = [where for where in partitions if where in lanes]
        open_requests = self._dispatcher.open_requests({lanes[where] for where in gone})
        self._end(gone)
        self._observer.partitions_revoked(
            events.PartitionsRevoked(tuple(gone), lost=True, seconds=0.0, open_requests=open_requests)
        )

    def _end(self, partitions: Iterable[TopicPartition]) -> None:
        lanes = set(self._offsets.end(partitions))
        if not lanes:
            return
        sources = {lane.source for lane in lanes}
        self._flow.ended(sources)
        self._give_back(lanes)
        self._dispatcher.lanes_changed(lanes)
        self._skips.partitions_ended(sources)

    def _give_back(self, lanes: set[Lane]) -> None:
        """Drop the records of these lanes that were not dispatched yet."""
        for name, weight in self._batcher.drop(lanes).items():
            self._flow.windows[name].give_back(weight)
