"""One kept connection under httpx's API, with a deadline that holds for the whole request and a cap that holds for the whole answer.

httpx's own time-outs are per socket operation, so an answer that drips never ends; and its pool costs three times the CPU that the bytes need.
A `HttpConnection` belongs to one thread at a time. Each request says, in its `extensions`,

- `deadline`: in `time.monotonic()` seconds. Looking the name up, connecting, the proxy, TLS, writing, and the answer to its last byte all fit in it;
- `max_response_bytes`: of the answer as it comes over the wire, its head included, and of its body once decompressed.

Whoever must not wait, the pump's loop, makes sure that a connection is `ready` and walks through `post` step by step.

Nothing is ever sent twice: a kept connection that the peer has closed is noticed before it is used, and whatever breaks later is raised.
Redirects are answers like any other. Raises httpx's own exceptions, whose texts never hold a password:
ConnectTimeout, WriteTimeout, ReadTimeout, ConnectError (DNS, refused, TLS), ProxyError, WriteError, ReadError, RemoteProtocolError, ResponseTooLarge.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeVar
from urllib.request import getproxies, proxy_bypass

import httptools
import httpx

KEEP_ALIVE_S: Final = 50.0
"""A connection that was idle for longer is not used again; load balancers forget theirs after a minute."""
DEFAULT_TIMEOUT_S: Final = 30.0
DEFAULT_MAX_RESPONSE_BYTES: Final = 4 << 20
_AT_ONCE: Final = 64 << 10
"""Bytes that are taken from a socket at once: more than a TLS record holds, so that nothing is left in OpenSSL's hands."""
_WAITS: Final = {
    BlockingIOError: 0,
    ssl.SSLWantReadError: select.POLLIN,
    ssl.SSLWantWriteError: select.POLLOUT,
}
"""What a socket that does not block says instead of blocking, and what it waits for (0: the obvious)."""
_T = TypeVar("_T")
SocketWait = tuple[int, float]
"""What a socket has to be waited for (`select.POLLIN`, `select.POLLOUT`), and until when, in `time.monotonic()` seconds."""
NonBlocking = Generator[SocketWait, None, _T]
"""An exchange that says what it waits for instead of waiting. It goes on once that is there, and is thrown what keeps it from coming: TimeoutError mostly."""
_Origin = tuple[str, str, int]
_Addresses = Sequence[tuple[int, int, int, str, tuple[str | int | bytes, ...]]]


class ResponseTooLarge(httpx.RemoteProtocolError):
    """The answer was larger than the request allowed; the connection is closed."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust, and who we are. Files are read anew when they change, so that a rotated certificate is used by the next connection."""

    ca_file: str | None = None
    """Trusted instead of the public authorities. Without it: `SSL_CERT_FILE`, `SSL_CERT_DIR`, or certifi's."""
    cert_file: str | None = None
    key_file: str | None = None
    """Left out when `cert_file` holds the key too."""

    def context(self) -> ssl.SSLContext:
        """Raises OSError or ssl.SSLError when a file can't be read or is not what it should be."""
        return _context(
            self,
            tuple(Path(f).stat().st_mtime_ns for f in (self.ca_file, self.cert_file, self.key_file) if f),
        )


