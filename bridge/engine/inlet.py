"""What the batches of one inlet share: its hold, evidence, limits, the flood guard, and the turn to bisect.

Only the inlet's own methods change it. Those that begin, prolong or end a hold return an event for it.

Evidence is counted in ticks: one for each request that goes out and one for each response. "Another record
was accepted since" means a request that *went out* after that tick, and whose acceptance *arrived* before
the request in question went out. A response to a request that was under way when the trouble began proves
nothing.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from random import Random
from typing import NamedTuple

from bridge.codec.request import MAX_REQUEST_BYTES
from bridge.engine.concurrency import Concurrency
from bridge.engine.events import FloodGuardStopped, InletHeld, InletReleased, ProbeFailed
from bridge.engine.rate import Rate

MIN_LEARNED_BYTES = 10_000
"""The byte limit is never learned below this: smaller requests would say more about records than about
limits."""
FAILURES_BEFORE_HOLD = 5
"""Failures in a row, with nothing accepted between, after which only one request at a time probes."""
UNREADABLE_BEFORE_HOLD = 3
"""Unreadable responses in a row after which the inlet is held."""
UNREADABLE_CAP_S = 60.0
"""The longest back-off between probes of an inlet whose responses can't be read."""
THROTTLED = "status 429"
"""The reason of a hold whose last probe was refused for the rate."""
MAX_COUNTED_KEYS, MAX_KEY_CHARACTERS = 1000, 200
"""Datasets (and routes) whose refusals are counted at a time, the oldest given up first; and the longest id
that is counted. Producers write there what they like."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The delivery settings that an inlet needs. Seconds and bytes."""

    max_bytes: int = MAX_REQUEST_BYTES
    max_in_flight: int = 8
    window_bytes: int = 33_554_432
    request_timeout_s: float = 30.0
    retry_after_max_s: float = 300.0
    backoff_base_s: float = 0.2
    backoff_max_s: float = 60.0
    flood_guard: int = 1000
    max_messages_per_s: float | None = None
    """For all replicas together."""
    shares_rate: bool = False
    """This rate is shared by all inlets for which this holds."""
    ordered: bool = False
    """Order is kept within each partition."""


@dataclass(slots=True)
class Hold:
    """Why an inlet only probes. Only its inlet changes it."""

    reason: str
    detail: str
    since: float
    probes: int = 0
    tick: int = 0
    max_probe_messages: int = sys.maxsize
    """Half of the fewest messages that met a 429 during the hold."""


class Failure(NamedTuple):
    """What follows from a request that failed through nobody's fault."""

    wait_s: float
    event: InletHeld | ProbeFailed | None


class GuardDecision(NamedTuple):
    """Whether refused records may go to their dead-letter topic."""

    allowed: bool
    event: FloodGuardStopped | None = None


