"""A small HTTP proxy: CONNECT and requests in absolute form, with a password where one is required."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import suppress
from threading import Thread
from urllib.parse import urlsplit

from tests.support.rawserver import Peer, RawServer, Request, response


class ProxyServer(RawServer):
    """`request_lines` holds the first line of each request that it got."""

    def __init__(self, login: str = "") -> None:
        super().__init__(self._proxy)
        self._authorization = f"basic {b64encode(login.encode()).decode()}".lower() if login else ""
        self.request_lines: list[str] = []

    def address(self, login: str = "") -> str:
        """Return the proxy's URL, with `user:password` in it."""
        return f"http://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    def _proxy(self, peer: Peer) -> None:
        while request := peer.request():
            self.request_lines.append(request.line)
            authorization = request.headers.get("proxy-authorization", "")
            if self._authorization and authorization != self._authorization:
                peer.send(response(407, b"who are you?"))
                continue
            if request.line.startswith("CONNECT "):
                _tunnel(peer, request)
            else:
                _fetch(peer, request)
            return


def _tunnel(peer: Peer, request: Request) -> None:
    host, _, port = request.line.split()[1].rpartition(":")
    with socket.create_connection((host, int(port))) as upstream:
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        Thread(target=_copy, args=(upstream, peer.sock), daemon=True).start()
        _copy(peer.sock, upstream)


def _fetch(peer: Peer, request: Request) -> None:
    method, target, _ = request.line.split()
    url = urlsplit(target)
    path = url.path + (f"?{url.query}" if url.query else "")
    own = ("proxy-", "connection:", "host:")
    headers = [text for text in request.head if not text.lower().startswith(own)]
    lines = [f"{method} {path} HTTP/1.1", f"Host: {url.netloc}", "Connection: close", *headers, "", ""]
    with socket.create_connection((url.hostname, url.port or 80)) as upstream:
        upstream.sendall("\r\n".join(lines).encode() + request.body)
        _copy(upstream, peer.sock)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
