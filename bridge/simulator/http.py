"""A request as it was read, and a reply with the manner of its delivery. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qs

import msgspec


class Manner(StrEnum):
    """How a reply is put on the wire."""

    PLAIN = "plain"
    CLOSE = "close"
    """Whole, with `Connection: close`."""
    DROP = "drop"
    """Whole, and then the connection is closed although it was said to stay open."""
    HANG = "hang"
    """Never."""
    RESET = "reset"
    """A TCP reset instead of an answer."""
    HALF = "half"
    """The head and half of the body, then the end."""
    GARBAGE = "garbage"
    """Bytes that are not HTTP."""
    DRIP = "drip"
    """`rate` bytes a second."""
    ENDLESS = "endless"
    """A chunked body that never ends."""
    HUGE = "huge"
    """A body of `size` bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, body included."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case; the last one wins."""
    body: bytes
    """Empty where `size` is past what the server cares to keep."""
    size: int
    """Bytes of body that were sent."""

    def asks(self, name: str) -> str:
        """A query parameter's last value, or an empty text."""
        return parse_qs(self.query).get(name, [""])[-1]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes | Iterable[bytes] = b""
    """Pieces go out chunked."""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0
    manner: Manner = Manner.PLAIN
    rate: float = 0
    size: int = 0
    messages: int = 0
    """Messages in the request, where they were counted."""
    rule: int | None = None
    """The fault rule that made this reply."""


def json_reply(status: int, body: object) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, msgspec.json.encode(body))


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


def problem(status: int, message: str) -> Reply:
    """The problem document of the collection service; a 401 says its status as a text, as Adobe's does."""
    shown: int | str = "401" if status == 401 else status
    return json_reply(
        status,
        {
            "type": "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet",
            "status": shown,
            "title": _TITLES.get(status, "Error"),
            "report": {"message": message},
        },
    )