@lru_cache(maxsize=32)
def _context(tls: Tls, _changed_ns: tuple[int, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file) if tls.ca_file else httpx.create_ssl_context()
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy: `host:port`, and the header that carries its password."""

    host: str
    port: int
    authorization: bytes

    def __repr__(self) -> str:
        return f"Proxy({_authority(self.host, self.port)})"

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Raises ValueError, with a text that doesn't repeat the URL, which may hold a password."""
        try:
            parts = httpx.URL(url if "://" in url else f"http://{url}")
        except httpx.InvalidURL:
            parts = httpx.URL("")
        if parts.scheme != "http" or not parts.host:
            msg = (
                "a proxy is given as http://[user:password@]host:port; other kinds of proxy are not supported"
            )
            raise ValueError(msg)
        login = (
            b"Basic " + b64encode(f"{parts.username}:{parts.password}".encode()) if parts.userinfo else b""
        )
        return cls(parts.raw_host.decode(), parts.port or 80, login)


def proxy_for(origin: _Origin, given: str | None) -> Proxy | None:
    """The proxy to use: the given one ("": none), or the environment's."""
    if given is None:
        scheme, host, port = origin
        found = getproxies()
        given = found.get(scheme) or found.get("all") or ""
        if given and (proxy_bypass(host) or proxy_bypass(f"{host}:{port}")):
            given = ""
    try:
        return Proxy.parse(given) if given else None
    except ValueError as error:
        raise httpx.ProxyError(str(error)) from None


class HttpConnection(httpx.BaseTransport):
    """See the module. `proxy`: a URL, "" for none, None for the environment's `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`; or what gives that of now."""

    def __init__(
        self,
        *,
        tls: Tls | None = None,
        proxy: str | Callable[[], str | None] | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._ask_proxy = proxy if callable(proxy) else None
        self._given_proxy = given = proxy() if callable(proxy) else proxy
        if given:
            Proxy.parse(given)
        self._tls = tls or Tls()
        self._kept_s = keep_alive_s
        self._proxy: Proxy | None = None
        self._sock: socket.socket | None = None
        self._origin: _Origin | None = None
        self._url: httpx.URL | None = None
        self._target: _Origin = "", "", 0
        self._peer = ""
        self._lead: tuple[object, object, bytes] = None, None, b""
        """The fields and the proxy of the last `post`, and the head that they made."""
        self._used = 0.0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The whole exchange; the answer's body has been read when this returns."""
        deadline = request.extensions.get("deadline", time.monotonic() + DEFAULT_TIMEOUT_S)
        cap = request.extensions.get("max_response_bytes", DEFAULT_MAX_RESPONSE_BYTES)
        head = partial(_head, request.method, request.url, request.headers.raw)
        self.prepare(request.url, deadline)
        steps = self._exchange(
            deadline, cap, lambda sock, proxy: _write(sock, head(proxy) + b"\r\n", request, deadline)
        )
        answer, body = self.wait_for(steps)
        return httpx.Response(answer.status, headers=answer.headers, content=body, request=request)

    def post(
        self,
        url: httpx.URL,
        fields: Sequence[tuple[bytes, bytes]],
        size: int,
        content: Callable[[bytes], bytes],
        deadline: float,
        cap: int,
    ) -> NonBlocking[tuple[int, Sequence[tuple[bytes, bytes]], bytes]]:
        """Status, header fields and body of the answer to a POST, without httpx's objects: they cost as much as sending 100 KB. `prepare` goes before it.

        `fields` hold Host, and the same object of them is looked at once; `size` is the body's. `content` makes the head's bytes and the body one piece,
        so that they leave together.
        """

        def write(sock: socket.socket, proxy: Proxy | None) -> NonBlocking[None]:
            if self._lead[0] is not fields or self._lead[1] is not proxy:
                self._lead = fields, proxy, _head("POST", url, fields, proxy)
            return _send(sock, content(b"%bContent-Length: %d\r\n\r\n" % (self._lead[2], size)), deadline)

        answer, body = yield from self._exchange(deadline, cap, write)
        return answer.status, answer.headers, body

    def ready(self, url: httpx.URL) -> bool:
        """Whether a request to this address can go out at once, over the connection that is there."""
        if url is not self._url:
            self._url, self._target = (
                url,
                (url.scheme, url.raw_host.decode(), url.port or (443 if url.scheme == "https" else 80)),
            )
            self._peer = _authority(*self._target[1:])
        if self._ask_proxy is not None and (given := self._ask_proxy()) != self._given_proxy:
            self._given_proxy = given
            self.close()
        return self._sock is not None and self._origin == self._target and not self._stale(self._sock)

    def prepare(self, url: httpx.URL, deadline: float) -> None:
        """Sees to a connection to this address; where one has to be opened, that blocks."""
        if not self.ready(url):
            self.close()
            self._sock, self._origin = self._connect(self._target, deadline), self._target

    def wait_for(self, steps: NonBlocking[_T]) -> _T:
        """The result of an exchange over this connection; blocks."""
        return _waited(steps, self.fileno)

    def fileno(self) -> int:
        """The connection's file descriptor, -1 where there is none."""
        return -1 if self._sock is None else self._sock.fileno()

    def _exchange(
        self, deadline: float, cap: int, write: Callable[[socket.socket, Proxy | None], NonBlocking[None]]
    ) -> NonBlocking[tuple[_Answer, bytes]]:
        assert self._sock is not None, "prepare goes before it"
        peer = self._peer
        sock, keep = self._sock, False
        try:
            try:
                _left(deadline)  # a short request would leave, and its answer could not be waited for
                yield from write(sock, self._proxy if self._target[0] == "http" else None)
            except OSError as error:
                told = _told(error, "sending to", peer, httpx.WriteTimeout, httpx.WriteError)
                try:
                    if not isinstance(told, httpx.WriteError):
                        raise told from error
                    answer = yield from _last_words(sock, deadline, cap, peer, told)
                finally:
                    del told  # it refers to this frame, and to what was to be sent
            else:
                answer = yield from _read(sock, deadline, cap, peer)
                keep = answer.keep
            body = answer.decoded(cap)
        finally:
            self._used = time.monotonic()
            if not keep:
                self.close()
        return answer, body

    def close(self) -> None:
        """Drops the connection; the next request opens another."""
        if self._sock is not None:
            with suppress(OSError):
                self._sock.close()
            self._sock = None

    def _stale(self, sock: socket.socket) -> bool:
        """Between two requests the peer has nothing to say, so bytes to read mean that it closed, or that it can't be trusted.

        With TLS they wait in the kernel too: a whole record, of 16 KB at most, is taken out by each `recv`.
        """
        if time.monotonic() - self._used > self._kept_s:
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))

    def _connect(self, origin: _Origin, deadline: float) -> socket.socket:
        scheme, host, port = origin
        if scheme not in ("http", "https"):
            msg = f"only http:// and https:// are supported, not {scheme}://"
            raise httpx.UnsupportedProtocol(msg)
        self._proxy = proxy = proxy_for(origin, self._given_proxy)
        if proxy is None:
            with _doing("connecting to", _authority(host, port), httpx.ConnectTimeout, httpx.ConnectError):
                sock = _open(host, port, deadline)
        else:
            with _doing(
                "connecting to the proxy",
                _authority(proxy.host, proxy.port),
                httpx.ConnectTimeout,
                httpx.ProxyError,
            ):
                sock = _open(proxy.host, proxy.port, deadline)
        try:
            if scheme == "https":
                if proxy is not None:
                    _tunnel(sock, proxy, _authority(host, port), deadline)
                with _doing("TLS with", _authority(host, port), httpx.ConnectTimeout, httpx.ConnectError):
                    sock = self._tls.context().wrap_socket(
                        sock, server_hostname=host, do_handshake_on_connect=False
                    )
                    sock.settimeout(_left(deadline))
                    sock.do_handshake()
                    sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock


