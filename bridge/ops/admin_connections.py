"""The connections of the admin port: each has a deadline at any moment, there are at most so many, and a
new one always finds room.

uvicorn (0.54) bounds idle connections alone: a hundred with half a request would make its
`limit_concurrency` refuse the kubelet's probes too.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 5.0
"""From connecting, or from a further request's first byte, to its last byte. Bytes that trickle in don't
extend it."""
ANSWER_S = 40.0
"""From there to the answer's end: longer than a skip order may take."""
IDLE_S = 35.0
"""From an answer to the next request; also the time that a client has to read the answer."""
MAX_CONNECTIONS = 256
"""At some 24 kB each: half a head, or half a body. The oldest one that waits for its client makes room for
a new one."""
BACKLOG = 64
"""Connections that are taken at once, before any of the others makes room."""
SAFE_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class BoundedConnection(H11Protocol):
    """One client."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._deadline: asyncio.TimerHandle | None = None
        self._idle = False
        self._since = 0.0
        self._ended = False

    @property
    def _answering(self) -> bool:
        """Its request is here to the last byte, and its answer is not made yet."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the parent narrows it
        super().connection_made(transport)
        self._wait(REQUEST_S)
        there = [each for each in self.connections if isinstance(each, BoundedConnection) and not each._ended]
        if len(there) > MAX_CONNECTIONS:
            min(
                (each for each in there if each is not self), key=lambda each: (each._answering, each._since)
            )._end()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if (
            self._answering
        ):  # a further request before the answer would be held in memory; no client of ours does that
            self._end()
            return
        if self._idle:
            self._wait(REQUEST_S)
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if self._answering:
            self._wait(ANSWER_S)

    def on_response_complete(self) -> None:
        if not self.cycle.more_body:
            self._wait(IDLE_S, idle=True)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """As the parent's, with the safe headers."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._end()
            return
        fields = {
            "content-type": "text/plain; charset=utf-8",
            "connection": "close",
            "content-length": str(len(msg)),
            **SAFE_HEADERS,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n{msg}".encode())
        self.transport.close()

    def _wait(self, seconds: float, *, idle: bool = False) -> None:
        """From now on it waits for something else."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._idle, self._since = idle, self.loop.time()
        self._deadline = self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        """At once, whatever is under way: closing in good order would wait for a client that reads
        nothing.
        """
        self._ended = True
        self.transport.abort()
