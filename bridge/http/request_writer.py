"""A request as the bytes that go over the wire."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import httpx

from bridge.http.non_blocking import NonBlocking, send_all
from bridge.http.proxy import Proxy


def request_head(
    method: str, url: httpx.URL, headers: Sequence[tuple[bytes, bytes]], proxy: Proxy | None
) -> bytes:
    """Return the request line and the headers, without the empty line behind them.

    A `proxy` is asked to fetch the URL: the target is the whole URL then, and the proxy's password goes
    along. Raises httpx.LocalProtocolError where a header would smuggle in another.
    """
    target, fields = url.raw_path, list(headers)
    if proxy is not None:
        host = next(value for name, value in headers if name.lower() == b"host")
        target = b"http://" + host + target
        if proxy.authorization:
            fields.append((b"Proxy-Authorization", proxy.authorization))
    lines = [b"%b %b HTTP/1.1\r\n" % (method.encode(), target)]
    lines += [b"%b: %b\r\n" % field for field in fields]
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
        msg = "a header of the request holds a line break or a null"
        raise httpx.LocalProtocolError(msg)
    return head


def write_request(
    sock: socket.socket, head: bytes, request: httpx.Request, deadline: float
) -> NonBlocking[None]:
    """Send the head and the request's content; content of unknown length goes out in chunks."""
    if not isinstance(request.stream, httpx.SyncByteStream):
        msg = "a synchronous transport sends bytes or an iterable of bytes"
        raise httpx.LocalProtocolError(msg)
    chunked = "transfer-encoding" in request.headers
    yield from send_all(sock, head + b"\r\n", deadline)
    for piece in request.stream:
        if not chunked:
            yield from send_all(sock, piece, deadline)
        elif piece:  # a chunk of no bytes would end the content
            yield from send_all(sock, b"%x\r\n" % len(piece), deadline)
            yield from send_all(sock, piece, deadline)
            yield from send_all(sock, b"\r\n", deadline)
    if chunked:
        yield from send_all(sock, b"0\r\n\r\n", deadline)