class _Answer:
    """An answer as it arrives: what httptools calls."""

    def __init__(self, *, tunnel: bool = False) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.headed = self.done = self.keep = False
        self._tunnel = tunnel
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Raises HttpParserError for what is not HTTP; what follows a complete answer only costs the connection."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.done:
                raise
            self.keep = False

    def end(self) -> bool:
        """The peer closed: True when that is how this answer says that it is complete."""
        lengthy = {name.lower() for name, _ in self.headers} & {b"content-length", b"transfer-encoding"}
        return self.headed and not lengthy

    def decoded(self, cap: int) -> bytes:
        """The body, decompressed if the peer compressed it although nobody asked it to.

        Takes Content-Encoding away, lest httpx decode without a cap.
        """
        body = b"".join(self.body)
        coding = (
            b"".join(value for name, value in self.headers if name.lower() == b"content-encoding")
            .strip()
            .lower()
        )
        self.headers = (
            [(n, v) for n, v in self.headers if n.lower() not in (b"content-encoding", b"transfer-encoding")]
            if coding
            else self.headers
        )
        if coding in (b"gzip", b"x-gzip", b"deflate"):
            inflate = zlib.decompressobj(47)
            try:
                body = inflate.decompress(body, cap)
            except zlib.error as error:
                msg = f"the answer's {coding.decode()} can't be read: {error}"
                raise httpx.RemoteProtocolError(msg) from None
            if inflate.unconsumed_tail:
                raise ResponseTooLarge(_too_large(cap))
        return body

    def on_message_begin(self) -> None:
        """Something after the answer: this connection is out of step."""
        if self.done:
            self.keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.done:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self.done:
            self.status = self._parser.get_status_code()
            self.headed = self.status >= 200
            self.done = self.headed and self._tunnel

    def on_body(self, data: bytes) -> None:
        if not self.done:
            self.body.append(data)

    def on_message_complete(self) -> None:
        if self.done:
            return
        if not self.headed:
            self.headers = []
            return
        self.done = True
        self.keep = self._parser.should_keep_alive()


