"""What AEP may answer, and stand-ins for AEP that decide by the messages, by the time or by a list."""

from __future__ import annotations

import json
from collections.abc import Callable

from bridge.model import (
    BatchRequest,
    BatchResponse,
    Fault,
)


def multi_status(
    *entries: dict[str, object], status: int = 207, headers: dict[str, str] | None = None
) -> BatchResponse:
    """Return a multi-status response with these entries."""
    return BatchResponse(
        status, headers or {}, json.dumps({"inletId": "i", "batchId": "1:2:3", "responses": entries}).encode()
    )


def entry_accepted(at: int) -> dict[str, object]:
    """Return the entry of an accepted message."""
    return {"xactionId": f"1:2:3:{at}"}


def entry_refused(status: int = 400, message: str = "Message has unknown xdm format") -> dict[str, object]:
    """Return the entry of a refused message."""
    return {"statusCode": status, "message": message}


def all_accepted(number: int) -> BatchResponse:
    """Return a response that accepts so many messages."""
    return multi_status(*map(entry_accepted, range(number)))


def request_refused(status: int, message: str = "no", **headers: str) -> BatchResponse:
    """Return a response with which AEP refuses a whole request."""
    return BatchResponse(
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps({"status": status, "message": message}).encode(),
    )


def no_response(fault: Fault = Fault.TIMEOUT) -> BatchResponse:
    """Return what the sender reports when no response came."""
    return BatchResponse(fault=fault, error=f"it was a {fault.value}")


Aep = Callable[[BatchRequest, float], BatchResponse]
SilentAep = Callable[[BatchRequest, float], BatchResponse | None]
"""Where it returns None, the request stays open."""


def healthy_aep(request: BatchRequest, _: float = 0.0) -> BatchResponse:
    """Accept every good message, and refuse each bad one by its own entry."""
    return multi_status(
        *(
            entry_refused() if b"bad" in piece else entry_accepted(at)
            for at, piece in enumerate(request.pieces)
        )
    )


def strict_aep(status: int = 400) -> Aep:
    """Return an AEP that refuses a whole request for one bad message."""
    return lambda request, _: (
        request_refused(status)
        if any(b"bad" in piece for piece in request.pieces)
        else all_accepted(len(request.pieces))
    )


def scripted_aep(
    *responses: BatchResponse | Callable[[BatchRequest], BatchResponse], then: Aep = healthy_aep
) -> Aep:
    """Return an AEP that gives these responses, one for each request, and after them what `then` returns."""
    left = list(responses)

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        if not left:
            return then(request, now)
        response = left.pop(0)
        return response if isinstance(response, BatchResponse) else response(request)

    return aep


def never_answers(request: BatchRequest, now: float) -> None:
    """Leave the request open."""
