"""How far a replay is: counted from what the engine settles, shown by the command line."""

from __future__ import annotations

from bridge.engine import events
from bridge.engine.events import Observer


class ReplayProgress(Observer):
    """Counts what a replay has settled. The replay and the engine change it; any thread may read it."""

    def __init__(self) -> None:
        self.accepted = 0
        """Records that AEP accepted, or that the brokers of the source topic acknowledged."""
        self.dead_lettered_again = 0
        """Records that failed once more: at the end of the dead-letter topic, outside
        of this replay's bounds.
        """
        self.parked = 0
        self.waiting_for = ""
        """Why nothing goes on at the moment; empty if something does."""
        self.finished = False

    @property
    def settled(self) -> int:
        """Dead letters that this run is done with."""
        return self.accepted + self.dead_lettered_again + self.parked

    def records_accepted(self, event: events.RecordsAccepted) -> None:
        self.accepted += sum(event.by_topic.values())

    def dead_letter_published(self, event: events.DeadLetterPublished) -> None:
        self.dead_lettered_again += 1

    def records_copied(self, records: int) -> None:
        """Count records that were acknowledged in their source topic."""
        self.accepted += records

    def records_parked(self, records: int) -> None:
        """Count records that were acknowledged in the parking topic."""
        self.parked += records

    def wait_for(self, reason: str) -> None:
        """Say why nothing goes on; empty if something does again."""
        self.waiting_for = reason

    def finish(self) -> None:
        """Say that everything within the bounds is settled."""
        self.finished = True
