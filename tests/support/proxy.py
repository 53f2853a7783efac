"""A small HTTP proxy: CONNECT and absolute-form requests, with a password where one is asked for."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import suppress
from threading import Thread
from urllib.parse import urlsplit

from tests.support.rawserver import Peer, RawServer, response


class ProxyServer(RawServer):
    """`seen` holds each request's line, so that a test can tell that the proxy was used."""

    def __init__(self, login: str = "") -> None:
        super().__init__(self._proxy)
        self._wanted = f"basic {b64encode(login.encode()).decode()}".lower() if login else ""
        self.seen: list[str] = []

    def address(self, login: str = "") -> str:
        """The proxy's URL, with `user:password` in it."""
        return f"http://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    def _proxy(self, peer: Peer) -> None:
        while request := peer.request():
            self.seen.append(request.line)
            if self._wanted and request.headers.get("proxy-authorization", "") != self._wanted:
                peer.send(response(407, b"who are you?"))
                continue
            method, target, _ = request.line.split()
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                with socket.create_connection((host, int(port))) as far:
                    peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = Thread(target=_pump, args=(far, peer.sock), daemon=True)
                    back.start()
                    _pump(peer.sock, far)
                return
            url = urlsplit(target)
            with socket.create_connection((url.hostname, url.port or 80)) as far:
                passed = [
                    text
                    for text in request.head
                    if not text.lower().startswith(("proxy-", "connection:", "host:"))
                ]
                path = url.path + (f"?{url.query}" if url.query else "")
                head = "\r\n".join(
                    [f"{method} {path} HTTP/1.1", f"Host: {url.netloc}", "Connection: close", *passed, "", ""]
                )
                far.sendall(head.encode() + request.body)
                _pump(far, peer.sock)
            return


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
