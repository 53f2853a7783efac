"""A slice of records becomes messages of batches, and is entered in the offsets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress, pairwise
from operator import is_not, itemgetter

from bridge.codec.record_groups import RecordGroup
from bridge.codec.routes import Route
from bridge.codec.validation import group_records
from bridge.engine import events
from bridge.engine.batch import Batch, Key
from bridge.engine.batcher import Batcher
from bridge.engine.events import Observer
from bridge.engine.flow_control import FlowControl
from bridge.engine.inlet import Inlet
from bridge.engine.offsets import Lane, Offsets
from bridge.model import Reason, Slice


class Intake:
    """Takes in what was read. Full batches are dispatched."""

    def __init__(
        self,
        *,
        inlets: Mapping[str, Inlet],
        offsets: Offsets,
        batcher: Batcher,
        flow: FlowControl,
        route: Callable[[str], Route],
        dispatch: Callable[[Batch], None],
        ordered: bool,
        observer: Observer,
    ) -> None:
        """`ordered`: order is kept within each partition."""
        self._inlets, self._offsets, self._batcher, self._flow = inlets, offsets, batcher, flow
        self._route, self._dispatch, self._ordered, self._observer = route, dispatch, ordered, observer

    def take(self, part: Slice, now: float) -> None:
        """Take in a slice. One of a partition that this member does not have any more is ignored."""
        lane = self._offsets.lanes.get(part.partition)
        if lane is None:
            return
        records = part.records
        if records:
            first = records[0].offset()
            if records[-1].offset() - first < len(records) - 1:
                for rising in _rising_slices(part):
                    self.take(rising, now)
                return
        else:
            first = part.next_offset
        if lane.next is not None and first < lane.next:  # without records: created anew, and empty so far
            lane = self._rewind(lane, first, now)
        if records:
            self._take_records(part, lane, now)
        self._offsets.advance(lane, part.next_offset)
        self._flow.check_lane(lane)

    def _take_records(self, part: Slice, lane: Lane, now: float) -> None:
        topic, records = part.partition.topic, part.records
        route = self._route(topic)
        inlet, window = self._inlets[route.inlet], self._flow.windows[route.inlet]
        self._observer.records_read(events.RecordsRead(topic, len(records)))
        overhead = part.overhead / len(records)
        taken: list[tuple[int, Batch]] = []
        full: list[Batch] = []
        for group in group_records(route, part.values, in_order=self._ordered):
            if group.refusal is not None:
                key = Key(inlet.name, group.dataset, None, route.name)
                record = records[group.start]
                weight = overhead + len(part.values[group.start] or b"")
                window.take(weight)
                batch, is_full = self._batcher.refuse(key, lane, record, group.refusal, weight, now)
                taken.append((record.offset(), batch))
                if is_full:
                    full.append(batch)
                continue
            if not group.pieces:
                event = events.RecordsSkipped(topic, Reason.TOMBSTONE, len(group))
                self._observer.records_skipped(event)
                continue
            if group.oversize:
                too_large = events.RecordsTooLargeForProfile(topic, group.oversize)
                self._observer.records_too_large_for_profile(too_large)
            inlet.reset_refusals(route.name)
            key = Key(inlet.name, group.dataset, lane if self._ordered else None)
            own = group.select(records)
            held = overhead + _original_bytes(part.values, group) / len(group)
            for addition in self._batcher.add(key, lane, own, group.pieces, held, now):
                window.take(addition.weight)
                if addition.first >= 0:
                    taken.append((own[addition.first].offset(), addition.batch))
                if addition.is_full:
                    full.append(addition.batch)
        # `Offsets.took` wants ascending offsets; the groups of two datasets overlap.
        taken.sort(key=itemgetter(0))
        for offset, batch in taken:
            self._offsets.took(lane, batch, offset, now)
        for batch in full:
            self._dispatch(batch)

    def _rewind(self, lane: Lane, first: int, now: float) -> Lane:
        """Replace a lane whose offsets went backwards, so that nothing of the old one is stored.

        What was read of the old one is delivered all the same: it can't be read again. It never shares a
        batch with records of the new one, whose offsets are the same.
        """
        batches = [batch for batch in lane.open if isinstance(batch, Batch)]
        unsettled = sum(batch.lanes[lane] for batch in batches)
        event = events.PartitionRewound(lane.source, lane.next or 0, first, unsettled)
        self._observer.partition_rewound(event)
        for batch in batches:
            if self._batcher.take(batch):
                self._dispatch(batch)
        self._batcher.drop([lane])
        return self._offsets.replace(lane, now)


def _rising_slices(part: Slice) -> Iterator[Slice]:
    """Cut a slice whose offsets go backwards somewhere into slices within which they don't."""
    records = part.records
    falls = [at for at in range(1, len(records)) if records[at].offset() <= records[at - 1].offset()]
    overhead = part.overhead // len(records)
    for start, stop in pairwise([0, *falls, len(records)]):
        is_last = stop == len(records)
        next_offset = part.next_offset if is_last else records[stop - 1].offset() + 1
        yield Slice(
            part.partition,
            records[start:stop],
            part.values[start:stop],
            next_offset,
            overhead * (stop - start),
        )


def _original_bytes(values: Sequence[bytes | None], group: RecordGroup) -> int:
    """Return the bytes of the values that are held, for a dead letter, beside the messages that were made
    of them.
    """
    if group.pieces is values:
        return 0
    originals = group.select(values)
    copied = map(is_not, originals, group.pieces)
    return sum(compress(map(len, originals), copied))  # type: ignore[arg-type]  # what is sent has a value
