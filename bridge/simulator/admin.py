"""The administration over HTTP, under `/__admin/`: the same switches as the Python API, for simulators in another process."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from bridge.simulator.faults import Rule
from bridge.simulator.http import Reply, Request, json_reply

if TYPE_CHECKING:
    from bridge.simulator.simulator import Simulator

_rules = msgspec.json.Decoder(Rule | list[Rule])
_changes = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LINES = 5_000
"""Lines of NDJSON in one piece."""


def reply(request: Request, sim: Simulator) -> Reply:
    """Answers one administrative request; what can't be understood is a 400 that says why."""
    try:
        answer = _answer(request, sim)
    except (msgspec.DecodeError, ValueError) as error:
        return json_reply(400, {"error": str(error)})
    return answer or json_reply(404, {"error": f"no such thing: {request.method} {request.path}"})


def _answer(request: Request, sim: Simulator) -> Reply | None:
    name, _, rest = request.path.removeprefix("/__admin/").partition("/")
    match request.method, name:
        case "POST", "faults":
            decoded = _rules.decode(request.body)
            rules = decoded if isinstance(decoded, list) else [decoded]
            return json_reply(201, {"ids": [sim.faults.add(rule) for rule in rules]})
        case "GET", "faults":
            return json_reply(200, {"faults": sim.faults.describe()})
        case "DELETE", "faults":
            sim.faults.clear(int(rest) if rest else None)
            return json_reply(200, {})
        case "GET", "config":
            return json_reply(200, sim.config)
        case "PUT", "config":
            return json_reply(
                200,
                sim.configure(
                    {key: msgspec.json.decode(value) for key, value in _changes.decode(request.body).items()}
                ),
            )
        case "POST", "reset":
            sim.reset()
            return json_reply(200, {})
        case "POST", "tokens":
            return json_reply(200, {"revoked": sim.tokens.revoke()}) if rest == "revoke" else None
        case "GET", _:
            return _view(name, rest, request, sim)
        case _:
            return None


def _view(name: str, rest: str, request: Request, sim: Simulator) -> Reply | None:
    match name:
        case "health":
            return json_reply(200, {"status": "up"})
        case "stats":
            return json_reply(200, sim.accounting.stats())
        case "requests":
            return json_reply(200, {"requests": sim.accounting.requests})
        case "accepted":
            least = int(request.asks("min") or 1)
            return _lines(
                {"id": event_id, "n": count}
                for event_id, count in sim.accounting.accepted.items()
                if count >= least
            )
        case "refused":
            return _lines(
                {"id": event_id, "status": status, "n": count}
                for (event_id, status), count in sim.accounting.refused.items()
            )
        case "order":
            return _lines({"key": key, "ids": ids} for key, ids in sim.accounting.order.items())
        case "message":
            message = sim.accounting.message(unquote(rest))
            return None if message is None else Reply(200, message)
        case _:
            return None


def _lines(rows: Iterator[dict[str, object]]) -> Reply:
    """NDJSON, streamed: a million ids are never one text."""

    def pieces() -> Iterator[bytes]:
        encoder = msgspec.json.Encoder()
        while piece := list(islice(rows, _LINES)):
            yield encoder.encode_lines(piece)

    return Reply(200, pieces(), content_type="application/x-ndjson")
