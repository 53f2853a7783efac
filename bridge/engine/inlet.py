"""What the batches of one inlet share: health, hold, evidence, window, limits, the flood guard, and the turn to bisect.

Evidence is counted in ticks, one for each request sent and each answer: "another record was accepted since" means a request *sent* after that
tick, whose acceptance *arrived* before the request in question went out. An answer that was under way when the trouble began proves nothing.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from random import Random

from bridge.codec.request import MAX_REQUEST_BYTES
from bridge.engine.concurrency import Concurrency
from bridge.engine.rate import Rate

FLOOR_BYTES = 10_000
"""The byte limit is never learned below this: smaller requests would say more about records than about limits."""
UNAVAILABLE_AFTER = 5
"""Failures in a row, none accepted, after which only one request at a time probes."""
THROTTLED = "status 429"
"""The reason of a hold in which what probed last was refused for the rate."""
MOST_ROWS, LONGEST_KEY = 1000, 200
"""Rows of refusals that are counted at a time, the oldest given up first, and characters of an id that may have one: producers write there what they like."""


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
    """Of all replicas together."""
    shares_rate: bool = False
    """That rate is one for all inlets for which this holds."""
    ordered: bool = False


@dataclass(slots=True)
class Hold:
    """Why an inlet only probes."""

    reason: str
    detail: str
    since: float
    probes: int = 0
    tick: int = 0
    most: int = sys.maxsize
    """Messages that may probe: half of the fewest that met a 429."""


@dataclass(slots=True)
class Inlet:
    """The shared state of one inlet. One thread owns it."""

    name: str
    inlet_id: str
    policy: Policy
    rng: Random = field(default_factory=Random)
    tick: int = 0
    in_flight: int = 0
    used: float = 0.0
    """Bytes of everything read for this inlet and not settled."""
    max_bytes: int = MAX_REQUEST_BYTES
    """The byte limit of a request body, lowered by 413."""
    not_before: float = -math.inf
    why_not: str = ""
    """Why nothing goes out before `not_before`."""
    asked: tuple[float, str] = (-math.inf, "")
    """Until when, and why, AEP asked that nothing goes out: `Retry-After`, which outlasts a hold."""
    hold: Hold | None = None
    failures: int = 0
    """In a row, none accepted between."""
    unreadable: int = 0
    """Answers in a row that said nothing."""
    refusals: int = 0
    """Requests refused as a whole, ever."""
    refused_row: int = 0
    """Requests refused as a whole since anything was accepted, second looks not counted."""
    acceptances: int = 0
    """Requests of which something was accepted, ever."""
    accepted_sent: int = -1
    """The latest tick at which a request went out that was accepted."""
    bisecting: object | None = None
    flood: dict[str, int] = field(default_factory=dict)
    flooded: dict[str, float] = field(default_factory=dict)
    """Datasets (or routes) that the flood guard holds, since when."""
    dried: dict[str, int] = field(default_factory=dict)
    """How often the guard let go of each."""
    _largest_accepted: int = 0
    concurrency: Concurrency = field(init=False)
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.max_bytes = min(self.max_bytes, self.policy.max_bytes)
        self.concurrency = Concurrency(self.policy.max_in_flight)
        self.rate = Rate(self.policy.max_messages_per_s)

    # -- may a request go out, and how large? ---------------------------------

    def ready_at(self, now: float) -> float:
        """When the next request may go out: `now` or earlier means at once, infinity means after an answer."""
        if self.in_flight >= (1 if self.hold else self.concurrency.allowed):
            return math.inf
        return max(self.not_before, now + self.rate.delay(now))

    def fits(self, messages: int) -> int:
        """How many of so many messages, which were made one request, go out now: all, unless they are twice what may; then the first of equal parts.

        The rate may have sunk since. And where nothing gets through, so that no rate can be told, what probes is half of what was refused before: a full
        request may be more than ever fits into AEP's bucket, or into what others leave of it.
        """
        most = self.rate.at_most(messages)
        if self.hold is not None and self.hold.reason == THROTTLED:
            most = min(most, self.hold.most)
        return messages // max(1, messages // most)

    def sent(self, messages: int, now: float) -> int:
        """A request goes out; returns its tick."""
        self.in_flight += 1
        self.tick += 1
        self.rate.sent(messages, now)
        return self.tick

    def returned(self) -> None:
        """A request came back, with whatever answer."""
        self.in_flight -= 1
        self.tick += 1

    # -- what the answers teach -------------------------------------------------

    def accepted(self, messages: int, size: int, sent: int, now: float) -> None:
        """Some messages of a request of `size` bytes, sent at tick `sent`, were accepted."""
        self.acceptances += 1
        self.accepted_sent = max(self.accepted_sent, sent)
        self._largest_accepted = max(self._largest_accepted, size)
        self.failures = self.unreadable = self.refused_row = 0
        self.release()
        self.concurrency.went_well()
        self.rate.accepted(messages, now)

    def throttled(self, messages: int, sent: int, now: float) -> None:
        """429, for a request of so many messages or for some of them."""
        if self.hold is not None:
            self.hold.most = min(self.hold.most, max(Rate.FEW, messages // 2))
        self.concurrency.pushed_back(sent, self.tick)
        self.rate.pushed_back(now)

    def failed(self, reason: str, detail: str, sent: int, now: float, attempt: int) -> float:
        """An attempt met nobody's fault; returns the seconds to wait."""
        self.failures += 1
        self.concurrency.pushed_back(sent, self.tick)
        if self.failures >= UNAVAILABLE_AFTER:
            self.held(reason, detail, sent, now)
        return self.backoff(attempt)

    def held(self, reason: str, detail: str, sent: int, now: float, cap_s: float | None = None) -> None:
        """From now on one request at a time probes, each after a longer back-off, until one is accepted. What was under way before counts once."""
        if self.hold is None:
            self.hold = Hold(reason, detail, now)
        elif sent < self.hold.tick:
            return
        self.hold.reason, self.hold.detail, self.hold.tick = reason, detail, self.tick
        self.hold.probes += 1
        self.wait_until(now + self.backoff(self.hold.probes, cap_s), reason)

    def release(self) -> None:
        """AEP accepts again."""
        if self.hold is not None:
            self.hold = None
            self.not_before, self.why_not = self.asked

    def wait_until(self, when: float, why: str) -> None:
        """Nothing goes out before this."""
        if when > self.not_before:
            self.not_before, self.why_not = when, why

    def asked_to_wait(self, when: float, why: str) -> None:
        """`Retry-After`: nothing goes out before this, whatever requests that are under way bring."""
        self.asked = max(self.asked, (when, why))
        self.wait_until(when, why)

    def refuses_size(self, size: int) -> None:
        """413 for a body of `size` bytes: the next batches must be smaller, for as long as this process lives."""
        half = max(size // 2, FLOOR_BYTES)
        learned = self._largest_accepted if half < self._largest_accepted < size else half
        self.max_bytes = min(self.max_bytes, learned)

    def backoff(self, attempt: int, cap_s: float | None = None) -> float:
        """Exponential, with full jitter, capped. Seconds."""
        cap = self.policy.backoff_max_s if cap_s is None else cap_s
        return max(0.01, self.rng.uniform(0, min(cap, self.policy.backoff_base_s * 2 ** min(attempt, 30))))

    def retry_after(self, headers: dict[str, str]) -> float | None:
        """`Retry-After` in seconds, capped: a number, or a date measured against the answer's own `Date`. None where it asks for no wait: back-off goes on.

        A little longer than was asked for: replicas that were told the same would come back in the same moment.
        """
        value = headers.get("retry-after", "").strip()
        if not value:
            return None
        if value.isascii() and value.isdigit():
            seconds = float(value[:9])
        else:
            try:
                seconds = (
                    parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
                ).total_seconds()
            except (TypeError, ValueError, OverflowError):
                return None
        seconds = min(seconds, self.policy.retry_after_max_s)
        return seconds + self.rng.uniform(0.0, min(1.0, seconds / 10)) if seconds > 0 else None

    # -- turns and floods ---------------------------------------------------------

    def take_turn(self, who: object) -> bool:
        """Only one batch of an inlet bisects at a time."""
        if self.bisecting is None:
            self.bisecting = who
        return self.bisecting is who

    def give_turn(self, who: object) -> None:
        """Lets another batch bisect."""
        if self.bisecting is who:
            self.bisecting = None

    def flood_allows(self, key: str, refusals: int, now: float, stopped: int | None = None) -> bool:
        """Counts refusals in a row for a dataset or route; False where the guard's number is reached, and they are not counted.

        `stopped` is what `dried[key]` was when the guard stopped these before: what was accepted since has broken the row, however many they are.
        """
        guard = self.policy.flood_guard
        broken = stopped is not None and self.dried.get(key, 0) > stopped
        if len(key) > LONGEST_KEY:
            return True
        if guard and not broken and self.flood.get(key, 0) + refusals >= guard:
            self.flooded.setdefault(key, now)
            return False
        if key not in self.flood and len(self.flood) >= MOST_ROWS:
            del self.flood[next(iter(self.flood))]
        self.flood[key] = self.flood.get(key, 0) + refusals
        return True

    def dry(self, key: str) -> None:
        """Something was accepted for a dataset (or valid in a route): the guard counts from nothing again."""
        self.flood.pop(key, None)
        if self.flooded.pop(key, None) is not None:
            self.dried[key] = self.dried.get(key, 0) + 1
