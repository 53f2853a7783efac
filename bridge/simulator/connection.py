"""HTTP/1.1 over asyncio: one `Connection` for each client, which serves its requests in order.

The server is written here because faults need control over every byte of a response.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

import httptools

from bridge.simulator.http import HttpRequest, HttpResponse, json_response
from bridge.simulator.routing import Router
from bridge.simulator.state import SimulatorState
from bridge.simulator.transmission import ConnectionWriter, transmit

_MAX_KEPT_BYTES = 64_000_000
"""Of a larger request body only the size is kept."""
_DISCARD_S = 1.0
"""How long the rest of a body is read and discarded after an early response. Closing at once would send a
TCP reset, which can take the response away from the client."""
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, router: Router, state: SimulatorState, open_connections: set[Connection]) -> None:
        self._router = router
        self._state = state
        self._open_connections = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[HttpRequest, bool]] = deque()
        """Requests that were read, and whether each keeps the connection alive."""
        self._task: asyncio.Task[None] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._discards_input = False
        self.on_message_begin()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for requests."""
        self._transport = cast("asyncio.Transport", transport)
        self._writer = ConnectionWriter(self._transport)
        self._open_connections.add(self)
        self._start_idle_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Abandon the response that is under way: the client has left, or the server closed."""
        del exc
        self._open_connections.discard(self)
        self._writer.resume()
        for pending in (self._idle_timer, self._task):
            if pending is not None:
                pending.cancel()

    def pause_writing(self) -> None:
        """Hold back what is being written."""
        self._writer.pause()

    def resume_writing(self) -> None:
        """Let it go on."""
        self._writer.resume()

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent. What is not HTTP ends the connection."""
        if self._discards_input:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # the client offers another protocol, and may go on with this one
        except httptools.HttpParserError:
            if not self._transport.is_closing():
                self._transport.write(_BAD_REQUEST)
                self._transport.close()

    # httptools calls these.

    def on_message_begin(self) -> None:
        """Start a new request."""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Respond before the body is read if a rule asks for it; else tell a client that waits to go on."""
        if self._task is None and not self._waiting:
            response = self._router.respond_early(self._request())
            if response is not None:
                self._discards_input = True
                self._task = asyncio.get_running_loop().create_task(self._send_early(response))
                return
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._size += len(body)
        if self._size <= _MAX_KEPT_BYTES:
            self._body.append(body)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        """Queue the request."""
        if self._discards_input:
            return
        self._waiting.append((self._request(), self._parser.should_keep_alive()))
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())

    def _request(self) -> HttpRequest:
        url = httptools.parse_url(self._url)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return HttpRequest(
            method=self._parser.get_method().decode("latin-1"),
            path=(url.path or b"/").decode("latin-1"),
            query=(url.query or b"").decode("latin-1"),
            headers=self._headers,
            body=body,
            size=self._size,
        )

    # Responding.

    async def _serve(self) -> None:
        stays_open = True
        while stays_open and self._waiting:
            request, keep_alive = self._waiting.popleft()
            stays_open = await self._serve_one(request, keep_alive=keep_alive)
        self._task = None
        if stays_open:
            self._start_idle_timer()
        else:
            self._writer.close()

    async def _serve_one(self, request: HttpRequest, *, keep_alive: bool) -> bool:
        """Respond to one request, and return whether the connection can serve another."""
        delivered = False
        self._state.accounting.request_started()
        try:
            try:
                response = self._router.respond(request)
            except Exception as error:
                # A mistake of the simulator's own must be seen by the test that meets it.
                response = json_response(500, {"error": f"the simulator itself failed: {error!r}"})
            if response.delay_s > 0:
                await asyncio.sleep(response.delay_s)
            stays_open = await self._transmit(response, keep_alive=keep_alive)
            delivered = True
        finally:
            self._state.accounting.request_ended(delivered=delivered)
        return stays_open

    async def _send_early(self, response: HttpResponse) -> None:
        await asyncio.sleep(response.delay_s)
        await self._transmit(response, keep_alive=False)
        await asyncio.sleep(_DISCARD_S)
        self._writer.close()

    async def _transmit(self, response: HttpResponse, *, keep_alive: bool) -> bool:
        clock_skew_s = self._state.config.clock_skew_s
        return await transmit(response, self._writer, keep_alive=keep_alive, clock_skew_s=clock_skew_s)

    def _start_idle_timer(self) -> None:
        """Close the connection after a while without a request, if that is configured."""
        idle_s = self._state.config.idle_s
        if idle_s > 0 and not self._transport.is_closing():
            self._idle_timer = asyncio.get_running_loop().call_later(idle_s, self._writer.close)
