"""The progress of a replay counts what the engine settles."""

from __future__ import annotations

from bridge.engine import events
from bridge.engine.events import Observers
from bridge.model import DeadLetter, Reason, Refusal
from bridge.replay.progress import ReplayProgress
from tests.support.memory import MemoryRecord
from tests.unit.replay.dead_letters import DEAD


def test_everything_that_is_settled_is_counted_once() -> None:
    """The progress bar and the summary are sums of these counts, and `left` is what they lack."""
    progress = ReplayProgress()
    observers = Observers([progress])
    refusal = Refusal(Reason.REFUSED, "no")
    observers.records_accepted(events.RecordsAccepted({"a": 3, "b": 2}))
    observers.dead_letter_published(
        events.DeadLetterPublished(DeadLetter(MemoryRecord(DEAD, 0, b""), "t.dlq", refusal, "b", "i", None))
    )
    progress.records_parked(4)
    progress.records_copied(1)

    assert (progress.accepted, progress.dead_lettered_again, progress.parked) == (6, 1, 4)
    assert progress.settled == 11
    assert not progress.finished
