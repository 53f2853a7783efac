"""The administration over HTTP, under `/__admin/`: the switches of the Python API, for another process."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote

import msgspec

from bridge.simulator.accounting import Accounting
from bridge.simulator.fault_rules import Rule
from bridge.simulator.http import HttpRequest, HttpResponse, json_response
from bridge.simulator.state import SimulatorState

PATH = "/__admin/"

_rules = msgspec.json.Decoder(Rule | list[Rule])
_changes = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LINES_PER_CHUNK = 5_000


def respond(request: HttpRequest, state: SimulatorState) -> HttpResponse:
    """Respond to one administrative request. One that can't be understood gets a 400 that says why."""
    try:
        response = _change_or_show(request, state)
    except (msgspec.DecodeError, ValueError) as error:
        return json_response(400, {"error": str(error)})
    return response or json_response(404, {"error": f"no such thing: {request.method} {request.path}"})


def _change_or_show(request: HttpRequest, state: SimulatorState) -> HttpResponse | None:
    name, _, rest = request.path.removeprefix(PATH).partition("/")
    match request.method, name:
        case "POST", "faults":
            decoded = _rules.decode(request.body)
            rules = decoded if isinstance(decoded, list) else [decoded]
            return json_response(201, {"ids": [state.faults.add(rule) for rule in rules]})
        case "DELETE", "faults":
            state.faults.clear(int(rest) if rest else None)
            return json_response(200, {})
        case "PUT", "config":
            changes = _changes.decode(request.body)
            decoded_changes = {key: msgspec.json.decode(value) for key, value in changes.items()}
            return json_response(200, state.configure(decoded_changes))
        case "POST", "reset":
            state.reset()
            return json_response(200, {})
        case "POST", "tokens" if rest == "revoke":
            return json_response(200, {"revoked": state.tokens.revoke()})
        case "GET", "faults":
            return json_response(200, {"faults": state.faults.describe()})
        case "GET", "config":
            return json_response(200, state.config)
        case "GET", "health":
            return json_response(200, {"status": "up"})
        case "GET", _:
            return _show(name, rest, request, state.accounting)
        case _:
            return None


def _show(name: str, rest: str, request: HttpRequest, accounting: Accounting) -> HttpResponse | None:
    match name:
        case "stats":
            return json_response(200, accounting.stats())
        case "requests":
            return json_response(200, {"requests": accounting.requests})
        case "accepted":
            least = int(request.parameter("min") or 1)
            counts = accounting.accepted.items()
            return _lines({"id": event_id, "n": count} for event_id, count in counts if count >= least)
        case "refused":
            refusals = accounting.refused.items()
            return _lines({"id": id_, "status": status, "n": count} for (id_, status), count in refusals)
        case "order":
            return _lines({"key": key, "ids": ids} for key, ids in accounting.order.items())
        case "message":
            message = accounting.message(unquote(rest))
            return None if message is None else HttpResponse(200, message)
        case _:
            return None


def _lines(rows: Iterator[dict[str, object]]) -> HttpResponse:
    """Return NDJSON in chunks: a million ids must never stand in one text."""

    def chunks() -> Iterator[bytes]:
        encoder = msgspec.json.Encoder()
        while chunk := list(islice(rows, _LINES_PER_CHUNK)):
            yield encoder.encode_lines(chunk)

    return HttpResponse(200, chunks(), content_type="application/x-ndjson")
