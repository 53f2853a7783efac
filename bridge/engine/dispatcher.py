"""Which delivery goes next: ready queues, timers, wake-ups and priorities of the batches under way.

The dispatcher drives each delivery from one effect to the next. It carries requests to the sender and dead
letters to their producer, and reports what is settled. It never waits.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import count
from typing import Protocol

from bridge.engine import events
from bridge.engine.batch import Batch
from bridge.engine.delivery import deliver
from bridge.engine.effects import EffectResult, InletChanged, PublishDeadLetters, Settled, Wait
from bridge.engine.events import Observer
from bridge.engine.inlet import Inlet
from bridge.engine.offsets import Lane
from bridge.engine.ready_queue import ReadyQueue
from bridge.engine.task import Task
from bridge.model import BatchRequest, BatchResponse, PublishResult, Record
from bridge.ports import Clock, DeadLetterProducer, Sender


class Settlement(Protocol):
    """What the dispatcher reports of a batch. Neither call may start or stop another batch."""

    def records_settled(self, batch: Batch, settled: Settled) -> None:
        """Some records of the batch are settled."""
        ...

    def batch_finished(self, batch: Batch) -> None:
        """Nothing of the batch is left here: its records are settled, or went to another member."""
        ...

    def batch_dropped(self, batch: Batch) -> None:
        """The batch was never started: its lane ended while it waited behind another one."""
        ...


class Dispatcher:
    """The batches under way. One thread owns it."""

    def __init__(
        self,
        *,
        inlets: Mapping[str, Inlet],
        sender: Sender,
        dead_letters: DeadLetterProducer,
        dead_letter_topic: Callable[[str], str],
        settlement: Settlement,
        observer: Observer,
        clock: Clock,
    ) -> None:
        """`dead_letter_topic` returns the dead-letter topic of a source topic."""
        self._inlets = inlets
        self._sender, self._dead_letters = sender, dead_letters
        self._dead_letter_topic = dead_letter_topic
        self._settlement, self._observer, self._clock = settlement, observer, clock
        self._tasks: dict[Batch, Task] = {}
        self._numbers = count()
        self._timers: list[tuple[float, int, Task, Wait]] = []
        self._wakeful: set[Task] = set()
        """Tasks whose wait ends when their inlet's hold ends."""
        self._ready = {name: ReadyQueue() for name in inlets}
        self._fruitless: set[str] = set()
        """Inlets with a task whose requests brought no acceptance of late."""
        self._lines: dict[Lane, deque[Batch]] = {}
        """Where order is kept: the batches of each lane, of which only the first is under way."""

    # -- what comes in ------------------------------------------------------------------

    def add(self, batch: Batch) -> None:
        """Start a batch's delivery. Where order is kept it waits for the batch before it of the same lane."""
        lane = batch.key.lane
        if lane is not None:
            line = self._lines.setdefault(lane, deque())
            line.append(batch)
            if len(line) > 1:
                return
        self._start(batch)

    def complete(self, task: Task, reply: object) -> None:
        """Go on with a task whose request, or whose dead letters, came back."""
        now = self._clock()
        task.came_back()
        if isinstance(reply, BatchResponse):
            self._response(task, reply, now)
        elif isinstance(reply, PublishResult):
            if reply.failed and isinstance(task.effect, PublishDeadLetters):
                topics = frozenset(task.effect.letters[at].topic for at in reply.failed)
                self._observer.dead_letters_failed(events.DeadLettersFailed(topics, reply.error))
            self._step(task, EffectResult(now, published=reply))

    def advance(self) -> None:
        """Go on with the tasks that have waited long enough, and send the requests that may go out now."""
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            _, _, task, wait = heapq.heappop(self._timers)
            if task.effect is wait:
                self._step(task, EffectResult(now, woken=True))
        for inlet in self._inlets.values():
            self._admit(inlet, now)

    def wake_all(self) -> None:
        """Queue now what backs off because of a hold: a drain has no time for that.

        The hold itself goes on, with the inlet's own back-off.
        """
        for inlet in self._inlets.values():
            self._wake(inlet, self._clock())

    def look_again(self, task: Task) -> None:
        """Have a task look at what changed: lanes that ended, orders to skip.

        A task that is in flight does so when its reply comes.
        """
        if task.in_flight:
            return
        if isinstance(task.effect, BatchRequest):
            self._ready[task.inlet.name].remove(task)
        self._step(task, EffectResult(self._clock()))

    def lanes_changed(self, lanes: set[Lane]) -> None:
        """Have every task with records of these lanes look at what it still owns."""
        for task in list(self._tasks.values()):
            if task.batch in self._tasks and not lanes.isdisjoint(task.batch.lanes):
                self.look_again(task)

    # -- what may be asked ------------------------------------------------------------------

    @property
    def tasks(self) -> Collection[Task]:
        """The tasks, in the order in which their batches were dispatched."""
        return self._tasks.values()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing waits for its turn."""
        return not self._tasks and not self._lines

    def task_of(self, batch: Batch) -> Task | None:
        """Return the task of a batch that is under way."""
        return self._tasks.get(batch)

    def batches(self) -> Iterator[Batch]:
        """Yield the batches that are under way, and those that wait for their turn behind another of their
        lane.
        """
        yield from self._tasks
        for line in self._lines.values():
            yield from (batch for batch in line if batch not in self._tasks)

    def queued(self, inlet: str) -> int:
        """Return the number of requests that wait until their inlet may take them."""
        return len(self._ready[inlet])

    def next_timer(self) -> float:
        """Return when `advance` next has something to do; infinity where only replies bring anything."""
        now = self._clock()
        due = self._timers[0][0] if self._timers else math.inf
        for name, queue in self._ready.items():
            if queue:
                due = min(due, self._inlets[name].ready_at(now))
        return due

    def open_requests(self, lanes: set[Lane]) -> int:
        """Count the batches of these lanes that a revoke waits for.

        A request or dead letters of them are out, or they are settled in part: if the revoke does not wait,
        their next owner sends again what is open of them.
        """
        return sum(
            (task.in_flight or task.batch.is_partly_settled) and not lanes.isdisjoint(task.batch.lanes)
            for task in self._tasks.values()
        )

    # -- inside -----------------------------------------------------------------------------

    def _start(self, batch: Batch) -> None:
        now = self._clock()
        inlet = self._inlets[batch.key.inlet]
        topics = _DeadLetterTopics(self._dead_letter_topic, batch.records)
        delivery = deliver(batch, inlet, topics, now)  # type: ignore[arg-type]  # it answers by index
        task = self._tasks[batch] = Task(next(self._numbers), batch, inlet, delivery)
        self._step(task, None)
        self._admit(inlet, now)

    def _admit(self, inlet: Inlet, now: float) -> None:
        """Send the first requests that an inlet may take now."""
        queue = self._ready[inlet.name]
        while queue and inlet.ready_at(now) <= now:
            task = queue.pop()
            request = task.effect
            assert isinstance(request, BatchRequest)
            if inlet.messages_to_send(len(request.pieces)) < len(request.pieces):
                self._step(task, EffectResult(now))  # its delivery splits it
                continue
            task.goes_out(now)
            self._observer.request_sent(events.RequestSent(inlet.name, len(request.pieces), request.size))
            self._sender.send(task, request)

    def _response(self, task: Task, response: BatchResponse, now: float) -> None:
        inlet = task.inlet
        inlet.response_received()
        event = events.ResponseReceived(inlet.name, response, now - task.sent_at)
        self._observer.response_received(event)
        result = EffectResult(now, response=response, sent=task.sent_tick, evidence=task.evidence_tick)
        changes = self._step(task, result)
        if any(change.accepted for change in changes):
            self._prioritise_by_age(inlet)
        elif response.status != 429:  # a 429 is no record's fault
            self._postpone(task)
        if any(isinstance(each, events.InletReleased) for change in changes for each in change.events):
            self._wake(inlet, now)

    def _postpone(self, task: Task) -> None:
        """After a request from which nothing was accepted, queue the task behind the others of its inlet.

        If its records are bad, only the others' can be the evidence against them, and can end a hold.
        """
        task.brought_nothing()
        self._fruitless.add(task.inlet.name)
        self._ready[task.inlet.name].reorder()

    def _prioritise_by_age(self, inlet: Inlet) -> None:
        """Some request was accepted: the oldest goes first again.

        What is accepted ahead of the oldest can't be stored yet, and would be sent again after a revoke.
        """
        if inlet.name in self._fruitless:
            self._fruitless.discard(inlet.name)
            for task in self._tasks.values():
                if task.inlet is inlet:
                    task.count_from_nothing()
            self._ready[inlet.name].reorder()

    def _wake(self, inlet: Inlet, now: float) -> None:
        """The inlet's hold has ended: retry now what was backing off because of the hold, the oldest first.

        This is not done at every acceptance: a request that fails by itself while others pass would go out
        again at once, without end, and would cost the inlet its concurrency.
        """
        for task in sorted((task for task in self._wakeful if task.inlet is inlet), key=_age):
            if task in self._wakeful:
                self._step(task, EffectResult(now, woken=True))

    def _step(self, task: Task, result: EffectResult | None) -> Sequence[InletChanged]:
        """Drive a delivery to the next effect that takes time; return what happened to its inlet
        meanwhile.
        """
        self._wakeful.discard(task)
        changes: list[InletChanged] = []
        while True:
            effect = task.resume(result)
            if isinstance(effect, Settled):
                self._settlement.records_settled(task.batch, effect)
            elif isinstance(effect, InletChanged):
                changes.append(effect)
                for event in effect.events:
                    self._report(event)
            else:
                break
            result = EffectResult(self._clock())
        if effect is None:
            self._finish(task)
        elif isinstance(effect, BatchRequest):
            self._ready[task.inlet.name].push(task)
        elif isinstance(effect, Wait):
            self._begin_wait(task, effect)
        else:
            task.publishes()
            self._dead_letters.publish(task, effect.letters)
        return changes

    def _begin_wait(self, task: Task, wait: Wait) -> None:
        heapq.heappush(self._timers, (wait.until, next(self._numbers), task, wait))
        if wait.wakes:
            self._wakeful.add(task)
        records, first = task.waiting()
        self._observer.batch_waits(
            events.BatchWaits(
                inlet=task.inlet.name,
                batch=task.batch.id,
                records=records,
                first=first,
                reason=wait.reason,
                detail=wait.detail,
                seconds=max(0.0, wait.until - self._clock()),
            )
        )

    def _report(self, event: object) -> None:
        if isinstance(event, events.InletHeld):
            self._observer.inlet_held(event)
        elif isinstance(event, events.ProbeFailed):
            self._observer.probe_failed(event)
        elif isinstance(event, events.InletReleased):
            self._observer.inlet_released(event)
        elif isinstance(event, events.FloodGuardStopped):
            self._observer.flood_guard_stopped(event)

    def _finish(self, task: Task) -> None:
        batch = task.batch
        del self._tasks[batch]
        self._settlement.batch_finished(batch)
        lane = batch.key.lane
        if lane is not None and (line := self._lines.get(lane)) is not None:
            self._next_in_line(lane, line, batch)
        batch.release()

    def _next_in_line(self, lane: Lane, line: deque[Batch], finished: Batch) -> None:
        """Start the next batch of a lane. A lane that has ended gives back what it holds."""
        if line and line[0] is finished:
            line.popleft()
        while line and not lane.is_sendable:
            self._settlement.batch_dropped(line.popleft())
        if line:
            self._start(line[0])
        else:
            del self._lines[lane]


def _age(task: Task) -> int:
    return task.number


class _DeadLetterTopics:
    """The dead-letter topic of each record of a batch, worked out when it is asked for."""

    __slots__ = ("_of", "_records")

    def __init__(self, of: Callable[[str], str], records: Sequence[Record]) -> None:
        self._of, self._records = of, records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, at: int) -> str:
        return self._of(self._records[at].topic())