def _read(
    sock: socket.socket, deadline: float, cap: int, peer: str, *, tunnel: bool = False
) -> NonBlocking[_Answer]:
    answer, size = _Answer(tunnel=tunnel), 0
    take = partial(sock.recv, _AT_ONCE)
    try:
        yield select.POLLIN, deadline
        while not answer.done:
            data = yield from _now(take, select.POLLIN, deadline)
            size += len(data)
            if size > cap:
                raise ResponseTooLarge(_too_large(cap))
            if data:
                try:
                    answer.feed(data)
                except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                    msg = f"{peer} answered what is not HTTP/1.1: {type(error).__name__} {error}"
                    raise httpx.RemoteProtocolError(msg) from None
            elif answer.end():
                break
            else:
                msg = f"{peer} closed the connection {'within its answer' if size else 'without an answer'} ({size} bytes came)"
                raise httpx.RemoteProtocolError(msg)
    except OSError as error:
        raise _told(error, "waiting for the answer of", peer, httpx.ReadTimeout, httpx.ReadError) from error
    return answer


def _last_words(
    sock: socket.socket, deadline: float, cap: int, peer: str, error: httpx.WriteError
) -> NonBlocking[_Answer]:
    """A peer that stops reading often answered first (413, 401): that answer is worth more than the reset that follows it."""
    try:
        return (yield from _read(sock, min(deadline, time.monotonic() + 1), cap, peer))
    except httpx.TransportError:
        raise error from None
    finally:
        del error  # it refers to this frame


def _head(method: str, url: httpx.URL, headers: Sequence[tuple[bytes, bytes]], proxy: Proxy | None) -> bytes:
    """The request line and headers, without the empty line behind them; in absolute form, and with its password, for a proxy that is asked to fetch."""
    target, extra = url.raw_path, []
    if proxy is not None:
        target = b"http://" + next(value for name, value in headers if name.lower() == b"host") + target
        extra = [(b"Proxy-Authorization", proxy.authorization)] if proxy.authorization else []
    fields = [*headers, *extra]
    head = b"".join(
        [method.encode(), b" ", target, b" HTTP/1.1\r\n", *(b"%b: %b\r\n" % field for field in fields)]
    )
    if head.count(b"\n") != len(fields) + 1 or head.count(b"\r") != len(fields) + 1 or b"\0" in head:
        msg = "a header of the request holds a line break or a null"
        raise httpx.LocalProtocolError(msg)
    return head


def _write(sock: socket.socket, head: bytes, request: httpx.Request, deadline: float) -> NonBlocking[None]:
    if not isinstance(request.stream, httpx.SyncByteStream):
        msg = "a synchronous transport sends bytes or an iterable of bytes"
        raise httpx.LocalProtocolError(msg)
    chunked = "transfer-encoding" in request.headers
    yield from _send(sock, head, deadline)
    for piece in request.stream:
        if chunked and piece:
            yield from _send(sock, b"%x\r\n" % len(piece), deadline)
        yield from _send(sock, piece, deadline)
        if chunked and piece:
            yield from _send(sock, b"\r\n", deadline)
    if chunked:
        yield from _send(sock, b"0\r\n\r\n", deadline)


def _send(sock: socket.socket, data: bytes, deadline: float) -> NonBlocking[None]:
    """All of it. OpenSSL writes 16 KB at a time, and each leaves at once: to have the kernel collect them (TCP_CORK) costs more CPU than it saves."""
    view, sent = memoryview(data), 0
    while sent < len(view):
        sent += yield from _now(partial(sock.send, view[sent:]), select.POLLOUT, deadline)


