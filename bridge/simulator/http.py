"""An HTTP request as it was read, and an HTTP response with the way in which it is transmitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qs

import msgspec


class Transmission(StrEnum):
    """How a response is put on the connection."""

    PLAIN = "plain"
    CLOSE = "close"
    """Complete, with `Connection: close`."""
    DROP = "drop"
    """Complete; then the connection is closed, although the response did not announce it."""
    HANG = "hang"
    """Never."""
    RESET = "reset"
    """A TCP reset instead of a response."""
    HALF = "half"
    """The head and half of the body; then the connection is closed."""
    GARBAGE = "garbage"
    """Bytes that are not HTTP."""
    DRIP = "drip"
    """`bytes_per_s` bytes of the body a second."""
    ENDLESS = "endless"
    """A chunked body that never ends."""
    HUGE = "huge"
    """A body of `size` bytes."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, body included."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names are in lower case; of equal names the last one counts."""
    body: bytes
    """Empty if `size` is more than the server keeps."""
    size: int
    """Bytes of the body that was sent."""

    def parameter(self, name: str) -> str:
        """Return the last value of a query parameter, or an empty text."""
        return parse_qs(self.query).get(name, [""])[-1]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response."""

    status: int
    body: bytes | Iterable[bytes] = b""
    """An iterable is sent chunked, one chunk for each item."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0
    """Seconds between the decision and the first byte."""
    transmission: Transmission = Transmission.PLAIN
    bytes_per_s: float = 0
    """For `DRIP`."""
    size: int = 0
    """For `HUGE`."""
    messages: int = 0
    """Messages in the request, if they were counted."""
    rule: int | None = None
    """Number of the fault rule that made this response."""


def json_response(status: int, body: object) -> HttpResponse:
    """Return a response with a JSON body."""
    return HttpResponse(status, msgspec.json.encode(body))


_TITLES = {
    400: "Invalid XDM Message Format",
    401: "Unauthorized",
    404: "Inlet not found",
    413: "Payload too large",
    415: "Unsupported Media Type",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}


def problem_response(status: int, message: str) -> HttpResponse:
    """Return the collection service's problem document. Its status is a text in a 401, as in Adobe's."""
    shown: int | str = "401" if status == 401 else status
    return json_response(
        status,
        {
            "type": "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet",
            "status": shown,
            "title": _TITLES.get(status, "Error"),
            "report": {"message": message},
        },
    )
