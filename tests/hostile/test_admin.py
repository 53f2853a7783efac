"""The admin port and clients that mean harm: nothing changes without the token, and requests are bounded."""

from __future__ import annotations

import json
import logging
import selectors
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bridge.ops import admin_connections as connections
from bridge.ops.admin_app import MAX_BODY, AdminOperations
from bridge.ops.admin_connections import MAX_CONNECTIONS
from bridge.ops.admin_server import AdminServer
from bridge.ops.safe_headers import SAFE_HEADERS
from tests.support.clients import until

TOKEN = "open-sesame-7c1d"
BEARER = {"authorization": f"Bearer {TOKEN}"}
ORDER = {"topic": "t", "partition": 0, "offset": 1, "who": "ada", "why": "ticket"}
READ_PATHS = ("/livez", "/readyz", "/metrics", "/api/status")


class AdminPort:
    """An admin port that notes the skip orders."""

    def __init__(self, skip: Callable[..., Future[str]] | None = None) -> None:
        self.orders: list[tuple[object, ...]] = []
        operations = AdminOperations(
            CollectorRegistry(),
            lambda: None,
            lambda: None,
            lambda: {"fine": True},
            token=lambda: TOKEN,
            skip=skip or self._skip,
        )
        self.admin = AdminServer(operations, "127.0.0.1", 0)

    def _skip(self, *order: object) -> Future[str]:
        self.orders.append(order)
        done: Future[str] = Future()
        done.set_result("moved to t.dlq")
        return done

    def request(self, method: str, path: str, **options: object) -> httpx.Response:
        url = f"http://127.0.0.1:{self.admin.port}{path}"
        # There is no TLS here, and loading authorities takes time.
        return httpx.request(method, url, timeout=10, verify=False, **options)

    def skip_status(self, headers: object = BEARER, **body: object) -> int:
        """Send a skip order, and return the response's status."""
        return self.request("POST", "/api/skip", headers=headers, **body).status_code

    def send_raw(self, data: bytes) -> bytes:
        """Send bytes, and return what comes back until the port closes or is quiet."""
        with socket.create_connection(("127.0.0.1", self.admin.port), 5) as sock:
            sock.settimeout(1)
            received = b""
            with suppress(OSError):
                sock.sendall(data)
                while part := sock.recv(65536):
                    received += part
            return received


@pytest.fixture(scope="module")
def port() -> Iterator[AdminPort]:
    """Give one admin port for all tests."""
    running = AdminPort()
    running.admin.start()
    yield running
    running.admin.stop()


@pytest.fixture
def slow_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[AdminPort, Future[str]]]:
    """Give an admin port whose bridge does not carry out the order in time, and the order's future."""
    monkeypatch.setattr("bridge.ops.admin_app.SKIP_TIMEOUT_S", 0.2)
    order: Future[str] = Future()
    running = AdminPort(lambda *_: order)
    running.admin.start()
    yield running, order
    running.admin.stop()


def test_a_202_does_not_take_the_order_back(slow_port: tuple[AdminPort, Future[str]]) -> None:
    """202 says that the record moves later, so the order must stand."""
    port, order = slow_port

    assert port.skip_status(json=ORDER) == 202
    assert not order.done()


def test_an_order_that_no_header_can_hold_is_refused(port: AdminPort) -> None:
    """Half of a surrogate pair is valid JSON and no text."""
    before = len(port.orders)
    for field in ("who", "why", "topic"):
        assert port.skip_status(content=json.dumps({**ORDER, field: "\ud800"})) == 400

    assert len(port.orders) == before


def test_nothing_changes_without_the_token(port: AdminPort) -> None:
    """No token, a wrong one, a part of it and one in the wrong place get 401, and there is no order."""
    before = len(port.orders)
    for headers in (
        {},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": "Bearer"},
        {"authorization": "Basic x"},
        {"x-token": TOKEN},
        {"cookie": TOKEN},
    ):
        assert port.skip_status(headers, json=ORDER) == 401
    assert port.request("POST", f"/api/skip?token={TOKEN}", json=ORDER).status_code == 401
    assert len(port.orders) == before
    assert port.skip_status(json=ORDER) == 200
    assert len(port.orders) == before + 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_everything_else_is_read_only(port: AdminPort, method: str) -> None:
    """Methods that write are refused, even with the token."""
    for path in READ_PATHS:
        assert port.request(method, path, headers=BEARER).status_code in {404, 405}
    assert port.request("GET", "/api/skip", headers=BEARER).status_code in {404, 405}


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/static/..%2f..%2fetc/passwd",
        "/api/status/../../etc/passwd",
        "/\\..\\etc",
    ],
)
def test_no_path_leads_out_of_the_port(port: AdminPort, path: str) -> None:
    """The paths go out raw, as no client would send them."""
    received = port.send_raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    assert b"root:" not in received
    assert received.split(b" ")[1] in {b"404", b"400"}


def test_every_response_has_safe_headers(port: AdminPort) -> None:
    """Refusals and responses for unknown paths have them too."""
    responses = [port.request("GET", path) for path in (*READ_PATHS, "/", "/nowhere")]
    responses.append(port.request("POST", "/api/skip"))
    responses.append(port.request("POST", "/api/skip", content=b"x" * (MAX_BODY + 1)))
    for response in responses:
        assert SAFE_HEADERS.items() <= dict(response.headers).items(), response.request.url
        assert "server" not in response.headers


