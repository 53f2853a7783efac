"""Listen to what the engine reports of its own work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.engine import events
from bridge.engine.events import Observer
from tests.simulation.ground_truth import SimulatedRecord, Violation

if TYPE_CHECKING:
    from tests.simulation.member import Member


class MemberObserver(Observer):
    """Narrate what the engine reports, and check that a dead letter counts only once it is acknowledged."""

    def __init__(self, member: Member) -> None:
        self._member = member

    def dead_letter_published(self, event: events.DeadLetterPublished) -> None:
        record = event.dead_letter.record
        assert isinstance(record, SimulatedRecord)
        if record.acked > self._member.now:
            raise Violation(f"{record} counts as dead-lettered before the broker acknowledged it")

    def inlet_held(self, event: events.InletHeld) -> None:
        self._narrate(
            f"holds {event.inlet}: {event.reason} ({event.detail[:60]}), next try in {event.next_try_s:.1f} s"
        )

    def inlet_released(self, event: events.InletReleased) -> None:
        self._narrate(f"releases {event.inlet} after {event.held_s:.1f} s: {event.reason}")

    def batch_waits(self, event: events.BatchWaits) -> None:
        reason = f"{event.reason} ({event.detail[:60]})"
        self._narrate(f"batch {event.batch} ({event.records}) waits {event.seconds:.2f} s: {reason}")

    def _narrate(self, text: str) -> None:
        if self._member.narrate:
            self._member.narrate(text)
