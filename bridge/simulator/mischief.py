"""Turns the usual reply into the one that a fault rule asks for. Pure, but for the date."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

import msgspec

from bridge.simulator.faults import Armed, Endpoint, Rule
from bridge.simulator.http import Manner, Reply, json_reply, problem

_ELSEWHERE = "http://elsewhere.invalid/"


def spoil(armed: Armed, endpoint: Endpoint, usual: Callable[[], Reply], skew_s: float) -> Reply:
    """The reply of a rule. `usual` is called only where the rule accepts; where it then refuses by itself, its refusal is the reply."""
    rule = armed.rule
    reply = Reply(207, b'{"responses":[]}')
    if rule.accepts:
        reply = usual()
        if reply.status not in (200, 207):
            return reply
    return replace(_spoilt(rule, endpoint, reply, skew_s), rule=armed.number, messages=reply.messages)


def _spoilt(rule: Rule, endpoint: Endpoint, reply: Reply, skew_s: float) -> Reply:
    match rule.action:
        case "status" | "limit":
            return _refusal(rule, endpoint, skew_s)
        case "empty":
            return replace(reply, body=b"")
        case "not_json":
            return replace(
                reply, body=(rule.body or "<html><body>OK</body></html>").encode(), content_type="text/html"
            )
        case "nothing":
            return replace(reply, body=msgspec.json.encode({"responses": [{}] * reply.messages}))
        case "no_responses":
            return replace(reply, body=b'{"inletId":"?","batchId":"?"}')
        case action:
            return replace(reply, manner=Manner(action), rate=rule.bytes_per_s, size=rule.size)


def _refusal(rule: Rule, endpoint: Endpoint, skew_s: float) -> Reply:
    """Any status, with a body of the kind that its endpoint sends; a 403 comes empty, as from an allow-list."""
    status = 413 if rule.action == "limit" else 503 if rule.status is None else rule.status
    headers = dict(rule.headers)
    if 300 <= status < 400 and "location" not in {name.lower() for name in headers}:
        headers["location"] = _ELSEWHERE
    if rule.retry_after_s is not None:
        when = time.time() + skew_s + rule.retry_after_s
        headers["retry-after"] = (
            formatdate(when, usegmt=True) if rule.retry_after_form == "date" else f"{rule.retry_after_s:g}"
        )
    if rule.body is not None:
        return Reply(status, rule.body.encode(), headers=headers)
    if status == 403 or 300 <= status < 400:
        return Reply(status, headers=headers)
    body = (
        json_reply(status, {"error": "server_error"})
        if endpoint == "token"
        else problem(status, "fault rule")
    )
    return replace(body, headers=headers)
