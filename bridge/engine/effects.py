"""What a delivery asks for, and what it is given in return: the language between `delivery` and
`dispatcher`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import msgspec

from bridge.engine.events import FloodGuardStopped, InletHeld, InletReleased, ProbeFailed
from bridge.engine.offsets import Lane
from bridge.model import BatchRequest, BatchResponse, DeadLetter, PublishResult

InletEvent = InletHeld | ProbeFailed | InletReleased | FloodGuardStopped
"""What an inlet's own methods report of a change."""


class Wait(msgspec.Struct, frozen=True):
    """There is nothing to do before `until`, in seconds of the dispatcher's clock."""

    until: float
    reason: str
    detail: str = ""
    wakes: bool = False
    """The wait may end early, when the inlet's hold ends."""
    indexes: Sequence[int] = ()
    """The records that wait, by index within their batch."""


class PublishDeadLetters(msgspec.Struct, frozen=True):
    """Dead letters to publish. The result comes once the broker has acknowledged or refused each."""

    letters: Sequence[DeadLetter]


class Settled(msgspec.Struct, frozen=True):
    """What is settled since the last time. The delivery goes on at once."""

    accepted: dict[str, int]
    """Accepted records by topic."""
    dead_letters: Sequence[DeadLetter]
    """Acknowledged ones."""
    lanes: Sequence[Lane]
    """Lanes of which nothing is left in this batch."""


class InletChanged(msgspec.Struct, frozen=True):
    """What a response meant for the inlet. The delivery goes on at once."""

    accepted: bool
    """AEP accepted some of the request's records."""
    events: Sequence[InletEvent]


class EffectResult(msgspec.Struct, frozen=True):
    """The dispatcher's answer to an effect.

    A `BatchRequest` without a response was not sent: lanes ended before its turn came, or it is too large
    by now.
    """

    now: float
    response: BatchResponse | None = None
    sent: int = 0
    """With a response: the inlet's tick at which the request went out."""
    evidence: int = -1
    """With a response: what `inlet.accepted_sent` was when the request went out."""
    published: PublishResult | None = None
    woken: bool = False
    """With a `Wait` that `wakes`: the inlet's hold has ended, or the time has come. Without it the wait
    goes on, once the delivery has looked at what changed (lanes, orders to skip)."""


Effect = BatchRequest | Wait | PublishDeadLetters | Settled | InletChanged
Delivery = Generator[Effect, EffectResult, None]
