"""The collection endpoints: who may send, how much, and what becomes of each message."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from bridge.simulator.accounting import Acceptance
from bridge.simulator.config import Config
from bridge.simulator.fault_responses import apply_faults
from bridge.simulator.faults import ArmedRule, RequestFaults
from bridge.simulator.http import HttpRequest, HttpResponse, problem_response
from bridge.simulator.messages import Judgement, judge, judge_raw, ordering_key, split_batch
from bridge.simulator.state import SimulatorState


@dataclass(frozen=True, slots=True)
class _Call:
    """One request to an inlet, with the configuration and the faults that it meets."""

    request: HttpRequest
    inlet: str
    is_batch: bool
    config: Config
    faults: RequestFaults
    authenticated: bool

    @property
    def wants_validation(self) -> bool:
        """Whether the response carries a verdict; batches have no such option."""
        return not self.is_batch and self.request.parameter("syncValidation") == "true"

    @property
    def is_raw(self) -> bool:
        """Whether the inlet takes bare objects instead of enveloped messages."""
        return self.config.inlets[self.inlet] == "raw"


class CollectionEndpoint:
    """Responds to `POST /collection/{inlet}` and `POST /collection/batch/{inlet}`."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    def respond(self, request: HttpRequest, inlet: str, *, is_batch: bool) -> HttpResponse:
        """Return the response, with the faults that are due."""
        config = self._state.config
        faults = self._state.faults.for_request("ingest", inlet, request)
        authenticated = self._state.tokens.is_valid(request.headers.get("authorization"))
        call = _Call(request, inlet, is_batch, config, faults, authenticated)
        return apply_faults(faults, "ingest", lambda: self._usual_response(call), config.clock_skew_s)

    def respond_early(self, request: HttpRequest, inlet: str) -> HttpResponse | None:
        """Return the response to headers alone, if a rule asks for one."""
        faults = self._state.faults.for_request("ingest", inlet, request, early=True)
        if faults.response_rule is None:
            return None
        # No rule for early responses accepts anything, so the usual response is never asked for.
        clock_skew_s = self._state.config.clock_skew_s
        return apply_faults(faults, "ingest", lambda: HttpResponse(500), clock_skew_s)

    def _usual_response(self, call: _Call) -> HttpResponse:
        refusal = _refusal_by_headers(call)
        if refusal is not None:
            return refusal
        body = _decompressed(call)
        if isinstance(body, HttpResponse):
            return body
        messages = split_batch(body) if call.is_batch else [msgspec.Raw(body)]
        if not messages:
            where = f"inletId: [{call.inlet}] imsOrgId: [{call.config.org}]"
            return problem_response(400, f"{where} Message has unknown xdm format")
        return replace(self._response_to_messages(call, messages), messages=len(messages))

    def _response_to_messages(self, call: _Call, messages: Sequence[msgspec.Raw]) -> HttpResponse:
        config, state = call.config, self._state
        if not state.rate_limits.allow(len(messages), config, validation=call.wants_validation):
            headers = {} if config.retry_after_s is None else {"retry-after": str(config.retry_after_s)}
            return replace(problem_response(429, "Too many requests"), headers=headers)
        if config.fast:
            state.accounting.record_accepted_count(len(messages), authenticated=call.authenticated)
            return HttpResponse(
                207 if call.is_batch else 200, state.bodies.all_accepted(call.inlet, len(messages))
            )
        if call.is_raw and "x-adobe-flow-id" not in call.request.headers:
            error = f"inletId: [{call.inlet}] The header x-adobe-flow-id is mandatory for this inlet"
            return problem_response(400, error)
        judgements = [
            judge_raw(message) if call.is_raw else judge(message, call.inlet, config) for message in messages
        ]
        poisoned, rule = _apply_message_rules(judgements, messages, call.faults.message_rules)
        if poisoned is not None:
            return poisoned
        self._record(call, judgements, messages)
        return replace(self._verdicts_response(call, judgements), rule=rule)

    def _record(self, call: _Call, judgements: Sequence[Judgement], messages: Sequence[msgspec.Raw]) -> None:
        config, accepted, refused = call.config, [], []
        for judgement, message in zip(judgements, messages, strict=True):
            if judgement.status is not None:
                refused.append((judgement.event_id, judgement.status))
                continue
            kept = bytes(message) if config.keep_bytes else None
            key = None
            if config.order_key is not None:
                key = ordering_key(message, config.order_key, enveloped=not call.is_raw)
            accepted.append(Acceptance(judgement.event_id, kept, key))
        self._state.accounting.record_refused(refused)
        self._state.accounting.record_accepted(accepted, authenticated=call.authenticated)

    def _verdicts_response(self, call: _Call, judgements: Sequence[Judgement]) -> HttpResponse:
        bodies, shape = self._state.bodies, call.faults.shape or call.config.shape
        if call.is_batch:
            return HttpResponse(shape.status, bodies.multi_status(call.inlet, judgements, shape))
        [judgement] = judgements
        if judgement.status is not None:
            return problem_response(judgement.status, judgement.error)
        return HttpResponse(200, bodies.single(call.inlet, shape, validated=call.wants_validation))


def _refusal_by_headers(call: _Call) -> HttpResponse | None:
    """Return the refusal of a request to an unknown inlet, or without a valid token where one is required."""
    if call.inlet not in call.config.inlets:
        return problem_response(404, f"inletId: [{call.inlet}] The inlet does not exist")
    if call.config.require_auth and not call.authenticated:
        fault = "invalid or expired" if "authorization" in call.request.headers else "empty"
        return problem_response(401, f"[{call.inlet}] Ims service token is {fault}")
    return None


def _decompressed(call: _Call) -> bytes | HttpResponse:
    """Return the body, or the refusal of its size or encoding."""
    request, config = call.request, call.config
    too_large = problem_response(413, f"The request is larger than {config.max_bytes} bytes")
    if request.size > config.max_bytes:
        return too_large
    encoding = request.headers.get("content-encoding", "identity")
    if encoding == "identity":
        return request.body
    if encoding != "gzip" or not config.accept_gzip:
        return problem_response(415, f"Content-Encoding {encoding} is not supported")
    try:
        # One byte more than the limit is enough to see that the body is too large.
        body = zlib.decompressobj(wbits=31).decompress(request.body, config.max_bytes + 1)
    except zlib.error:
        return problem_response(400, "The body is not gzip")
    return too_large if len(body) > config.max_bytes else body


def _apply_message_rules(
    judgements: list[Judgement], messages: Sequence[msgspec.Raw], rules: Sequence[ArmedRule]
) -> tuple[HttpResponse | None, int | None]:
    """Let the rules about messages refuse messages that pass so far, by changing their judgements.

    Returns the refusal of the whole request if one of its messages is poison, and the number of the first
    rule that met a message.
    """
    first_number = None
    for armed in rules:
        rule = armed.rule
        status = 400 if rule.status is None else rule.status
        text = rule.body or "fault rule"
        met = False
        for index, (judgement, message) in enumerate(zip(judgements, messages, strict=True)):
            if judgement.accepted and armed.selects(judgement.event_id, message):
                met = True
                if rule.action == "poison":
                    break
                judgements[index] = Judgement(judgement.event_id, status, text)
        if not met:
            continue
        armed.fire()
        first_number = armed.number if first_number is None else first_number
        if rule.action == "poison":
            refusal = problem_response(status, text)
            return replace(refusal, headers=rule.headers, rule=armed.number), first_number
    return None, first_number
