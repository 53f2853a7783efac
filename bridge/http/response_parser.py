"""One response, read from a socket and parsed by httptools, within a deadline and a number of bytes."""

from __future__ import annotations

import selectors
import socket
import zlib
from functools import partial
from typing import Final

import httptools
import httpx

from bridge.http.errors import ResponseTooLarge, as_httpx_error
from bridge.http.non_blocking import NonBlocking, when_ready

_RECEIVE_BYTES: Final = 64 << 10
"""To receive at once: more than a TLS record holds, so that none of it stays in OpenSSL's buffer."""
_ANY_ZLIB_FORMAT: Final = 32 + 15
"""zlib's `wbits`: gzip or zlib, whichever the header says (32), with the largest window (15)."""


class IncomingResponse:
    """A response while it arrives. httptools calls the methods whose names start with `on_`."""

    def __init__(self, *, opens_tunnel: bool = False) -> None:
        """`opens_tunnel`: the response to CONNECT, which ends with its head."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.keep_alive = False
        """Whether the connection may carry another request."""
        self._body: list[bytes] = []
        self._head_complete = False
        self._opens_tunnel = opens_tunnel
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Parse more bytes. Raises HttpParserError or HttpParserUpgrade for what is not HTTP.

        Bytes behind a complete response are no error; they only end the connection.
        """
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.complete:
                raise
            self.keep_alive = False

    def ends_with_connection(self) -> bool:
        """Return whether the end of the connection is the end of the response: it announced no length."""
        names = {name.lower() for name, _ in self.headers}
        return self._head_complete and not names & {b"content-length", b"transfer-encoding"}

    def decode_body(self, max_bytes: int) -> bytes:
        """Return the body, decompressed if the peer compressed it although nobody asked for that.

        Raises ResponseTooLarge. Takes Content-Encoding out of the headers: httpx would decode it once
        more, without a limit.
        """
        body = b"".join(self._body)
        codings = [value for name, value in self.headers if name.lower() == b"content-encoding"]
        if not codings:
            return body
        removed = (b"content-encoding", b"transfer-encoding")
        self.headers = [(name, value) for name, value in self.headers if name.lower() not in removed]
        coding = b"".join(codings).strip().lower()
        if coding not in (b"gzip", b"x-gzip", b"deflate"):
            return body
        decompressor = zlib.decompressobj(_ANY_ZLIB_FORMAT)
        try:
            body = decompressor.decompress(body, max_bytes)
        except zlib.error as error:
            msg = f"the response's {coding.decode()} can't be read: {error}"
            raise httpx.RemoteProtocolError(msg) from None
        if decompressor.unconsumed_tail:
            raise ResponseTooLarge(max_bytes)
        return body

    def on_message_begin(self) -> None:
        """A second response on this connection: it would be taken for the next request's."""
        if self.complete:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self._parser.get_status_code()
            self._head_complete = self.status >= 200
            self.complete = self._head_complete and self._opens_tunnel

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self.complete:
            return
        if not self._head_complete:  # an interim response, 100 for example; the real one follows
            self.headers = []
            return
        self.complete = True
        self.keep_alive = self._parser.should_keep_alive()


def read_response(
    sock: socket.socket, deadline: float, max_bytes: int, peer: str, *, opens_tunnel: bool = False
) -> NonBlocking[IncomingResponse]:
    """Return the response once it is complete. `max_bytes` holds for all of it as it comes over the wire.

    Raises httpx.ReadTimeout, ReadError, RemoteProtocolError, ResponseTooLarge.
    """
    response, size = IncomingResponse(opens_tunnel=opens_tunnel), 0
    receive = partial(sock.recv, _RECEIVE_BYTES)
    try:
        yield selectors.EVENT_READ, deadline
        while not response.complete:
            data = yield from when_ready(receive, selectors.EVENT_READ, deadline)
            size += len(data)
            if size > max_bytes:
                raise ResponseTooLarge(max_bytes)
            if data:
                _feed(response, data, peer)
            elif response.ends_with_connection():
                break
            else:
                when = "within its response" if size else "without a response"
                msg = f"{peer} closed the connection {when} ({size} bytes came)"
                raise httpx.RemoteProtocolError(msg)
    except OSError as error:
        activity = "waiting for the response of"
        raise as_httpx_error(error, activity, peer, httpx.ReadTimeout, httpx.ReadError) from error
    return response


def _feed(response: IncomingResponse, data: bytes, peer: str) -> None:
    try:
        response.feed(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        msg = f"{peer} sent a response that is not HTTP/1.1: {type(error).__name__} {error}"
        raise httpx.RemoteProtocolError(msg) from None
