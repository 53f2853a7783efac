"""HTTP/1.1 over asyncio: one `Connection` per client, requests in order, every byte of the answer ours."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from bridge.simulator.config import Config
from bridge.simulator.http import Reply, Request, json_reply
from bridge.simulator.wire import Out, deliver

_MOST_KEPT = 64_000_000
"""Bytes of a request body that are kept at all; the rest is counted only."""

_LINGER_S = 1.0
"""How long the rest of a body is still read, and thrown away, after an early answer: a reset would take the answer with it."""

Handle = Callable[[Request], Reply]
Early = Callable[[Request], Reply | None]


class Watch:
    """What connections share: how to answer, what to tell, and which of them are open."""

    def __init__(
        self,
        handle: Handle,
        early: Early,
        config: Callable[[], Config],
        begun: Callable[[], None],
        ended: Callable[[bool], None],
    ) -> None:
        self.handle = handle
        self.early = early
        self.config = config
        self.begun = begun
        self.ended = ended
        self.open: set[Connection] = set()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._deaf = False
        self.on_message_begin()

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens."""
        self._transport = cast("asyncio.Transport", transport)
        self._out = Out(self._transport)
        self._watch.open.add(self)
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left, or we closed: whatever is being answered is abandoned."""
        del exc
        self._watch.open.discard(self)
        self._out.resume()
        for timer in (self._idle, self._task):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """The client is slow."""
        self._out.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._out.resume()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; what is not HTTP ends the connection."""
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # an offer to speak something else, which we don't take up
            return
        except httptools.HttpParserError:
            if not self._transport.is_closing():
                self._transport.write(
                    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                )
                self._transport.close()

    # What httptools tells.

    def on_message_begin(self) -> None:
        """A new request starts."""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Tells a client that waits for it to go on, or answers before the body is read."""
        if self._task is None and not self._waiting:
            reply = self._watch.early(self._request())
            if reply is not None:
                self._deaf = True
                self._task = asyncio.get_running_loop().create_task(self._answer_early(reply))
                return
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._size += len(body)
        if self._size <= _MOST_KEPT:
            self._body.append(body)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        """Queues the request."""
        if self._deaf:
            return
        self._waiting.append((self._request(), self._parser.should_keep_alive()))
        if self._idle is not None:
            self._idle.cancel()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())

    def _request(self) -> Request:
        url = httptools.parse_url(self._url)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return Request(
            method=self._parser.get_method().decode("latin-1"),
            path=(url.path or b"/").decode("latin-1"),
            query=(url.query or b"").decode("latin-1"),
            headers=self._headers,
            body=body,
            size=self._size,
        )

    # Answering.

    async def _serve(self) -> None:
        goes_on = True
        while goes_on and self._waiting:
            request, keep_alive = self._waiting.popleft()
            goes_on = await self._answer(request, keep_alive=keep_alive)
        self._task = None
        if goes_on:
            self._rest()
        else:
            self._out.close()

    async def _answer_early(self, reply: Reply) -> None:
        await asyncio.sleep(reply.delay_s)
        await deliver(reply, self._out, keep_alive=False, skew_s=self._watch.config().clock_skew_s)
        await asyncio.sleep(_LINGER_S)
        self._out.close()

    async def _answer(self, request: Request, *, keep_alive: bool) -> bool:
        delivered = False
        self._watch.begun()
        try:
            try:
                reply = self._watch.handle(request)
            except Exception as error:
                reply = json_reply(500, {"error": f"the simulator itself failed: {error!r}"})
            if reply.delay_s > 0:
                await asyncio.sleep(reply.delay_s)
            goes_on = await deliver(
                reply, self._out, keep_alive=keep_alive, skew_s=self._watch.config().clock_skew_s
            )
            delivered = True
        finally:
            self._watch.ended(delivered)
        return goes_on

    def _rest(self) -> None:
        """Nothing to do: close after a while, where that is configured."""
        idle_s = self._watch.config().idle_s
        if idle_s > 0 and not self._transport.is_closing():
            self._idle = asyncio.get_running_loop().call_later(idle_s, self._out.close)

    def abort(self) -> None:
        """Ends the connection at once."""
        self._transport.abort()
