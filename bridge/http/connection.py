"""One HTTP/1.1 connection that is kept between requests.

It is httpx's transport, and has a method `post` that does without httpx's cost. httpx's own time-outs are
per socket operation, so that a response that drips never ends; and its pool costs three times the CPU that
the bytes need. Here each request says, in its `extensions`,

- `deadline`: in seconds of `time.monotonic`. Resolving the name, connecting, the proxy, TLS, writing, and
  the response to its last byte all fit in it;
- `max_response_bytes`: of the response as it comes over the wire, its head included, and of its body once
  decompressed.

Nothing is ever sent twice: a kept connection that the peer has closed is noticed before it is used, and
whatever breaks later is raised. A redirect is a response like any other. Raises httpx's exceptions, whose
texts never hold a password: ConnectTimeout, WriteTimeout, ReadTimeout, ConnectError (DNS, refused, TLS),
ProxyError, WriteError, ReadError, RemoteProtocolError, ResponseTooLarge.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import httpx

from bridge.http.dialing import dial
from bridge.http.errors import as_httpx_error
from bridge.http.non_blocking import NonBlocking, run_blocking, send_all, time_left
from bridge.http.origin import Origin
from bridge.http.proxy import Proxy, proxy_for
from bridge.http.request_writer import request_head, write_request
from bridge.http.response_parser import IncomingResponse, read_response
from bridge.http.tls import Tls

KEEP_ALIVE_S: Final = 50.0
"""A connection that was idle for longer is not used again: load balancers forget theirs after a minute."""
DEFAULT_TIMEOUT_S: Final = 30.0
DEFAULT_MAX_RESPONSE_BYTES: Final = 4 << 20
_EARLY_RESPONSE_S: Final = 1.0
"""How long to wait for the response of a peer that does not take the rest of a request."""
_T = TypeVar("_T")
ProxySource = str | Callable[[], str | None] | None
"""A proxy's URL, "" for no proxy, None for the environment's proxy; or a function that returns these."""


class HttpConnection(httpx.BaseTransport):
    """One kept connection; see the module. It belongs to one thread at a time."""

    def __init__(
        self, *, tls: Tls | None = None, proxy: ProxySource = None, keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        """Raises ValueError for a URL that is not a proxy's."""
        self._read_proxy_url = proxy if callable(proxy) else None
        self._proxy_url = proxy() if callable(proxy) else proxy
        if self._proxy_url:
            Proxy.parse(self._proxy_url)
        self._tls = tls or Tls()
        self._keep_alive_s = keep_alive_s
        self._sock: socket.socket | None = None
        self._last_used = 0.0
        self._connected_origin: Origin | None = None
        self._proxy: Proxy | None = None
        """What `_sock` goes through."""
        self._url: httpx.URL | None = None
        """The last one asked for, and its origin."""
        self._origin = Origin("", "", 0)
        self._peer = ""
        """The origin's authority, for error texts."""
        self._post_head: tuple[object, object, bytes] = None, None, b""
        """The fields and the proxy of the last `post`, and the head that was made of them."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response, with its body. Blocks."""
        deadline = request.extensions.get("deadline", time.monotonic() + DEFAULT_TIMEOUT_S)
        max_bytes = request.extensions.get("max_response_bytes", DEFAULT_MAX_RESPONSE_BYTES)
        self.connect(request.url, deadline)

        def write(sock: socket.socket, proxy: Proxy | None) -> NonBlocking[None]:
            head = request_head(request.method, request.url, request.headers.raw, proxy)
            return write_request(sock, head, request, deadline)

        response, body = self.run_blocking(self._exchange(deadline, max_bytes, write))
        return httpx.Response(response.status, headers=response.headers, content=body, request=request)

    def post(
        self,
        url: httpx.URL,
        fields: Sequence[tuple[bytes, bytes]],
        size: int,
        content: Callable[[bytes], bytes],
        deadline: float,
        max_bytes: int,
    ) -> NonBlocking[tuple[int, Sequence[tuple[bytes, bytes]], bytes]]:
        """Send a POST over the open connection; return the response's status, header fields and body.

        It does without httpx's objects, which cost as much as sending 100 KB. `fields` hold Host; the
        head made of them is used again as long as they are the same object. `size` is the body's.
        `content` makes one piece of the head's bytes and the body, so that both leave together.
        """

        def write(sock: socket.socket, proxy: Proxy | None) -> NonBlocking[None]:
            if self._post_head[0] is not fields or self._post_head[1] is not proxy:
                self._post_head = fields, proxy, request_head("POST", url, fields, proxy)
            head = b"%bContent-Length: %d\r\n\r\n" % (self._post_head[2], size)
            return send_all(sock, content(head), deadline)

        response, body = yield from self._exchange(deadline, max_bytes, write)
        return response.status, response.headers, body

    def is_open_to(self, url: httpx.URL) -> bool:
        """Return whether a request to this URL can go out at once.

        A connection is closed here where the proxy to use has changed.
        """
        if url is not self._url:
            self._url, self._origin = url, Origin.of(url)
            self._peer = self._origin.authority
        if self._read_proxy_url is not None and (current := self._read_proxy_url()) != self._proxy_url:
            self._proxy_url = current
            self.close()
        return self._sock is not None and self._connected_origin == self._origin and self._usable(self._sock)

    def connect(self, url: httpx.URL, deadline: float) -> None:
        """Make sure that there is a connection to this URL's origin. Blocks where one has to be opened."""
        if not self.is_open_to(url):
            self.close()
            self._proxy = proxy_for(self._origin, self._proxy_url)
            self._sock = dial(self._origin, self._proxy, self._tls, deadline)
            self._connected_origin = self._origin

    def run_blocking(self, steps: NonBlocking[_T]) -> _T:
        """Return the result of an exchange over this connection. Blocks."""
        return run_blocking(steps, self.fileno)

    def fileno(self) -> int:
        """Return the socket's file descriptor, -1 where there is none."""
        return -1 if self._sock is None else self._sock.fileno()

    def close(self) -> None:
        """Close the socket; `connect` opens another."""
        if self._sock is not None:
            with suppress(OSError):
                self._sock.close()
            self._sock = None

    def _exchange(
        self,
        deadline: float,
        max_bytes: int,
        write: Callable[[socket.socket, Proxy | None], NonBlocking[None]],
    ) -> NonBlocking[tuple[IncomingResponse, bytes]]:
        """Write one request and read its response; keep the connection only where both went well."""
        assert self._sock is not None, "connect goes before it"
        sock, peer, keep = self._sock, self._peer, False
        try:
            try:
                time_left(deadline)  # a short request would leave, and nobody could wait for its response
                yield from write(sock, self._proxy if self._origin.scheme == "http" else None)
            except OSError as error:
                failure = as_httpx_error(error, "sending to", peer, httpx.WriteTimeout, httpx.WriteError)
                try:
                    if not isinstance(failure, httpx.WriteError):
                        raise failure from error
                    response = yield from _early_response(sock, deadline, max_bytes, peer, failure)
                finally:
                    del failure  # it refers to this frame, which holds the request's bytes
            else:
                response = yield from read_response(sock, deadline, max_bytes, peer)
                keep = response.keep_alive
            body = response.decode_body(max_bytes)
        finally:
            self._last_used = time.monotonic()
            if not keep:
                self.close()
        return response, body

    def _usable(self, sock: socket.socket) -> bool:
        """Return whether the connection was used lately, and has nothing to read.

        Between two requests the peer has nothing to say, so bytes to read mean that it closed, or that it
        can't be trusted. With TLS they wait in the kernel too: each `recv` takes out a whole record,
        which has 16 KB at most.
        """
        if time.monotonic() - self._last_used > self._keep_alive_s:
            return False
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return not poll.poll(0)


def http_client(*, tls: Tls, proxy: ProxySource) -> httpx.Client:
    """Return a client over one kept connection, for requests whose cost does not matter."""
    return httpx.Client(transport=HttpConnection(tls=tls, proxy=proxy), trust_env=False)


def _early_response(
    sock: socket.socket, deadline: float, max_bytes: int, peer: str, error: httpx.WriteError
) -> NonBlocking[IncomingResponse]:
    """Return the response of a peer that stopped reading; raise `error` where it sent none.

    Such a peer often answered first (413, 401), and that is worth more than the reset that follows it.
    """
    try:
        until = min(deadline, time.monotonic() + _EARLY_RESPONSE_S)
        return (yield from read_response(sock, until, max_bytes, peer))
    except httpx.TransportError:
        raise error from None
    finally:
        del error  # it refers to this frame
