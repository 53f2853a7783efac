"""Simulated AEP: what it does with a request, and how it responds.

It reads the messages of the request, and uses nothing that the engine says about them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from bridge.model import BatchRequest, BatchResponse, Fault
from tests.simulation.ground_truth import (
    GroundTruth,
    LaneLife,
    RecordKind,
    Request,
    SimulatedRecord,
    Violation,
)
from tests.simulation.multi_status_body import multi_status
from tests.simulation.scenario import Interval, Scenario

ID = re.compile(rb'"_id":"(\d+)"')
FRAME = len(b'{"messages":[]}')
EPOCH = 1_700_000_000


@dataclass(slots=True)
class Aep:
    """Every inlet of one organisation."""

    scenario: Scenario
    truth: GroundTruth
    rng: Random
    number: int = 0
    tokens: dict[str, tuple[float, float]] = field(default_factory=dict)
    lowered: set[str] = field(default_factory=set)
    """Inlets that take one message at a time, and have said so."""
    spite: dict[str, Interval] = field(default_factory=dict)
    """Inlets that began to refuse everything right after a 413 and an acceptance."""
    good_tokens: set[tuple[str, str]] = field(default_factory=set)

    def receive(
        self,
        member: str,
        ticket: object,
        life_of: Callable[[SimulatedRecord], LaneLife],
        batch_request: BatchRequest,
        now: float,
    ) -> tuple[Request, BatchResponse]:
        """Take a request of the batch that `ticket` names.

        Return what really happened to it, and the response, which arrives at its `arrives_at`.
        """
        self.number += 1
        records = [self._identify(piece, batch_request.inlet) for piece in batch_request.pieces]
        size = FRAME + sum(map(len, batch_request.pieces)) + len(batch_request.pieces) - 1
        if size != batch_request.size:
            raise Violation(f"a request says that its body has {batch_request.size} bytes; it has {size}")
        if size > 1_000_000 or (size > self.scenario.policy.max_bytes and len(records) > 1):
            raise Violation(
                f"a request of {size} bytes with {len(records)} messages; "
                f"the limit is {self.scenario.policy.max_bytes}"
            )
        if len({record.dataset for record in records}) > 1:
            raise Violation(f"a request with several datasets: {records}")
        if len({id(record) for record in records}) < len(records):
            raise Violation(f"a request with a record twice: {records}")
        request = Request(
            self.number,
            member,
            batch_request.inlet,
            records,
            [],
            size,
            self.truth.tick(),
            now,
            batch_request.timeout_s,
            ticket=ticket,
        )
        for record in records:
            if member not in record.lives:
                raise Violation(f"{record} was sent by {member}, which never read it")
            request.lives.append(life_of(record))
            record.requests.append(request)
        request.accepted, request.verdicts = [False] * len(records), [None] * len(records)
        response = self._respond(request, batch_request, now)
        request.fault = response.fault
        self.truth.accept(request)
        return request, response

    def _identify(self, piece: bytes, inlet: str) -> SimulatedRecord:
        ids = ID.findall(piece)
        if len(ids) != 1:
            raise Violation(f"junk was sent: {piece[:80]!r}")
        record = self.truth.records[int(ids[0])]
        if record.piece != piece:
            raise Violation(f"{record} was sent as {piece[:200]!r}, not {(record.piece or b'')[:200]!r}")
        if record.inlet != inlet:
            raise Violation(f"{record} was sent to inlet {inlet}")
        return record

    # -- what happens ------------------------------------------------------------

    def _respond(self, request: Request, batch_request: BatchRequest, now: float) -> BatchResponse:
        rng, calm = self.rng, now >= self.scenario.calm_at
        latency = rng.choice((0.02, 0.05, 0.3)) * rng.uniform(0.5, 1.5)
        if not calm and rng.random() < 0.03:
            latency = rng.uniform(0.5, batch_request.timeout_s * 1.2)
        interval = self.spite.get(request.inlet) or self._interval(request.inlet, now + latency / 2)
        if interval is not None and not interval.start <= now + latency / 2 < interval.end:
            interval = None
        mode = interval.mode if interval else ""
        if not mode and not calm and rng.random() < self.scenario.noise:
            mode = rng.choice(
                (
                    "503",
                    "429",
                    "hang",
                    "reset before",
                    "reset after",
                    "late",
                    "garbage",
                    "credentials",
                    "500",
                    "502",
                    "token",
                    "oversize",
                    "408",
                )
            )
        if mode == "late":
            latency = rng.uniform(0.5, batch_request.timeout_s * 1.3)
        request.processed_at, request.arrives_at, request.note = (
            now + latency / 2,
            now + latency,
            mode or "up",
        )
        if mode in ("hang", "reset before", "reset after") or latency > batch_request.timeout_s:
            return self._no_response(request, mode, batch_request, now)
        if mode in ("garbage", "oversize"):
            return self._unreadable(request, mode)
        if mode == "credentials":
            return BatchResponse(fault=Fault.CREDENTIALS, error="no token")
        if mode and mode not in ("late", "each 400"):
            return self._refusal(request, mode, interval)
        return self._judge(request, mode, calm=calm)

    def _interval(self, inlet: str, when: float) -> Interval | None:
        return next((each for each in self.scenario.intervals[inlet] if each.start <= when < each.end), None)

    def _no_response(
        self, request: Request, mode: str, batch_request: BatchRequest, now: float
    ) -> BatchResponse:
        """Nothing comes back; AEP may have accepted the messages all the same."""
        taken = mode == "reset after" or mode in ("", "late") or (mode == "hang" and self.rng.random() < 0.3)
        if taken:
            if mode == "hang":
                request.processed_at = now + self.rng.uniform(0, batch_request.timeout_s * 2)
            self._take(request)
        reset = mode.startswith("reset")
        request.arrives_at = now + (self.rng.uniform(0.01, 0.5) if reset else batch_request.timeout_s)
        request.note = f"{mode or 'slow'}, {'taken' if taken else 'not taken'}"
        return BatchResponse(fault=Fault.CONNECTION if reset else Fault.TIMEOUT, error=mode)

    def _unreadable(self, request: Request, mode: str) -> BatchResponse:
        taken = self.rng.random() < 0.5
        if taken:
            self._take(request)
        request.note += ", taken" if taken else ", not taken"
        if mode == "oversize":
            return BatchResponse(fault=Fault.OVERSIZE, error="the answer is larger than its cap")
        request.status = self.rng.choice((200, 207))
        return BatchResponse(
            request.status,
            body=self.rng.choice(
                (b"<html>", b"", b"{}", b'{"responses":7}', b'{"responses":[]}', b'{"responses":[{}')
            ),
        )

    def _take(self, request: Request) -> None:
        """Accepts what can be accepted, whatever is answered."""
        if not any(record.kind in (RecordKind.WHOLE, RecordKind.ERROR) for record in request.records):
            request.accepted = [record.kind is RecordKind.HEALTHY for record in request.records]

    def _refusal(self, request: Request, mode: str, interval: Interval | None) -> BatchResponse:
        if mode == "token":
            mode = "401"
        status = request.status = int(mode)
        headers: dict[str, str] = {}
        if status in (429, 503):
            kind = interval.retry_after if interval else self.rng.choice(("", "seconds", "date"))
            seconds = self.rng.choice((0, 1, 3, 30, 900))
            if kind == "seconds":
                headers["retry-after"] = str(seconds)
            elif kind == "date":
                headers |= {"date": _date(EPOCH), "retry-after": _date(EPOCH + seconds)}
            if kind:
                request.retry_after = min(float(seconds), self.scenario.policy.retry_after_max_s)
        good = False
        if status in (401, 403):
            good = (request.member, request.inlet) in self.good_tokens
            self.good_tokens.discard((request.member, request.inlet))
        request.token_was_good = good
        body = self.rng.choice(
            (
                b"",
                b'{"status":"%d","title":"no"}' % status,
                b'{"status":%d,"report":{"message":"Message has unknown xdm format"}}' % status,
            )
        )
        if status == 401 and body:
            body = b'{"status":"401","title":"Ims service token is empty"}'
        return BatchResponse(status, headers, body, token_was_good=good)

    def _judge(self, request: Request, mode: str, *, calm: bool) -> BatchResponse:
        """AEP works, and looks at the messages."""
        scenario, rng = self.scenario, self.rng
        one_by_one = not calm and request.sent_at >= scenario.spite_from and len(request.records) > 1
        if one_by_one:
            self.lowered.add(request.inlet)
        if one_by_one or request.size > scenario.limit:
            return self._refusal(request, "413", None)
        if not calm and scenario.capacity is not None and not self._capacity(request, scenario.capacity):
            return self._refusal(request, "429", None)
        self.good_tokens.add((request.member, request.inlet))
        for kind in (RecordKind.WHOLE, RecordKind.ERROR):
            culprit = next((record for record in request.records if record.kind is kind), None)
            if culprit is not None:
                request.note = "poison"
                return self._refusal(request, str(culprit.code), None)
        statuses = []
        for record in request.records:
            status = (
                record.code if record.kind is not RecordKind.HEALTHY else 400 if mode == "each 400" else 200
            )
            if status == 200 and not calm and rng.random() < scenario.message_noise:
                status = rng.choice((429, 502, 503, 504))
            statuses.append(status)
        request.accepted = [status == 200 for status in statuses]
        if not calm and request.inlet in self.lowered - self.spite.keys() and any(request.accepted):
            self.spite[request.inlet] = Interval(
                request.processed_at, request.processed_at + scenario.spite_s, rng.choice(("400", "422"))
            )
        odd = rng.random() < scenario.odd_shapes
        body, request.verdicts = multi_status(rng, statuses, odd=odd and not calm)
        request.status = 200 if odd and rng.random() < 0.3 else 207
        return BatchResponse(request.status, {}, body)

    def _capacity(self, request: Request, rate: float) -> bool:
        left, at = self.tokens.get(request.inlet, (rate, 0.0))
        left = min(rate, left + max(0.0, request.sent_at - at) * rate)
        ok = left > 0
        self.tokens[request.inlet] = (left - len(request.records) if ok else left, max(at, request.sent_at))
        return ok


def _date(when: int) -> str:
    since_22 = 13 * 60 + 20 + when - EPOCH  # `EPOCH` is 22:13:20
    hours, minutes, seconds = 22 + since_22 // 3600, since_22 // 60 % 60, since_22 % 60
    return f"Tue, 14 Nov 2023 {hours:02d}:{minutes:02d}:{seconds:02d} GMT"
