"""The response that a fault rule asks for, made from the usual one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

import msgspec

from bridge.simulator.fault_rules import Endpoint, Rule
from bridge.simulator.faults import ArmedRule, RequestFaults
from bridge.simulator.http import HttpResponse, Transmission, json_response, problem_response

_REDIRECT_URL = "http://elsewhere.invalid/"


def apply_faults(
    faults: RequestFaults, endpoint: Endpoint, usual: Callable[[], HttpResponse], clock_skew_s: float
) -> HttpResponse:
    """Return the response to a request that meets these faults.

    `usual` makes the usual response, and thereby accepts what was sent. It is not called under a rule that
    does not accept.
    """
    rule = faults.response_rule
    response = usual() if rule is None else _response_of(rule, endpoint, usual, clock_skew_s)
    return replace(response, delay_s=response.delay_s + faults.delay_s)


def _response_of(
    armed: ArmedRule, endpoint: Endpoint, usual: Callable[[], HttpResponse], clock_skew_s: float
) -> HttpResponse:
    response = HttpResponse(207, b'{"responses":[]}')
    if armed.rule.accepts:
        response = usual()
        if response.status not in (200, 207):
            return response  # a request that is refused anyway is not accepted by a rule
    changed = _changed(response, armed.rule, endpoint, clock_skew_s)
    return replace(changed, rule=armed.number, messages=response.messages)


def _changed(response: HttpResponse, rule: Rule, endpoint: Endpoint, clock_skew_s: float) -> HttpResponse:
    match rule.action:
        case "status" | "limit":
            return _refusal(rule, endpoint, clock_skew_s)
        case "empty":
            return replace(response, body=b"")
        case "not_json":
            page = rule.body or "<html><body>OK</body></html>"
            return replace(response, body=page.encode(), content_type="text/html")
        case "nothing":
            entries: list[dict[str, object]] = [{}] * response.messages
            return replace(response, body=msgspec.json.encode({"responses": entries}))
        case "no_responses":
            return replace(response, body=b'{"inletId":"?","batchId":"?"}')
        case action:
            transmission = Transmission(action)
            return replace(response, transmission=transmission, bytes_per_s=rule.bytes_per_s, size=rule.size)


def _refusal(rule: Rule, endpoint: Endpoint, clock_skew_s: float) -> HttpResponse:
    """Return any status, with a body as the endpoint writes it. A 403 has none, as from an allow-list."""
    status = 413 if rule.action == "limit" else 503 if rule.status is None else rule.status
    is_redirect = 300 <= status < 400
    headers = dict(rule.headers)
    if is_redirect and "location" not in {name.lower() for name in headers}:
        headers["location"] = _REDIRECT_URL
    if rule.retry_after_s is not None:
        retry_at = time.time() + clock_skew_s + rule.retry_after_s
        as_date = rule.retry_after_form == "date"
        headers["retry-after"] = formatdate(retry_at, usegmt=True) if as_date else f"{rule.retry_after_s:g}"
    if rule.body is not None:
        return HttpResponse(status, rule.body.encode(), headers=headers)
    if status == 403 or is_redirect:
        return HttpResponse(status, headers=headers)
    if endpoint == "token":
        return replace(json_response(status, {"error": "server_error"}), headers=headers)
    return replace(problem_response(status, "fault rule"), headers=headers)