def _now(call: Callable[[], _T], event: int, deadline: float) -> NonBlocking[_T]:
    """The result of a call to a socket that does not block, as soon as it has one."""
    while True:
        try:
            return call()
        except tuple(_WAITS) as reason:
            yield _WAITS[type(reason)] or event, deadline


def _waited(steps: NonBlocking[_T], fileno: Callable[[], int]) -> _T:
    """Does the waiting."""
    try:
        need = next(steps)
        while True:
            try:
                _wait(fileno(), *need)
            except Exception as error:
                need = steps.throw(error)
            else:
                need = next(steps)
    except StopIteration as end:
        result: _T = end.value
        return result


def _wait(fileno: int, event: int, deadline: float) -> None:
    """Until something happens on the socket. Raises TimeoutError."""
    poll = select.poll()
    poll.register(fileno, event)
    if not poll.poll(_left(deadline) * 1000 + 1):
        msg = "out of time"
        raise TimeoutError(msg)


def _open(host: str, port: int, deadline: float) -> socket.socket:
    """Tries each address of the name with its share of the time."""
    addresses = _resolve(host, port, deadline)
    failed: OSError = OSError("the name has no address")
    for n, (family, kind, proto, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, proto)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.settimeout(_left(deadline) / (len(addresses) - n))
            sock.connect(address)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock
    raise failed


def _resolve(host: str, port: int, deadline: float) -> _Addresses:
    """Looks a name up in a thread of its own, because the system's resolver takes no time-out."""
    answers: SimpleQueue[_Addresses | OSError | UnicodeError] = SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    Thread(target=look_up, name=f"dns-{host}", daemon=True).start()
    try:
        found = answers.get(timeout=_left(deadline))
    except Empty:
        msg = "the name was not resolved in time"
        raise TimeoutError(msg) from None
    if isinstance(found, UnicodeError):
        msg = "the name is not one that DNS allows"
        raise OSError(msg)
    if isinstance(found, OSError):
        raise found
    return found


def _tunnel(sock: socket.socket, proxy: Proxy, target: str, deadline: float) -> None:
    name = _authority(proxy.host, proxy.port)
    login = b"Proxy-Authorization: " + proxy.authorization + b"\r\n" if proxy.authorization else b""
    with _doing("asking the proxy", name, httpx.ConnectTimeout, httpx.ProxyError):
        _waited(
            _send(
                sock, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode() + login + b"\r\n", deadline
            ),
            sock.fileno,
        )
        try:
            answer = _waited(_read(sock, deadline, 64 << 10, f"the proxy {name}", tunnel=True), sock.fileno)
        except httpx.ReadTimeout as error:
            raise httpx.ConnectTimeout(str(error)) from None
        except httpx.TransportError as error:
            raise httpx.ProxyError(str(error)) from None
    if not 200 <= answer.status < 300:
        hint = ": it wants another user or password" if answer.status == 407 else ""
        msg = f"the proxy {name} refused a tunnel to {target} with status {answer.status}{hint}"
        raise httpx.ProxyError(msg)


_Raised = Callable[[str], httpx.TransportError]


@contextmanager
def _doing(what: str, peer: str, late: _Raised, broken: _Raised) -> Iterator[None]:
    """Turns the system's errors into httpx's, saying what was being done and with whom."""
    try:
        yield
    except OSError as error:
        raise _told(error, what, peer, late, broken) from error


def _told(error: OSError, what: str, peer: str, late: _Raised, broken: _Raised) -> httpx.TransportError:
    """The system's error as httpx's."""
    if isinstance(error, TimeoutError):
        return late(f"{what} {peer}: {error.args[-1] if error.args and error.args[-1] else 'out of time'}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return broken(f"{what} {peer}: its certificate is not trusted: {error.verify_message}")
    return broken(
        f"{what} {peer}: {error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    )


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        msg = "out of time"
        raise TimeoutError(msg)
    return left


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _too_large(cap: int) -> str:
    return f"the answer is larger than {cap} bytes"
