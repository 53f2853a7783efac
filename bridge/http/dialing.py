"""Opens a connection: the name's addresses, TCP, the proxy's tunnel, TLS, all within one deadline. Blocks."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

import httpx

from bridge.http.errors import translate_os_errors
from bridge.http.non_blocking import run_blocking, send_all, time_left
from bridge.http.origin import Origin
from bridge.http.proxy import Proxy
from bridge.http.response_parser import read_response
from bridge.http.tls import Tls

_MAX_TUNNEL_RESPONSE_BYTES: Final = 64 << 10
_Addresses = Sequence[tuple[int, int, int, str, tuple[str | int | bytes, ...]]]


def dial(origin: Origin, proxy: Proxy | None, tls: Tls, deadline: float) -> socket.socket:
    """Return a socket that is connected and does not block.

    Raises httpx's ConnectTimeout, ConnectError (DNS, refused, TLS), ProxyError, UnsupportedProtocol, none
    of which shows a password.
    """
    if origin.scheme not in ("http", "https"):
        msg = f"only http:// and https:// are supported, not {origin.scheme}://"
        raise httpx.UnsupportedProtocol(msg)
    sock = _connect(origin, proxy, deadline)
    try:
        if origin.scheme == "https":
            if proxy is not None:
                _open_tunnel(sock, proxy, origin.authority, deadline)
            return _start_tls(sock, origin, tls, deadline)
    except BaseException:
        sock.close()
        raise
    return sock


def _connect(origin: Origin, proxy: Proxy | None, deadline: float) -> socket.socket:
    """Connect to the proxy where there is one, to the origin itself otherwise."""
    if proxy is None:
        with translate_os_errors("connecting to", origin.authority, httpx.ConnectTimeout, httpx.ConnectError):
            return _connect_tcp(origin.host, origin.port, deadline)
    with translate_os_errors(
        "connecting to the proxy", proxy.authority, httpx.ConnectTimeout, httpx.ProxyError
    ):
        return _connect_tcp(proxy.host, proxy.port, deadline)


def _connect_tcp(host: str, port: int, deadline: float) -> socket.socket:
    """Try the name's addresses in turn, each with its share of the time that is left."""
    addresses = _resolve(host, port, deadline)
    last_error: OSError = OSError("the name has no address")
    for n, (family, kind, proto, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, proto)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.settimeout(time_left(deadline) / (len(addresses) - n))
            sock.connect(address)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            last_error = error
        else:
            return sock
    raise last_error


def _resolve(host: str, port: int, deadline: float) -> _Addresses:
    """Look a name up, in a thread of its own because the system's resolver takes no time-out."""
    results: SimpleQueue[_Addresses | OSError | UnicodeError] = SimpleQueue()

    def look_up() -> None:
        try:
            results.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            results.put(error)

    Thread(target=look_up, name=f"dns-{host}", daemon=True).start()
    try:
        result = results.get(timeout=time_left(deadline))
    except Empty:
        msg = "the name was not resolved in time"
        raise TimeoutError(msg) from None
    if isinstance(result, UnicodeError):
        msg = "the name is not one that DNS allows"
        raise OSError(msg)
    if isinstance(result, OSError):
        raise result
    return result


def _open_tunnel(sock: socket.socket, proxy: Proxy, target: str, deadline: float) -> None:
    """Ask the proxy for a tunnel to `target` (CONNECT)."""
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode()
    if proxy.authorization:
        head += b"Proxy-Authorization: " + proxy.authorization + b"\r\n"
    with translate_os_errors("asking the proxy", proxy.authority, httpx.ConnectTimeout, httpx.ProxyError):
        run_blocking(send_all(sock, head + b"\r\n", deadline), sock.fileno)
        try:
            peer = f"the proxy {proxy.authority}"
            steps = read_response(sock, deadline, _MAX_TUNNEL_RESPONSE_BYTES, peer, opens_tunnel=True)
            response = run_blocking(steps, sock.fileno)
        except httpx.ReadTimeout as error:
            raise httpx.ConnectTimeout(str(error)) from None
        except httpx.TransportError as error:
            raise httpx.ProxyError(str(error)) from None
    if not 200 <= response.status < 300:
        reason = ": it wants another user or password" if response.status == 407 else ""
        msg = (
            f"the proxy {proxy.authority} refused a tunnel to {target} with status {response.status}{reason}"
        )
        raise httpx.ProxyError(msg)


def _start_tls(sock: socket.socket, origin: Origin, tls: Tls, deadline: float) -> socket.socket:
    with translate_os_errors("TLS with", origin.authority, httpx.ConnectTimeout, httpx.ConnectError):
        secure = tls.context().wrap_socket(sock, server_hostname=origin.host, do_handshake_on_connect=False)
        try:
            secure.settimeout(time_left(deadline))
            secure.do_handshake()
            secure.setblocking(False)
        except BaseException:
            secure.close()
            raise
    return secure
