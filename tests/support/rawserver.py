"""A server of raw sockets: a script per connection decides what goes over the wire, and it may be as bad as it likes."""

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
    """A well-formed answer."""
    return (
        "\r\n".join(
            [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
        ).encode()
        + body
    )


@dataclass(slots=True)
class Request:
    """What a client sent."""

    line: str
    headers: dict[str, str]
    """In small letters, names and values."""
    body: bytes
    head: list[str]
    """The headers as they came."""


class Peer:
    """One connection, as its script sees it."""

    def __init__(self, sock: socket.socket, stopped: Event) -> None:
        self.sock = sock
        self.stopped = stopped
        self._file = sock.makefile("rb")

    def request(self) -> Request | None:
        """The next request, or None when the client closed."""
        line = self._file.readline().decode().strip()
        if not line:
            return None
        head = [text.decode().strip() for text in iter(self._file.readline, b"\r\n")]
        headers = dict(text.lower().split(": ", 1) for text in head)
        original = self._file.read(int(headers.get("content-length", "0")))
        return Request(line, headers, original, head)

    def read(self, size: int) -> bytes:
        """More of what the client sends."""
        return self._file.read(size)

    def send(self, data: bytes) -> None:
        """At once."""
        self.sock.sendall(data)

    def drip(self, data: bytes, every_s: float = 0.05) -> None:
        """A byte at a time, for ever if need be, until the test is over."""
        for n in range(len(data)):
            self.sock.sendall(data[n : n + 1])
            if self.stopped.wait(every_s):
                return

    def reset(self) -> None:
        """Ends the connection with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class RawServer:
    """Runs `script` once for each connection, in a thread, and closes the connection when it returns."""

    def __init__(self, script: Callable[[Peer], object], tls: ssl.SSLContext | None = None) -> None:
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
