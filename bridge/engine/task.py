"""A batch under way, and where its delivery stands."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.engine.batch import Batch
from bridge.engine.effects import Delivery, Effect, EffectResult, Wait
from bridge.engine.inlet import Inlet
from bridge.model import BatchRequest


@dataclass(slots=True, eq=False)
class Task:
    """A batch under way. Only its own methods change it, and only the dispatcher calls them."""

    number: int
    """Counts the batches in the order in which they were dispatched: the task's age."""
    batch: Batch
    inlet: Inlet
    delivery: Delivery
    effect: Effect | None = None
    """What the delivery asked for last, and waits for."""
    in_flight: bool = False
    """A request, or dead letters, are out."""
    sent_at: float = 0.0
    """When the last request went out, in seconds of the dispatcher's clock."""
    sent_tick: int = 0
    """The inlet's tick at which it went out."""
    evidence_tick: int = -1
    """The inlet's `accepted_sent` when it went out."""
    fruitless_requests: int = 0
    """Requests of this task from which nothing was accepted, since the inlet last accepted anything of
    another task. Those refused with 429 are left out."""

    def resume(self, result: EffectResult | None) -> Effect | None:
        """Hand the delivery its result, or start it with None; return the next effect, or None at its end."""
        try:
            self.effect = next(self.delivery) if result is None else self.delivery.send(result)
        except StopIteration:
            self.effect = None
        return self.effect

    def goes_out(self, now: float) -> None:
        """Note that the request goes out now."""
        assert isinstance(self.effect, BatchRequest)
        self.evidence_tick = self.inlet.accepted_sent
        self.sent_tick = self.inlet.request_sent(len(self.effect.pieces), now)
        self.sent_at, self.in_flight = now, True

    def publishes(self) -> None:
        """Note that dead letters go out."""
        self.in_flight = True

    def came_back(self) -> None:
        """Note that the request, or the dead letters, came back."""
        self.in_flight = False

    def brought_nothing(self) -> None:
        """Note that nothing of the last request was accepted."""
        self.fruitless_requests += 1

    def count_from_nothing(self) -> None:
        """Note that the inlet accepted something."""
        self.fruitless_requests = 0

    def waiting(self) -> tuple[int, str]:
        """Return how many records the delivery waits with, and the first of them as `topic/partition/offset`.

        Where it does not wait with particular records, these are the whole batch and an empty text.
        """
        indexes = self.effect.indexes if isinstance(self.effect, Wait) else ()
        if not indexes:
            return len(self.batch.records), ""
        record = self.batch.records[indexes[0]]
        return len(indexes), f"{record.topic()}/{record.partition()}/{record.offset()}"
