"""A server of raw sockets: a script decides what goes over the wire, however wrong it is."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from types import TracebackType
from typing import Self

RESPONSE_207 = b'{"responses":[]}'


def response(status: int = 207, body: bytes = RESPONSE_207, *headers: str) -> bytes:
    """Return a well-formed response."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass(slots=True)
class Request:
    """A request as it came from a client."""

    line: str
    headers: dict[str, str]
    """Names and values in lower case."""
    body: bytes
    head: list[str]
    """The header lines as they came."""


class Peer:
    """One connection, as its script sees it."""

    def __init__(self, sock: socket.socket, stopped: Event) -> None:
        self.sock = sock
        self.stopped = stopped
        """Set at the end of the test."""
        self._file = sock.makefile("rb")

    def request(self) -> Request | None:
        """Return the next request, or None when the client has closed."""
        line = self._file.readline().decode().strip()
        if not line:
            return None
        head = [text.decode().strip() for text in iter(self._file.readline, b"\r\n")]
        headers = dict(text.lower().split(": ", 1) for text in head)
        body = self._file.read(int(headers.get("content-length", "0")))
        return Request(line, headers, body, head)

    def read(self, size: int) -> bytes:
        """Return more of what the client sends."""
        return self._file.read(size)

    def send(self, data: bytes) -> None:
        """Send all of it at once."""
        self.sock.sendall(data)

    def drip(self, data: bytes, every_s: float = 0.05) -> None:
        """Send one byte at a time, until all is sent or the test is over."""
        for n in range(len(data)):
            self.sock.sendall(data[n : n + 1])
            if self.stopped.wait(every_s):
                return

    def reset(self) -> None:
        """Let the connection end with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Script = Callable[[Peer], object]


def always(data: bytes, requests: list[Request] | None = None) -> Script:
    """Return a script that answers each request so, keeps the connection, and appends to `requests`."""

    def script(peer: Peer) -> None:
        while request := peer.request():
            if requests is not None:
                requests.append(request)
            peer.send(data)

    return script


def once(act: Script) -> Script:
    """Return a script that reads one request and acts."""

    def script(peer: Peer) -> None:
        peer.request()
        act(peer)

    return script


class RawServer:
    """Runs `script` once for each connection, in a thread, and closes the connection when it returns."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopped = Event()
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}/collection/batch/inlet"

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            if self._tls is None:
                self._script(Peer(sock, self._stopped))
            else:
                with self._tls.wrap_socket(sock, server_side=True) as secure:
                    self._script(Peer(secure, self._stopped))
