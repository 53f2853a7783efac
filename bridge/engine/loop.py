"""The one loop: settle what came back, hold or release partitions, read, route, dispatch, store. One thread owns all of it.

It talks to Kafka, HTTP, the dead-letter topic and the clock through `ports` only, so that the simulation runs this very loop.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import compress, count, pairwise
from operator import is_not, itemgetter
from typing import Any

from bridge.codec.record_groups import RecordGroup
from bridge.codec.routes import Route
from bridge.codec.validation import group_records
from bridge.engine import events
from bridge.engine.batcher import Batch, Batcher, Key
from bridge.engine.delivery import Delivery, EffectResult, PublishDeadLetters, Settled, Wait, deliver
from bridge.engine.events import Observer, Observers
from bridge.engine.inlet import Inlet
from bridge.engine.offsets import Lane, Offsets, State
from bridge.engine.snapshot import snapshot
from bridge.model import (
    BatchRequest,
    BatchResponse,
    PublishResult,
    Reason,
    Record,
    Refusal,
    Slice,
    TopicPartition,
)
from bridge.ports import Clock, Completions, DeadLetterProducer, Sender, Source

READ_AT_ONCE = 500
IDLE_S, BUSY_S = 0.1, 0.01
"""How long a first record is waited for with nothing under way; and answers, with something under way and nothing to read."""
PAUSE_AFTER_S = 5.0
"""A window that stays full for so long pauses its partitions; a pause throws the prefetch away."""
ENOUGH_S = 0.25
"""Where requests enough wait to be sent, nothing more is read for so long at most: answers come, or the window may as well be filled."""
BALANCE_EVERY_S, SNAPSHOT_EVERY_S = 0.05, 0.5


@dataclass(slots=True)
class EngineSettings:
    """What the loop itself needs. Seconds and records."""

    max_messages: int = 1000
    linger_s: float = 1.0
    max_uncommitted_records: int = 100_000
    revoke_timeout_s: float = 10.0
    drain_timeout_s: float = 30.0
    ordered: bool = False
    name: str = "batch"
    """What batch ids begin with."""


@dataclass(slots=True, eq=False)
class Task:
    """A batch under way, and where its delivery stands."""

    seq: int
    batch: Batch
    inlet: Inlet
    delivery: Delivery
    effect: object = None
    """What the delivery asked for last, and waits for."""
    in_flight: bool = False
    """It is out: a request, or dead letters."""
    sent: int = 0
    evidence: int = -1
    sent_at: float = 0.0

    in_vain: int = 0
    """Requests since the inlet last accepted anything, those refused with 429 left out."""

    def __lt__(self, other: Task) -> bool:
        return (self.in_vain, self.seq) < (other.in_vain, other.seq)

    def waiting(self) -> tuple[int, str]:
        """How many records its delivery waits with, and the first of them: `topic/partition/offset`."""
        indexes = self.effect.indexes if isinstance(self.effect, Wait) else ()
        if not indexes:
            return len(self.batch.records), ""
        record = self.batch.records[indexes[0]]
        return len(indexes), f"{record.topic()}/{record.partition()}/{record.offset()}"


@dataclass(slots=True, eq=False)
class Skip:
    """An operator's order: this record goes to its dead-letter topic, whatever AEP says. A ticket that an admin thread puts into the completions."""

    source: TopicPartition
    offset: int
    who: str
    why: str
    done: Future[str] = field(default_factory=Future)

    def tell(self, result: str) -> None:
        """What became of the order. Who gave it may be gone."""
        with suppress(InvalidStateError):
            self.done.set_result(result)


class _Topics:
    """The dead-letter topic of each record of a batch, worked out when asked."""

    __slots__ = ("_find", "_records")

    def __init__(self, find: Callable[[str], str], records: Sequence[Record]) -> None:
        self._find, self._records = find, records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, at: int) -> str:
        return self._find(self._records[at].topic())


def _originals(values: Sequence[bytes | None], run: RecordGroup) -> int:
    """Bytes of the values that are held, for a dead letter, beside the messages that were made of them."""
    if run.pieces is values:
        return 0
    originals = run.select(values)
    return sum(compress(map(len, originals), map(is_not, originals, run.pieces)))  # type: ignore[arg-type]  # what is sent has a value


