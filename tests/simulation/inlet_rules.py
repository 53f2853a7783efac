"""What a member may do to an inlet after the responses that it got, read from the log of requests alone.

The engine's state is not asked. Where several rules of the engine meet, the looser reading is taken: a rule
here may come late, and is never wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from bridge.engine.inlet import Policy
from bridge.model import Fault
from tests.simulation.ground_truth import PERMANENT, Request, SimulatedRecord, Violation

FAILURES, UNREADABLE, REFUSALS = 5, 3, 3
"""In a row, with nothing accepted, after which an inlet is held: failures, responses that say nothing,
refusals of parts of one batch."""
MIN_LEARNED_BYTES, MAX_TIMEOUT_S = 10_000, 300.0
PROBES, PROBES_S = 10, 1.0
"""So many probes of a held inlet, one after the other, have waited so long together. Each wait is drawn
from zero up; a sum as low as this has a chance of 1e-11."""


@dataclass(slots=True)
class _BatchHistory:
    """What happened to one batch so far."""

    refusals: int = 0
    first_refused: int = 0
    alone: set[SimulatedRecord] = field(default_factory=set)
    """Records that were refused alone."""
    last: dict[SimulatedRecord, Request] = field(default_factory=dict)
    """The last request that carried each record."""
    timed_out: dict[tuple[SimulatedRecord, ...], list[float]] = field(default_factory=dict)
    """For the records of a request: the seconds that it had, each time that it timed out in a row."""
    at_least: dict[SimulatedRecord, float] = field(default_factory=dict)
    """Seconds that a request with this record must have at least."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """How many requests may be in flight at once."""

    at_once: float
    cut_seq: int = -1
    """When it was cut last: a tick, and a moment."""
    cut_at: float = -math.inf


class InletRules:
    """Check the requests of one member to one inlet."""

    def __init__(self, inlet: str, member: str, policy: Policy) -> None:
        self.inlet, self._member, self._policy = inlet, member, policy
        self.requests_in_flight: list[Request] = []
        self._batch_histories: dict[object, _BatchHistory] = {}
        self._failures = self._unreadable = self._refusals_in_a_row = 0
        self._accepted_seq = -1
        self._held: tuple[float, str] | None = None
        """Since when, and why."""
        self._limits = [_Limit(float(policy.max_in_flight))]
        """What it may be. A lone 500 that convicts its record cuts nothing, and which one does is not known
        here."""
        self._before_cut = (-math.inf, 0.0)
        """At this moment the limit was so high."""
        self._sizes: list[tuple[int, int]] = []
        """Ticks at which a 413 arrived, and the bytes that a batch read later must not exceed."""
        self._waits: list[float] = []
        self._probed_at: float | None = None
        self._quiet = (0.0, 0.0)
        """Since when Retry-After has been known, and until when nothing goes out."""

    # -- a request goes out ---------------------------------------------------------

    def sent(self, request: Request) -> None:
        """Raises where it may not. What arrived at this very moment may not have been looked at yet."""
        now, requests_in_flight = request.sent_at, len(self.requests_in_flight)
        if requests_in_flight >= self._policy.max_in_flight:
            raise Violation(f"{requests_in_flight + 1} requests in flight to {self.inlet}")
        if requests_in_flight and self._held is not None and self._held[0] < now:
            raise Violation(
                f"{self.inlet} is to be held since {self._held[0]:.3f} ({self._held[1]}), "
                f"and a second request goes out"
            )
        limit = max(each.at_once for each in self._limits)
        limit = max(limit, self._before_cut[1]) if self._before_cut[0] >= now else limit
        if requests_in_flight >= max(1, int(limit)):
            raise Violation(
                f"{requests_in_flight + 1} requests in flight to {self.inlet}, "
                f"which has responded so that {limit:.2f} are allowed"
            )
        since, until = self._quiet
        if since < now < until - 1e-6:
            raise Violation(f"Retry-After of {self.inlet} is ignored: {until - now:.1f} s too early")
        self._probe(now)
        batch_history = self._batch_histories.get(request.ticket)
        if batch_history is None:
            batch_history = self._batch_histories[request.ticket] = _BatchHistory()
            self._fits(request)
        self._bisects(request, batch_history)
        self._has_time(request, batch_history)
        batch_history.last.update(dict.fromkeys(request.records, request))
        self.requests_in_flight.append(request)

    def _probe(self, now: float) -> None:
        if self._probed_at is None:
            return
        self._waits = [*self._waits[1 - PROBES :], now - self._probed_at]
        self._probed_at = None
        if len(self._waits) == PROBES and sum(self._waits) < PROBES_S:
            raise Violation(
                f"{PROBES} probes of {self.inlet}, "
                f"which all failed, have waited {sum(self._waits):.2f} s together: no back-off"
            )

    def _fits(self, request: Request) -> None:
        """A batch that took a record after a 413 is smaller than what was refused."""
        newest = max(record.read[self._member] for record in request.records)
        most = min((size for seq, size in self._sizes if seq < newest), default=math.inf)
        if len(request.records) > 1 and request.size > most:
            raise Violation(
                f"request {request.number}, read after a 413, "
                f"has {request.size} bytes; the limit to learn from it was {most}"
            )

    def _bisects(self, request: Request, batch_history: _BatchHistory) -> None:
        """Halves of two batches are never under way at once."""
        before = batch_history.last.get(request.records[0])
        request.half = (
            before is not None
            and before.status in PERMANENT
            and 1 < len(request.records) < len(before.records)
            and all(batch_history.last.get(record) is before for record in request.records)
        )
        other = (
            next(
                (each for each in self.requests_in_flight if each.half and each.ticket is not request.ticket),
                None,
            )
            if request.half
            else None
        )
        if other is not None:
            raise Violation(
                f"request {request.number} is half of a refused one, "
                f"while half of another batch is under way (request {other.number})"
            )

    def _has_time(self, request: Request, batch_history: _BatchHistory) -> None:
        """What timed out twice is halved, and has twice the time."""
        if len(request.records) > 1 and len(batch_history.timed_out.get(tuple(request.records), ())) >= 2:
            raise Violation(
                f"request {request.number} carries {len(request.records)} records "
                f"that timed out twice together"
            )
        needed = max((batch_history.at_least.get(record, 0.0) for record in request.records), default=0.0)
        if not needed <= request.timeout_s <= MAX_TIMEOUT_S:
            raise Violation(
                f"request {request.number} has {request.timeout_s:.0f} s, "
                f"after two that timed out; it should have {needed:.0f}"
            )

    # -- a response arrives ---------------------------------------------------------

    def arrived(self, request: Request) -> None:
        """Enter what a response changes about the requests that may be sent next."""
        now, status = request.arrived_at, request.status
        assert request.arrived_seq is not None
        self.requests_in_flight.remove(request)
        batch_history = self._batch_histories[request.ticket]
        self._time(request, batch_history)
        if request.retry_after is not None:
            since, until = self._quiet
            if now + request.retry_after > until:
                self._quiet = (since if until > now else now), now + request.retry_after
        probe = self._held is not None and request.sent_at > self._held[0]
        if request.some_accepted:
            self._accept(request)
        elif self._pushes_back(request, batch_history, status) and probe:
            self._probed_at = now
        else:
            self._probed_at, self._waits = None, []
        if status == 429 or 429 in request.verdicts:
            self._cut(request)

    def _accept(self, request: Request) -> None:
        assert request.arrived_seq is not None
        self._failures = self._unreadable = self._refusals_in_a_row = 0
        self._accepted_seq, self._held = request.arrived_seq, None
        self._probed_at, self._waits = None, []
        most = float(self._policy.max_in_flight)
        self._limits = [
            replace(each, at_once=min(most, each.at_once + 1 / max(1.0, each.at_once)))
            for each in self._limits
        ]

    def _pushes_back(self, request: Request, batch_history: _BatchHistory, status: int) -> bool:
        """Count a response that accepts nothing. Return whether the inlet is held for it."""
        if request.fault in (Fault.TIMEOUT, Fault.CONNECTION) or status in (408, 425, 429, 502, 503, 504):
            return self._failed(request)
        if request.fault is Fault.CREDENTIALS or (status in (401, 403) and not request.token_was_good):
            return self._hold(request, "credentials")
        if request.fault is Fault.OVERSIZE or (
            200 <= status < 300 and all(verdict is None for verdict in request.verdicts)
        ):
            self._unreadable += 1
            return self._unreadable >= UNREADABLE and self._hold(request, "unreadable answers")
        if 200 <= status < 300:
            self._unreadable = 0
            return any(
                verdict is not None and (verdict == 429 or verdict >= 500) for verdict in request.verdicts
            ) and self._failed(request)
        if status in PERMANENT:
            self._refused(request, batch_history)
            return False
        if status == 500:
            self._unreadable = 0
            if len(request.records) > 1:
                return self._failed(request)
            self._cut(request, certain=False)  # alone it may be convicted
            return False
        return status not in (401, 403) and self._hold(request, "address")

    def _failed(self, request: Request) -> bool:
        self._failures += 1
        self._cut(request)
        return self._failures >= FAILURES and self._hold(request, f"{self._failures} failures")

    def _refused(self, request: Request, batch_history: _BatchHistory) -> None:
        """The whole was refused, perhaps for a record."""
        assert request.arrived_seq is not None
        again = len(request.records) == 1 and request.records[0] in batch_history.alone
        if len(request.records) == 1:
            batch_history.alone.add(request.records[0])
        self._unreadable, self._refusals_in_a_row = 0, self._refusals_in_a_row + (not again)
        request.refusals_in_a_row = self._refusals_in_a_row
        batch_history.refusals += 1
        if batch_history.refusals == 1:
            batch_history.first_refused = request.arrived_seq
        if request.status == 413 and len(request.records) > 1:
            self._sizes.append((request.arrived_seq, max(MIN_LEARNED_BYTES, request.size - 1)))
        if batch_history.refusals >= REFUSALS and self._accepted_seq < batch_history.first_refused:
            self._hold(request, "refuses everything")

    def _hold(self, request: Request, why: str) -> bool:
        if self._held is None:
            self._held = (request.arrived_at, why)
        return True

    def _cut(self, request: Request, *, certain: bool = True) -> None:
        """Half as many at once; what went out before the last cut says nothing new, and what went out at
        its very moment may have.
        """
        if self._before_cut[0] < request.arrived_at:
            self._before_cut = (request.arrived_at, max(each.at_once for each in self._limits))
        limits = []
        for each in self._limits:
            if request.sent_seq > each.cut_seq:
                limits.append(
                    _Limit(max(1.0, each.at_once / 2), request.arrived_seq or 0, request.arrived_at)
                )
            if request.sent_seq <= each.cut_seq or request.sent_at <= each.cut_at or not certain:
                limits.append(each)
        # One that is higher, and was cut later, allows all that the other does, whatever comes.
        limits.sort(key=lambda each: (-each.at_once, -each.cut_seq))
        self._limits = [
            each
            for n, each in enumerate(limits)
            if all(each.cut_seq > higher.cut_seq for higher in limits[:n])
        ]

    def _time(self, request: Request, batch_history: _BatchHistory) -> None:
        together = tuple(request.records)
        if request.fault is not Fault.TIMEOUT:
            batch_history.timed_out.pop(together, None)
            return
        had = batch_history.timed_out.setdefault(together, [])
        had.append(request.timeout_s)
        if had.count(request.timeout_s) >= 2:
            for record in request.records:
                batch_history.at_least[record] = min(MAX_TIMEOUT_S, request.timeout_s * 2)