def test_requests_are_bounded(port: AdminPort) -> None:
    """A long body is refused by its length, and a chunked one is not read to its end.

    Nonsense and endless headers end the connection.
    """
    before = len(port.orders)

    assert port.skip_status(content=b"x" * 1_000_000) == 413
    with suppress(httpx.HTTPError):
        assert port.skip_status(content=(b" " * 1000 for _ in range(100))) == 413
    for data in (
        b"\x00" * 5000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000,
        b"GET /" + b"a" * 1_000_000,
        b"POST /api/skip HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ):
        assert len(port.send_raw(data)) < 10_000
    for body in (
        b"",
        b"[]",
        b"null",
        b'{"topic":1}',
        json.dumps({**ORDER, "partition": "x"}).encode(),
        b"[" * 8000,
        b"\xff",
        json.dumps({**ORDER, "who": ""}).encode(),
    ):
        assert port.skip_status(content=body) == 400, body[:30]
    assert len(port.orders) == before
    assert port.request("GET", "/livez").status_code == 200


SKIP_HEAD = f"POST /api/skip HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
HALF_HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "
HALF_BODY = SKIP_HEAD + b"Content-Length: 100\r\n\r\n{"
HALF_CHUNK = SKIP_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12"
WHOLE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def count_closed(sockets: Sequence[socket.socket]) -> int:
    """Return how many of these connections the port has ended by now."""
    count = 0
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            selector.register(sock, selectors.EVENT_READ)
        for key, _ in selector.select(0):
            with suppress(BlockingIOError):
                try:
                    while data := key.fileobj.recv(65536):
                        assert data
                    count += 1
                except ConnectionError:
                    count += 1
    return count


def open_connections(stack: ExitStack, port: AdminPort, count: int, data: bytes) -> list[socket.socket]:
    """Open so many connections, send this on each, and do nothing more."""
    sockets = []
    for _ in range(count):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port.admin.port), 10))
        with suppress(ConnectionError):
            sock.sendall(data)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


def count_in_kernel(port: AdminPort) -> int:
    """Return how many connections the port holds by the kernel: established, or closed by the client only."""
    local = f"0100007F:{port.admin.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1] == local and row[3] in {"01", "08"} for row in rows)


@pytest.mark.parametrize(
    "data",
    [HALF_HEAD + b"x" * 15_000, HALF_BODY, b"", WHOLE],
    ids=["half a head", "half a body", "nothing", "idle"],
)
def test_probes_are_answered_while_strangers_hold_connections(
    port: AdminPort, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 connections have sent half a request or none: each probe gets its 200 all the same.

    The port holds no more connections than it is meant to.
    """
    monkeypatch.setattr(connections, "REQUEST_S", 60)  # the deadline is not what makes room
    with ExitStack() as stack:
        sockets = open_connections(stack, port, 150, data)
        for path in ("/livez", "/readyz"):
            assert port.request("GET", path).status_code == 200
        sockets += open_connections(stack, port, 150, data)
        for path in ("/livez", "/readyz", "/metrics") * 3:
            response = port.request("GET", path)
            assert response.status_code == 200
            assert SAFE_HEADERS.items() <= dict(response.headers).items()

        surplus = 300 - MAX_CONNECTIONS
        until(lambda: count_in_kernel(port) <= MAX_CONNECTIONS, 10, "more connections are held than may be")
        until(lambda: count_closed(sockets[:surplus]) == surplus, 10, "the oldest did not make room")


@pytest.mark.parametrize(
    "data", [b"", HALF_HEAD, HALF_BODY, HALF_CHUNK, WHOLE + HALF_HEAD, WHOLE, WHOLE + WHOLE + HALF_HEAD]
)
def test_an_incomplete_request_is_closed_at_the_deadline(
    port: AdminPort, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a head, half a body, half a second request, and nothing: all end, even if more bytes come."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    monkeypatch.setattr(connections, "IDLE_S", 0.3)
    with ExitStack() as stack:
        (sock,) = open_connections(stack, port, 1, data)

        def ended() -> bool:
            with suppress(BlockingIOError):
                try:
                    if data:
                        sock.send(b"x")
                    return sock.recv(65536) == b""
                except ConnectionError:
                    return True
            return False

        until(ended, 4, "the connection is still there")


def test_a_slow_second_request_is_closed(port: AdminPort, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may be idle for long after a response, but its next request has the usual time only."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    with socket.create_connection(("127.0.0.1", port.admin.port), 10) as sock:
        sock.sendall(WHOLE)
        received = b""
        while not received.endswith(b"ok"):
            received += sock.recv(65536)
        sock.sendall(HALF_HEAD)

        assert sock.recv(65536) == b""


def test_a_client_that_does_not_read_is_closed(port: AdminPort, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response that nobody reads is not kept for ever, nor are the further requests of such a client."""
    monkeypatch.setattr(connections, "IDLE_S", 0.3)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        sock.connect(("127.0.0.1", port.admin.port))
        sock.setblocking(False)
        page = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

        def ended() -> bool:
            try:
                sock.send(page)
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            return False

        until(ended, 10, "the connection is still there")


def test_nonsense_is_refused_with_safe_headers_and_without_a_line_in_the_log(
    port: AdminPort, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets 400, or the end of the connection, and no traceback.

    The nonsense is no request, a head that is too long, a bad chunk, half a body, and a length of a thousand
    digits.
    """
    with caplog.at_level(logging.WARNING):
        for data in (
            b"\x00\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000,
            WHOLE.replace(b"Host", b"H ost"),
        ):
            head = port.send_raw(data).decode()
            missing = [name for name, value in SAFE_HEADERS.items() if f"{name}: {value}\r\n" not in head]
            assert head.startswith("HTTP/1.1 400 "), data[:20]
            assert missing == []
        port.send_raw(HALF_CHUNK + b"\r\nzz\r\n\r\n")
        port.send_raw(HALF_BODY)
        port.send_raw(HALF_BODY.replace(b"100", b"1" * 5000))
        assert port.request("GET", "/livez").status_code == 200

    assert caplog.records == []