@dataclass(slots=True)
class Inlet:
    """The shared state of one inlet. One thread owns it."""

    name: str
    inlet_id: str
    policy: Policy
    rng: Random = field(default_factory=Random)
    tick: int = 0
    in_flight: int = 0
    max_bytes: int = MAX_REQUEST_BYTES
    """The byte limit of a request body, lowered by 413."""
    not_before: float = -math.inf
    wait_reason: str = ""
    """Why nothing goes out before `not_before`."""
    asked: tuple[float, str] = (-math.inf, "")
    """Until when, and why, AEP asked that nothing goes out: `Retry-After`, which outlasts a hold."""
    hold: Hold | None = None
    failures: int = 0
    """Failures in a row, with nothing accepted between."""
    unreadable: int = 0
    """Responses in a row that could not be read or attributed."""
    refusals: int = 0
    """Requests that were refused as a whole, ever."""
    refusals_in_a_row: int = 0
    """Requests that were refused as a whole since anything was accepted. Second looks are not counted."""
    accepted_sent: int = -1
    """Of the accepted requests, the latest tick at which one went out."""
    bisecting: object | None = None
    """The batch that has the turn to bisect."""
    refused_by_key: dict[str, int] = field(default_factory=dict)
    """Refusals in a row, by dataset or route."""
    stopped: dict[str, float] = field(default_factory=dict)
    """Datasets (or routes) that the flood guard holds, since when."""
    resets: dict[str, int] = field(default_factory=dict)
    """How often the guard has ended its stop of each."""
    _largest_accepted: int = 0
    concurrency: Concurrency = field(init=False)
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.max_bytes = min(self.max_bytes, self.policy.max_bytes)
        self.concurrency = Concurrency(self.policy.max_in_flight)
        self.rate = Rate(self.policy.max_messages_per_s)

    # -- may a request go out, and how large? ---------------------------------

    def ready_at(self, now: float) -> float:
        """Return when the next request may go out; infinity where a response has to come first.

        The rate is brought up to date.
        """
        if self.in_flight >= (1 if self.hold else self.concurrency.allowed):
            return math.inf
        return max(self.not_before, now + self.rate.delay(now))

    def messages_to_send(self, messages: int) -> int:
        """Return how many messages of a queued request to send now: all, or the first of n equal parts.

        The request is cut only where it has at least twice the messages that may go: the rate may have sunk
        since it was made. And where nothing gets through, so that no rate is known, a probe has half of the
        messages of the smallest request that met a 429: a full request may never fit into AEP's bucket, or
        into what others leave of it.
        """
        most = self.rate.at_most(messages)
        if self.hold is not None and self.hold.reason == THROTTLED:
            most = min(most, self.hold.max_probe_messages)
        return messages // max(1, messages // most)

    def request_sent(self, messages: int, now: float) -> int:
        """Note that a request goes out; return its tick."""
        self.in_flight += 1
        self.tick += 1
        self.rate.sent(messages, now)
        return self.tick

    def response_received(self) -> None:
        """Note that a request came back, with whatever response."""
        self.in_flight -= 1
        self.tick += 1

    def take_share(self, share: float, messages_per_s: float | None) -> None:
        """Note which part of the inlet's partitions this process holds, and its part of a configured rate.

        A share of 0 is ignored: between two assignments nothing is sent, and nothing is forgotten.
        """
        if share:
            self.rate.hold(share)
        if messages_per_s is not None:
            self.rate.configure(messages_per_s)

    # -- what the responses teach -----------------------------------------------

    def note_acceptance(self, messages: int, size: int, sent: int, now: float) -> InletReleased | None:
        """Some messages of a request of `size` bytes, which went out at tick `sent`, were accepted."""
        self.accepted_sent = max(self.accepted_sent, sent)
        self._largest_accepted = max(self._largest_accepted, size)
        self.failures = self.unreadable = self.refusals_in_a_row = 0
        released = self._end_hold(now)
        self.concurrency.went_well()
        self.rate.accepted(messages, now)
        return released

    def note_throttled(self, messages: int, sent: int, now: float) -> None:
        """A request of so many messages, or some of them, met a 429."""
        if self.hold is not None:
            half = max(Rate.FEW, messages // 2)
            self.hold.max_probe_messages = min(self.hold.max_probe_messages, half)
        self.concurrency.pushed_back(sent, self.tick)
        self.rate.pushed_back(now)

    def note_failure(self, reason: str, detail: str, sent: int, now: float, attempt: int) -> Failure:
        """A request failed through nobody's fault; return how long to wait, and the event of a hold if
        there is one.
        """
        self.failures += 1
        self.concurrency.pushed_back(sent, self.tick)
        event = None
        if self.failures >= FAILURES_BEFORE_HOLD:
            event = self.place_hold(reason, detail, sent, now)
        return Failure(self.backoff(attempt), event)

    def note_refusal(self, *, second_look: bool) -> None:
        """A request was refused as a whole. `second_look`: it carried one record that was refused alone
        before.
        """
        self.refusals += 1
        if not second_look:
            self.refusals_in_a_row += 1

    def note_readable(self) -> None:
        """A response could be read and attributed."""
        self.unreadable = 0

    def note_unreadable(self, detail: str, sent: int, now: float) -> InletHeld | ProbeFailed | None:
        """A response could not be read or attributed."""
        self.unreadable += 1
        if self.unreadable < UNREADABLE_BEFORE_HOLD:
            return None
        return self.place_hold("unreadable answers", detail, sent, now, UNREADABLE_CAP_S)

    def place_hold(
        self, reason: str, detail: str, sent: int, now: float, cap_s: float | None = None
    ) -> InletHeld | ProbeFailed | None:
        """From now on one request at a time probes, each after a longer back-off, until one is accepted.

        A response to a request that went out before the last probe changes nothing; the result is then None.
        """
        hold = self.hold
        if hold is None:
            hold = self.hold = Hold(reason, detail, now)
            kind: type[InletHeld | ProbeFailed] = InletHeld
        elif sent < hold.tick:
            return None
        else:
            kind = ProbeFailed
        hold.reason, hold.detail, hold.tick = reason, detail, self.tick
        hold.probes += 1
        self._wait_until(now + self.backoff(hold.probes, cap_s), reason)
        return kind(self.name, reason, detail, max(0.0, self.not_before - now))

    def _end_hold(self, now: float) -> InletReleased | None:
        if self.hold is None:
            return None
        released = InletReleased(self.name, self.hold.reason, now - self.hold.since)
        self.hold = None
        self.not_before, self.wait_reason = self.asked
        return released

    def _wait_until(self, when: float, why: str) -> None:
        if when > self.not_before:
            self.not_before, self.wait_reason = when, why

    def wait_as_asked(self, when: float, why: str) -> None:
        """Send nothing before `when`, as `Retry-After` asks, whatever requests that are under way bring."""
        self.asked = max(self.asked, (when, why))
        self._wait_until(when, why)

    def note_too_large(self, size: int) -> None:
        """A body of `size` bytes drew a 413: the next batches are smaller for as long as this process
        lives.
        """
        half = max(size // 2, MIN_LEARNED_BYTES)
        learned = self._largest_accepted if half < self._largest_accepted < size else half
        self.max_bytes = min(self.max_bytes, learned)

    def backoff(self, attempt: int, cap_s: float | None = None) -> float:
        """Return an exponential back-off in seconds, capped, with full jitter."""
        cap = self.policy.backoff_max_s if cap_s is None else cap_s
        ceiling = min(cap, self.policy.backoff_base_s * 2 ** min(attempt, 30))
        return max(0.01, self.rng.uniform(0, ceiling))

    def retry_after(self, headers: dict[str, str]) -> float | None:
        """Return the seconds that `Retry-After` asks for, capped; None where it asks for no wait.

        It is a number, or a date that is measured against the response's own `Date`. The result is a little
        longer than what was asked for: replicas that got the same value would send at the same moment.
        """
        value = headers.get("retry-after", "").strip()
        if not value:
            return None
        if value.isascii() and value.isdigit():
            seconds = float(value[:9])
        else:
            try:
                until, date = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date", ""))
                seconds = (until - date).total_seconds()
            except (TypeError, ValueError, OverflowError):
                return None
        seconds = min(seconds, self.policy.retry_after_max_s)
        return seconds + self.rng.uniform(0.0, min(1.0, seconds / 10)) if seconds > 0 else None

    # -- the turn to bisect, and the flood guard ------------------------------------

    def take_turn(self, batch: object) -> bool:
        """Return whether this batch may bisect. Only one batch of an inlet does at a time."""
        if self.bisecting is None:
            self.bisecting = batch
        return self.bisecting is batch

    def give_turn(self, batch: object) -> None:
        """Let another batch bisect."""
        if self.bisecting is batch:
            self.bisecting = None

    def guard_refusals(
        self, key: str, refusals: int, now: float, resets_when_stopped: int | None = None
    ) -> GuardDecision:
        """Count refusals in a row of a dataset or route. Where the guard's number is reached they are not
        allowed.

        `resets_when_stopped` is what `resets[key]` was when the guard stopped these records before: an
        acceptance since then has broken the row, however many they are.
        """
        guard = self.policy.flood_guard
        broken = resets_when_stopped is not None and self.resets.get(key, 0) > resets_when_stopped
        if len(key) > MAX_KEY_CHARACTERS:
            return GuardDecision(allowed=True)
        if guard and not broken and self.refused_by_key.get(key, 0) + refusals >= guard:
            event = None if key in self.stopped else FloodGuardStopped(self.name, key)
            self.stopped.setdefault(key, now)
            return GuardDecision(allowed=False, event=event)
        if key not in self.refused_by_key and len(self.refused_by_key) >= MAX_COUNTED_KEYS:
            del self.refused_by_key[next(iter(self.refused_by_key))]
        self.refused_by_key[key] = self.refused_by_key.get(key, 0) + refusals
        return GuardDecision(allowed=True)

    def reset_refusals(self, key: str) -> None:
        """Something was accepted for a dataset (or was valid in a route): the guard counts from nothing
        again.
        """
        self.refused_by_key.pop(key, None)
        if self.stopped.pop(key, None) is not None:
            self.resets[key] = self.resets.get(key, 0) + 1
