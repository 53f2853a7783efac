"""Operators' orders to move a record to its dead-letter topic, whatever AEP says of it.

An order is noted in the record's batch. The batch's delivery carries it out (`delivery.skip`), and the
order is answered here once the dead letter is acknowledged, or once it is clear that there will be none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from bridge.engine.batch import Batch
from bridge.engine.batcher import Batcher
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.offsets import Lane, LaneState, Offsets
from bridge.model import DeadLetter, Reason, Refusal, TopicPartition

Position = tuple[TopicPartition, int]


@dataclass(slots=True, eq=False)
class SkipOrder:
    """One order. It is the ticket that an admin thread puts into the completions."""

    source: TopicPartition
    offset: int
    who: str
    why: str
    done: Future[str] = field(default_factory=Future)
    """What became of the order, in words."""

    def answer(self, result: str) -> None:
        """Say what became of the order. The caller may have gone already."""
        with suppress(InvalidStateError):
            self.done.set_result(result)


class SkipOrders:
    """The orders that are being carried out."""

    def __init__(
        self,
        offsets: Offsets,
        batcher: Batcher,
        dispatcher: Dispatcher,
        dispatch: Callable[[Batch], None],
    ) -> None:
        self._offsets, self._batcher, self._dispatcher, self._dispatch = (
            offsets,
            batcher,
            dispatcher,
            dispatch,
        )
        self._open: dict[Position, SkipOrder] = {}

    def __len__(self) -> int:
        return len(self._open)

    def carry_out(self, order: SkipOrder) -> None:
        """Note the order in the batch that holds the record, or answer why the record is not moved."""
        lane = self._offsets.lanes.get(order.source)
        where = f"{order.source}/{order.offset}"
        if found := self._find(lane, order):
            batch, index = next((each for each in found if each[1] not in each[0].ordered), found[0])
            extra = (
                ("aep.skipped.by", order.who.encode()),
                ("aep.skipped.why", order.why.encode()),
            )
            error = f"skipped by {order.who}: {order.why}"
            batch.order_skip(index, Refusal(Reason.SKIPPED, error, extra=extra))
            self._open[order.source, order.offset] = order
            if self._batcher.take(batch):
                self._dispatch(batch)
            elif (task := self._dispatcher.task_of(batch)) is not None:
                self._dispatcher.look_again(task)
        elif lane is None:
            order.answer(f"not moved: {order.source} is not assigned to this member; ask the one that has it")
        elif order.offset >= (lane.next or lane.stored or 0):
            following = "unknown" if lane.next is None else lane.next
            order.answer(f"not moved: {where} has not been read yet (next offset: {following})")
        else:
            order.answer(f"not moved: {where} is settled already (watermark: {lane.watermark})")

    def published(self, letter: DeadLetter) -> None:
        """A dead letter was acknowledged: answer the order for its record, if there is one."""
        if not self._open:
            return
        record = letter.record
        position = TopicPartition(record.topic(), record.partition()), record.offset()
        if (order := self._open.pop(position, None)) is not None:
            order.answer(f"moved to {letter.topic}")

    def batch_finished(self, batch: Batch) -> None:
        """Nothing of a batch is left: answer the orders for its records that were not carried out."""
        if not self._open:
            return
        sources = {lane.source for lane in batch.lanes}
        for record in batch.records:
            source = TopicPartition(record.topic(), record.partition())
            if source in sources and (order := self._open.pop((source, record.offset()), None)) is not None:
                order.answer("not moved: AEP accepted it meanwhile, or its partition went to another member")

    def partitions_ended(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions went to another member: answer the orders for their records."""
        gone = set(partitions)
        for position in [position for position in self._open if position[0] in gone]:
            order = self._open.pop(position)
            order.answer(f"not moved by this member: {position[0]} went to another one; ask again there")

    def _find(self, lane: Lane | None, order: SkipOrder) -> list[tuple[Batch, int]]:
        """Return where the record may be: in the lane, or in what is left of lanes that were replaced.

        Those are from before the partition's offsets went backwards, and have the same offsets.
        """
        batches = [batch for batch in (lane.open if lane else ()) if isinstance(batch, Batch)]
        batches += [
            batch for batch in self._dispatcher.batches() if _has_earlier_lane(batch, order.source, lane)
        ]
        wanted = (order.source.topic, order.source.partition, order.offset)
        return [
            (batch, index)
            for batch in batches
            for index, record in enumerate(batch.records)
            if (record.topic(), record.partition(), record.offset()) == wanted and index not in batch.settled
        ]


def _has_earlier_lane(batch: Batch, source: TopicPartition, lane: Lane | None) -> bool:
    return any(
        each.source == source and each is not lane and each.state is not LaneState.DEAD
        for each in batch.lanes
    )