class Engine:
    """Owns the ledger, the open batches, the deliveries under way and the inlets' state."""

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
        self._find_route = route_of
        self.inlets = inlets
        self._sender, self._dead_letters, self._completions = sender, dead_letters, completions
        self._clock, self._settings, self._observers = clock, settings, Observers(observers)
        self.ledger = Offsets()
        most = settings.max_uncommitted_records
        self._at_once = min(READ_AT_ONCE, max(1, most // 2))
        self._most_ahead = max(1, most - self._at_once)
        """Where a lane is paused: one more read still fits below `max_uncommitted_records`."""
        self.batcher = Batcher(
            max_bytes=lambda name: inlets[name].max_bytes,
            max_messages=lambda name: inlets[name].rate.at_most(settings.max_messages),
            linger_s=settings.linger_s,
            name=settings.name,
        )
        self._routes: dict[str, Route | None] = {}
        self._seq = count()
        self.tasks: dict[Batch, Task] = {}
        self._timers: list[tuple[float, int, Task, Wait]] = []
        self._wakeful: set[Task] = set()
        """Those that wait, and need not once their inlet's hold ends."""
        self._ready: dict[str, list[Task]] = {name: [] for name in inlets}
        self._turns: set[str] = set()
        """Inlets where somebody sends in vain."""
        self._chains: dict[Lane, deque[Batch]] = {}
        self.paused: set[TopicPartition] = set()
        self._full_since: dict[str, float] = {}
        self._balance_at = self._snapshot_at = 0.0
        self._stood = False
        """Whether this turn does not read, because of full windows."""
        self._drained = False
        """Whether the last read found nothing."""
        self._read_at = clock()
        """When it was."""
        self.status: dict[str, Any] = {}
        """The last snapshot; replaced, never changed, so that any thread may read it."""
        self._skips: dict[tuple[TopicPartition, int], Skip] = {}
        self._stop = self.draining = False
        self._drain_deadline = math.inf
        self.leaving = False
        """Everything is settled and stored, or given up: only the brokers are waited for, with the last commit and the leaving of the group."""
        self.beat = clock()
        """When the loop last turned."""
        self.joined = False
        """Whether the group has given this member an assignment, an empty one included."""
        self.source: Source | None = None
        self.partitions_of: Mapping[str, int] = {}
        """Partition counts of the mapped topics, where known; replaced, never changed."""

    # -- the loop -----------------------------------------------------------------

    def stop(self) -> None:
        """Asks for the drain. Any thread may call this, and a signal handler."""
        self._stop = True

    def run(self, source: Source) -> bool:
        """Reads and delivers until `stop`, then drains. True where nothing was abandoned. Raises `Fatal` from the source."""
        self.source = source
        while not self._stop:
            self.turn(source)
        return self.drain(source)

    def turn(self, source: Source) -> None:
        """Once around."""
        self.beat = now = self._clock()
        stalled = self._stalled(now)
        # With something under way and nothing to read, answers are what is waited for; Kafka is asked in between.
        rests = stalled or (self._drained and bool(self.tasks))
        self.complete(min(BUSY_S, max(0.001, self._next_timer() - now)) if rests else 0.0)
        stood, self._stood = self._stood, stalled
        self.balance(
            source, force=stood and not stalled and bool(self._full_since)
        )  # what was not read until now is paused before the next read
        if not stalled:
            wait = (
                0.0
                if self.tasks
                else min(IDLE_S, max(0.001, min(self.batcher.next_due(), self._next_timer()) - now))
            )
            parts = source.read(self._at_once, wait)
            self._drained, self._read_at = not parts, now
            for part in parts:
                self.take_in(part)
        self.dispatch_due()
        self.store(source)

    def complete(self, timeout_s: float) -> None:
        """Settles what came back, wakes what has waited long enough, and sends what may go. Waits for a first answer up to `timeout_s`."""
        for ticket, reply in self._completions.take(timeout_s):
            if isinstance(ticket, Task):
                self._came_back(ticket, reply)
            elif isinstance(ticket, Skip):
                self._skip(ticket)
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            _, _, task, wait = heapq.heappop(self._timers)
            if task.effect is wait:
                self._step(task, EffectResult(now, woken=True))
        for inlet in self.inlets.values():
            if self._ready[inlet.name]:
                self._admit(inlet, now)

    def store(self, source: Source) -> None:
        """Hands the watermarks that moved to the client, which commits them."""
        if moved := self.ledger.moved(self._clock()):
            source.store(moved)
            self._observers.offsets_stored(events.OffsetsStored(moved))

    def queued(self, inlet: str) -> int:
        """Requests that wait until their inlet may take them."""
        return len(self._ready[inlet])

    def _next_timer(self) -> float:
        due = self._timers[0][0] if self._timers else math.inf
        for name, ready in self._ready.items():
            if ready:
                due = min(due, self.inlets[name].ready_at(self._clock()))
        return due

    # -- reading ------------------------------------------------------------------

    def take_in(self, part: Slice) -> None:
        """Routes a slice's records into batches, and enters them in the ledger."""
        lane = self.ledger.lanes.get(part.partition)
        if lane is None or self.draining:
            return
        now = self._clock()
        records = part.records
        if records:
            first = records[0].offset()
            if records[-1].offset() - first < len(records) - 1:  # went backwards in mid-slice
                self._take_in_runs(part)
                return
            if lane.next is not None and first < lane.next:
                lane = self._rewind(lane, first, now)
            topic = part.partition.topic
            route = self._route(topic)
            inlet = self.inlets[route.inlet]
            self._observers.records_read(events.RecordsRead(topic, len(records)))
            overhead = part.overhead / len(records)
            taken: list[tuple[int, Batch]] = []
            full: list[Batch] = []
            for run in group_records(route, part.values, in_order=self._settings.ordered):
                if run.refusal is not None:
                    key = Key(inlet.name, run.dataset, None, route.name)
                    record = records[run.start]
                    weight = overhead + len(part.values[run.start] or b"")
                    inlet.used += weight
                    batch, is_full = self.batcher.refuse(key, lane, record, run.refusal, weight, now)
                    taken.append((record.offset(), batch))
                    if is_full:
                        full.append(batch)
                    continue
                if not run.pieces:
                    self._observers.records_skipped(events.RecordsSkipped(topic, Reason.TOMBSTONE, len(run)))
                    continue
                if run.oversize:
                    self._observers.records_too_large_for_profile(
                        events.RecordsTooLargeForProfile(topic, run.oversize)
                    )
                inlet.dry(route.name)
                key = Key(inlet.name, run.dataset, lane if self._settings.ordered else None)
                own = run.select(records)
                held = overhead + _originals(part.values, run) / len(run)
                for batch, at, is_full, weight in self.batcher.add(key, lane, own, run.pieces, held, now):
                    inlet.used += weight
                    if at >= 0:
                        taken.append((own[at].offset(), batch))
                    if is_full:
                        full.append(batch)
            # `Offsets.took` wants ascending offsets; the runs of two datasets overlap.
            taken.sort(key=itemgetter(0))
            for offset, batch in taken:
                self.ledger.took(lane, batch, offset, now)
            for batch in full:
                self.dispatch(batch)
        elif (
            lane.next is not None and part.next_offset < lane.next
        ):  # an end before what was read: created anew, and empty so far
            lane = self._rewind(lane, part.next_offset, now)
        self.ledger.advance(lane, part.next_offset)
        if lane.uncommitted >= self._most_ahead:
            self._balance_at = 0.0  # pauses it before the next read

    def _take_in_runs(self, part: Slice) -> None:
        """A slice whose offsets go backwards somewhere, in pieces within which they don't."""
        starts = [
            0,
            *(
                at
                for at in range(1, len(part.records))
                if part.records[at].offset() <= part.records[at - 1].offset()
            ),
            len(part.records),
        ]
        overhead = part.overhead // len(part.records)
        for start, stop in pairwise(starts):
            last = stop == len(part.records)
            next_offset = part.next_offset if last else part.records[stop - 1].offset() + 1
            self.take_in(
                Slice(
                    part.partition,
                    part.records[start:stop],
                    part.values[start:stop],
                    next_offset,
                    overhead * (stop - start),
                )
            )

    def _route(self, topic: str) -> Route:
        if topic not in self._routes:
            self._routes[topic] = self._find_route(topic)
        route = self._routes[topic]
        if route is None:
            raise RuntimeError(f"topic {topic} was read, but no route of the mapping matches it")
        return route

    def _rewind(self, lane: Lane, first: int, now: float) -> Lane:
        """Offsets went backwards within an assignment: another lane, so that nothing of the old one is stored.

        What was read of the old one is delivered all the same: it can't be read again. Never in a batch with the new one's, whose offsets are the same.
        """
        open_here = [batch for batch in lane.open if isinstance(batch, Batch)]
        unsettled = sum(batch.lanes[lane] for batch in open_here)
        event = events.PartitionRewound(lane.source, lane.next or 0, first, unsettled)
        self._observers.partition_rewound(event)
        for batch in open_here:
            if self.batcher.take(batch):
                self.dispatch(batch)
        self.batcher.drop([lane])
        return self.ledger.renew(lane, now)

    # -- sending --------------------------------------------------------------------

    def dispatch(self, batch: Batch) -> None:
        """Starts a batch's delivery; where order is kept, after the one before it of the same lane."""
        if batch.key.lane is not None:
            chain = self._chains.setdefault(batch.key.lane, deque())
            chain.append(batch)
            if len(chain) > 1:
                return
        self._start(batch)

    def _start(self, batch: Batch) -> None:
        now = self._clock()
        inlet = self.inlets[batch.key.inlet]
        topics = _Topics(lambda topic: self._route(topic).dead_letter_topic(topic), batch.records)
        task = self.tasks[batch] = Task(next(self._seq), batch, inlet, deliver(batch, inlet, topics, now))  # type: ignore[arg-type]  # answers by index
        self._step(task, None)
        if self._ready[inlet.name]:
            self._admit(inlet, now)

    def dispatch_due(self, *, everything: bool = False) -> None:
        """Starts the batches that have waited long enough. While earlier ones queue for their inlet, an open one may as well grow on."""
        now = self._clock()
        if now < self.batcher.next_due() and not everything:
            return
        busy = set() if everything else {name for name, ready in self._ready.items() if ready}
        for batch in self.batcher.due(math.inf if everything else now, busy):
            self.dispatch(batch)

    def _admit(self, inlet: Inlet, now: float) -> None:
        """Sends the oldest requests that an inlet may take now."""
        ready = self._ready[inlet.name]
        while ready and inlet.ready_at(now) <= now:
            task = heapq.heappop(ready)
            post = task.effect
            if not isinstance(post, BatchRequest) or task.in_flight:
                continue
            if inlet.fits(len(post.pieces)) < len(post.pieces):
                self._step(task, EffectResult(now))  # its delivery cuts it
                continue
            task.evidence = inlet.accepted_sent
            task.sent = inlet.sent(len(post.pieces), now)
            task.sent_at, task.in_flight = now, True
            self._observers.request_sent(events.RequestSent(inlet.name, len(post.pieces), post.size))
            self._sender.send(task, post)

    def _came_back(self, task: Task, reply: object) -> None:
        now = self._clock()
        task.in_flight = False
        if isinstance(reply, BatchResponse):
            inlet, hold = task.inlet, task.inlet.hold
            probes = hold.probes if hold else 0
            inlet.returned()
            self._observers.response_received(events.ResponseReceived(inlet.name, reply, now - task.sent_at))
            acceptances = inlet.acceptances
            self._step(task, EffectResult(now, answer=reply, sent=task.sent, evidence=task.evidence))
            self._take_turns(task, in_vain=acceptances == inlet.acceptances, throttled=reply.status == 429)
            if inlet.hold is not None and inlet.hold.probes != probes:
                details = inlet.name, inlet.hold.reason, inlet.hold.detail, max(0.0, inlet.not_before - now)
                if inlet.hold is hold:
                    self._observers.probe_failed(events.ProbeFailed(*details))
                else:
                    self._observers.inlet_held(events.InletHeld(*details))
            elif hold is not None and inlet.hold is None:
                self._observers.inlet_released(
                    events.InletReleased(inlet.name, hold.reason, now - hold.since)
                )
                self._wake(inlet, now)
        elif isinstance(reply, PublishResult):
            if reply.failed and isinstance(task.effect, PublishDeadLetters):
                topics = frozenset(task.effect.letters[at].topic for at in reply.failed)
                self._observers.dead_letters_failed(events.DeadLettersFailed(topics, reply.error))
            self._step(task, EffectResult(now, published=reply))

    def _take_turns(self, task: Task, *, in_vain: bool, throttled: bool) -> None:
        """Whoever sent in vain lets others go first, until one is accepted: where its records are bad, only theirs can be the evidence, and end a hold.

        From then on the oldest goes first again: what is accepted before it can't be stored yet, and would come again after a revoke.
        A 429 is no record's fault.
        """
        inlet = task.inlet
        if in_vain and not throttled:
            task.in_vain += 1
            self._turns.add(inlet.name)
        elif not in_vain and inlet.name in self._turns:
            self._turns.discard(inlet.name)
            for each in self.tasks.values():
                if each.inlet is inlet:
                    each.in_vain = 0
        else:
            return
        heapq.heapify(self._ready[inlet.name])

    def _wake(self, inlet: Inlet, now: float) -> None:
        """The inlet's hold has ended: what waits for that need not wait on.

        Not at every acceptance: a request that fails by itself while others pass would come again at once, for ever, and cost the inlet its concurrency.
        """
        for task in sorted(task for task in self._wakeful if task.inlet is inlet):
            self._step(task, EffectResult(now, woken=True))

    def _step(self, task: Task, reply: EffectResult | None) -> None:
        """Drives a delivery to the next thing that takes time."""
        flooded = task.inlet.flooded
        self._wakeful.discard(task)
        while True:
            before = len(flooded)
            try:
                effect = next(task.delivery) if reply is None else task.delivery.send(reply)
            except StopIteration:
                self._finish(task)
                return
            task.effect = effect
            if len(flooded) > before:
                self._observers.flood_guard_stopped(
                    events.FloodGuardStopped(task.inlet.name, next(reversed(flooded)))
                )
            if isinstance(effect, Settled):
                self._settled(task, effect)
                reply = EffectResult(self._clock())
                continue
            if isinstance(effect, BatchRequest):
                heapq.heappush(self._ready[task.inlet.name], task)
            elif isinstance(effect, Wait):
                heapq.heappush(self._timers, (effect.until, next(self._seq), task, effect))
                if effect.wakes:
                    self._wakeful.add(task)
                wait = effect.until - self._clock()
                number, first = task.waiting()
                self._observers.batch_waits(
                    events.BatchWaits(
                        task.inlet.name,
                        task.batch.id,
                        number,
                        first,
                        effect.reason,
                        effect.detail,
                        max(0.0, wait),
                    )
                )
            else:
                task.in_flight = True
                self._dead_letters.publish(task, effect.letters)
            return

    def _settled(self, task: Task, settled: Settled) -> None:
        if settled.accepted:
            self._observers.records_accepted(events.RecordsAccepted(settled.accepted))
        for letter in settled.buried:
            self._observers.dead_letter_published(events.DeadLetterPublished(letter))
            record = letter.record
            order = (
                self._skips.pop((TopicPartition(record.topic(), record.partition()), record.offset()), None)
                if self._skips
                else None
            )
            if order is not None:
                order.tell(f"moved to {letter.topic}")
        for lane in settled.lanes:
            self.ledger.resolve(lane, task.batch)

    def _finish(self, task: Task) -> None:
        """Nothing of a batch is left here: settled, or its lanes went to another owner."""
        batch = task.batch
        del self.tasks[batch]
        task.effect = None
        task.inlet.used = max(0.0, task.inlet.used - batch.weight)
        if self._skips:
            sources = {lane.source for lane in batch.lanes}
            offsets = {
                (source, record.offset())
                for source in sources
                for record in batch.records
                if TopicPartition(record.topic(), record.partition()) == source
            }
            for at in offsets & self._skips.keys():
                self._skips.pop(at).tell(
                    "not moved: AEP accepted it meanwhile, or its partition went to another member"
                )
        lane = batch.key.lane
        if lane is not None and (chain := self._chains.get(lane)) is not None:
            if chain and chain[0] is batch:
                chain.popleft()
            while chain and lane.state is not State.LIVE:
                self._forget(chain.popleft())
            if chain:
                self._start(chain[0])
            else:
                del self._chains[lane]
        batch.records, batch.pieces = [], []  # a timer that was overtaken keeps the task until it is due

    def _forget(self, batch: Batch) -> None:
        inlet = self.inlets[batch.key.inlet]
        inlet.used = max(0.0, inlet.used - batch.weight)

    # -- back-pressure ----------------------------------------------------------------

    def _full(self, inlet: Inlet, now: float) -> bool:
        """Whether an inlet's window is full: from the top until half of it is settled."""
        if inlet.used >= inlet.policy.window_bytes:
            self._full_since.setdefault(inlet.name, now)
        elif inlet.used < inlet.policy.window_bytes / 2 or inlet.name not in self._full_since:
            self._full_since.pop(inlet.name, None)
        return inlet.name in self._full_since

    def _stalled(self, now: float) -> bool:
        """Whether not to read at all for now: every inlet in use is full, and not for so long that its partitions are paused, or has enough to send.

        What is read long before it can be sent costs memory, and has left the processor's caches by then.
        """
        full = {name for name, inlet in self.inlets.items() if inlet.used and self._full(inlet, now)}
        if any(now - self._full_since[name] >= PAUSE_AFTER_S for name in full):
            return False
        if now - self._read_at < ENOUGH_S:
            full |= {
                name
                for name, inlet in self.inlets.items()
                if inlet.in_flight and len(self._ready[name]) >= max(2, inlet.concurrency.allowed // 2)
            }
        if len(full) == len(self.inlets):
            return True
        return bool(full) and all(self._route(source.topic).inlet in full for source in self.ledger.lanes)

    def balance(self, source: Source, *, force: bool = False) -> None:
        """Pauses and resumes partitions: those whose inlet is full, and those too far ahead of their watermark."""
        now = self._clock()
        if now < self._balance_at and not force:
            return
        self._balance_at = now + BALANCE_EVERY_S
        self._share()
        if now >= self._snapshot_at:
            self._snapshot_at = now + SNAPSHOT_EVERY_S
            self.status = snapshot(self, now)
        in_use = {self._route(where.topic).inlet for where in self.ledger.lanes}
        for name in in_use:
            self._full(self.inlets[name], now)
        pause, resume = [], []
        for where, lane in self.ledger.lanes.items():
            name = self._route(where.topic).inlet
            since = self._full_since.get(name)
            most = self._most_ahead
            ahead = lane.uncommitted >= (max(1, most // 2) if where in self.paused else most)
            stop = self.draining or ahead or (since is not None and (not self._stood or where in self.paused))
            if stop and where not in self.paused:
                pause.append(where)
            elif not stop and where in self.paused:
                resume.append(where)
        if pause:
            self.paused.update(pause)
            source.pause(pause)
            self._observers.partitions_paused(
                events.PartitionsPaused(tuple(pause), "drain" if self.draining else "window")
            )
        if resume:
            self.paused.difference_update(resume)
            source.resume(resume)
            self._observers.partitions_resumed(events.PartitionsResumed(tuple(resume)))

    def _share(self) -> None:
        """A quota, and an organisation-wide rate, is shared by partitions: each member uses the part that it holds, and nobody has to ask anybody."""
        held = Counter(where.topic for where in self.ledger.lanes)
        mine, everyone = Counter[str](), Counter[str]()
        for topic in held.keys() | self.partitions_of.keys():
            if topic not in self._routes:
                self._routes[topic] = self._find_route(topic)
            if (route := self._routes[topic]) is not None:
                mine[route.inlet] += held[topic]
                everyone[route.inlet] += self.partitions_of.get(topic, 0) or held[topic]
        sharing = [name for name, inlet in self.inlets.items() if inlet.policy.shares_rate]
        for name, inlet in self.inlets.items():
            share = min(1.0, mine[name] / everyone[name]) if everyone[name] else 1.0
            if share:  # between two assignments nothing is sent, and nothing is forgotten
                inlet.rate.hold(share)
            if (total := inlet.policy.max_messages_per_s) is not None:
                if inlet.policy.shares_rate and len(sharing) > 1:
                    together = sum(everyone[each] for each in sharing)
                    share = min(1.0, mine[name] / together) if together else 1 / len(sharing)
                inlet.rate.configured = total * share or 1.0

    # -- the group (called by the source, on this thread) -------------------------------

    def assigned(self, offsets: Mapping[TopicPartition, int | None]) -> Iterable[TopicPartition]:
        """New lanes; they start paused where their inlet is full, or nothing is read any more."""
        now = self._clock()
        self.joined = True
        self._observers.partitions_assigned(events.PartitionsAssigned(tuple(offsets)))
        for where in offsets:
            self._end([where])
            self.ledger.open(where, now).stored = offsets[
                where
            ]  # committed already: storing it again would wait for a commit that never comes
        full = {name for name, inlet in self.inlets.items() if self._full(inlet, now)}
        paused = {where for where in offsets if self.draining or self._route(where.topic).inlet in full}
        self.paused = (self.paused - set(offsets)) | paused
        return paused

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Lets what is in flight finish, within one deadline, stores, and ends the lanes. Unsent records are left to the next owner."""
        started = self._clock()
        deadline = min(started + self._settings.revoke_timeout_s, max(started, self._drain_deadline))
        lanes = {lane for where in partitions if (lane := self.ledger.lanes.get(where)) is not None}
        for lane in lanes:
            lane.state = State.CLOSING
        self._give_back(lanes)
        self._reconsider(lanes)
        while (open_requests := self._unfinished(lanes)) and (left := deadline - self._clock()) > 0:
            self.beat = self._clock()
            self.complete(min(BUSY_S, left))
        if self.source is not None:
            self.store(self.source)
        ended = [lane.source for lane in lanes]
        self._end(ended)
        self._observers.partitions_revoked(
            events.PartitionsRevoked(
                tuple(ended), lost=False, seconds=self._clock() - started, open_requests=open_requests
            )
        )

    def lost(self, partitions: Iterable[TopicPartition]) -> None:
        """Another member has these already: nothing of them is stored."""
        gone = [where for where in partitions if where in self.ledger.lanes]
        open_requests = self._unfinished({self.ledger.lanes[where] for where in gone})
        self._end(gone)
        self._observers.partitions_revoked(
            events.PartitionsRevoked(tuple(gone), lost=True, seconds=0.0, open_requests=open_requests)
        )

    def _end(self, partitions: Iterable[TopicPartition]) -> None:
        lanes = set(self.ledger.end(partitions))
        self.paused -= {lane.source for lane in lanes}
        if lanes:
            self._give_back(lanes)
            self._reconsider(lanes)
        gone = {lane.source for lane in lanes}
        for at in [at for at in self._skips if at[0] in gone]:
            self._skips.pop(at).tell(
                f"not moved by this member: {at[0]} went to another one; ask again there"
            )

    def _give_back(self, lanes: set[Lane]) -> None:
        for name, weight in self.batcher.drop(lanes).items():
            self.inlets[name].used = max(0.0, self.inlets[name].used - weight)

    def _unfinished(self, lanes: set[Lane]) -> int:
        """Batches of these lanes that are out, or that are settled in part: what is left open of them is sent twice."""
        return sum(
            (task.in_flight or task.batch.begun) and any(lane in lanes for lane in task.batch.lanes)
            for task in self.tasks.values()
        )

    def _reconsider(self, lanes: set[Lane]) -> None:
        """Deliveries that wait look again at what is theirs."""
        for task in list(self.tasks.values()):
            if not task.in_flight and task.batch in self.tasks and not lanes.isdisjoint(task.batch.lanes):
                self._look_again(task)

    def _look_again(self, task: Task) -> None:
        ready = self._ready[task.inlet.name]
        if isinstance(task.effect, BatchRequest) and task in ready:
            ready.remove(task)
            heapq.heapify(ready)
        self._step(task, EffectResult(self._clock()))

    # -- operators ------------------------------------------------------------------------

    def _skip(self, order: Skip) -> None:
        lane = self.ledger.lanes.get(order.source)
        where = f"{order.source}/{order.offset}"
        if found := self._find(lane, order):
            batch, index = next((each for each in found if each[1] not in each[0].ordered), found[0])
            extra = (("aep.skipped.by", order.who.encode()), ("aep.skipped.why", order.why.encode()))
            batch.ordered |= {index}
            batch.skips = (batch.skips or {}) | {
                index: Refusal(Reason.SKIPPED, f"skipped by {order.who}: {order.why}", extra=extra)
            }
            self._skips[order.source, order.offset] = order
            if self.batcher.take(batch):
                self.dispatch(batch)
            elif (task := self.tasks.get(batch)) is not None and not task.in_flight:
                self._look_again(task)
        elif lane is None:
            order.tell(f"not moved: {order.source} is not assigned to this member; ask the one that has it")
        elif lane.next is not None and order.offset >= lane.next:
            order.tell(f"not moved: {where} has not been read yet (next offset: {lane.next})")
        else:
            order.tell(f"not moved: {where} is settled already (watermark: {lane.watermark})")

    def _find(self, lane: Lane | None, order: Skip) -> list[tuple[Batch, int]]:
        """Where the record may be: in the lane, or in what is left of those from before the partition's offsets went back, which have the same offsets."""
        batches = [batch for batch in (lane.open if lane else ()) if isinstance(batch, Batch)]
        under_way = dict.fromkeys(
            [*self.tasks, *(batch for chain in self._chains.values() for batch in chain)]
        )
        batches += [
            batch
            for batch in under_way
            if any(
                each.source == order.source and each is not lane and each.state is not State.DEAD
                for each in batch.lanes
            )
        ]
        at = (order.source.topic, order.source.partition, order.offset)
        return [
            (batch, index)
            for batch in batches
            for index, record in enumerate(batch.records)
            if (record.topic(), record.partition(), record.offset()) == at and index not in batch.settled
        ]

    # -- the end --------------------------------------------------------------------------

    def drain(self, source: Source) -> bool:
        """Stops reading, settles what was read, stores and leaves the group, all within one deadline. True where nothing was abandoned."""
        started = self._clock()
        self._drain_deadline = started + self._settings.drain_timeout_s
        self.draining = True
        unsettled = sum(len(batch.records) for batch in [*self.tasks, *self.batcher.open_batches()])
        self._observers.drain_started(events.DrainStarted(unsettled, self._settings.drain_timeout_s))
        self.balance(source, force=True)
        self.dispatch_due(everything=True)
        for inlet in self.inlets.values():
            self._wake(inlet, started)  # there is no time to sit out a back-off
        while (self.tasks or self._chains) and (left := self._drain_deadline - self._clock()) > 0:
            self.beat = self._clock()
            self.complete(min(BUSY_S, left))
            self.balance(source)
            source.read(
                READ_AT_ONCE, 0.001
            )  # keeps the group; a paused partition gives nothing, and what comes all the same is not entered anywhere
            self.store(source)
        self.store(source)
        while source.uncommitted() and self._drain_deadline - self._clock() > 0:
            source.read(
                READ_AT_ONCE, BUSY_S
            )  # a commit in the middle of a rebalance is refused: the rebalance has to end first
        abandoned = sum(len(batch.records) for batch in self.tasks)
        self.leaving = True
        source.close()
        self._observers.drain_finished(events.DrainFinished(abandoned, self._clock() - started))
        return abandoned == 0
