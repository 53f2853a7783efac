"""The connections of the admin port: each always has a deadline, their number is bounded, and a new one
always has room.

uvicorn 0.54 has a deadline for idle connections only. With its `limit_concurrency`, a hundred clients that
have each sent half a request would make it refuse the kubelet's probes too. So this file extends uvicorn's
connection, which is not a public class: pyproject.toml bounds the version, and tests/hostile/test_admin.py
must pass before the bound is raised.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.ops.safe_headers import SAFE_HEADERS

REQUEST_S = 5.0
"""From connecting, or from the first byte of a further request, to the request's last byte. Bytes that come
in one by one do not extend it.
"""
RESPONSE_S = 40.0
"""From the request's last byte to the end of the response: longer than a skip order may take."""
IDLE_S = 35.0
"""From a response to the next request. It is also the time that a client has to read the response."""
MAX_CONNECTIONS = 256
"""Each takes some 24 kB, with half a head or half a body. When there is one more, the connection that has
waited longest for its client is closed.
"""
BACKLOG = 64
"""Connections that are accepted at once, before any of the others is closed for them."""


class BoundedConnection(H11Protocol):
    """One client's connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._is_idle = False
        self._waits_since = 0.0
        self._is_aborted = False

    @property
    def _is_responding(self) -> bool:
        """Whether the last byte of the request is here and the response is not complete."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the parent narrows it
        super().connection_made(transport)
        self._set_deadline(REQUEST_S)
        bounded = [each for each in self.connections if isinstance(each, BoundedConnection)]
        others = [each for each in bounded if each is not self and not each._is_aborted]
        if len(others) >= MAX_CONNECTIONS:
            min(others, key=lambda each: (each._is_responding, each._waits_since))._abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_responding:
            # uvicorn would hold a further request in memory until the response is complete. None of our own
            # clients sends one that early.
            self._abort()
            return
        if self._is_idle:
            self._set_deadline(REQUEST_S)
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if self._is_responding:
            self._set_deadline(RESPONSE_S)

    def on_response_complete(self) -> None:
        if not self.cycle.more_body:
            self._set_deadline(IDLE_S, idle=True)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Send what the parent sends, with the safe headers."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._abort()
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

    def _set_deadline(self, seconds: float, *, idle: bool = False) -> None:
        """Replace the deadline: the connection waits for something else from now on."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._is_idle, self._waits_since = idle, self.loop.time()
        self._deadline = self.loop.call_later(seconds, self._abort)

    def _abort(self) -> None:
        """End the connection at once. An orderly close would wait for a client that reads nothing."""
        self._is_aborted = True
        self.transport.abort()
