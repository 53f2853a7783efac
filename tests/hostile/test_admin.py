"""The admin port and those who mean no good: nothing changes without the token, nothing outside is served, requests are bounded, headers are safe."""

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
from bridge.ops.admin import MAX_BODY, Admin, View
from bridge.ops.admin_connections import MAX_CONNECTIONS, SAFE_HEADERS
from tests.support.clients import until

TOKEN = "open-sesame-7c1d"
ORDER = {"topic": "t", "partition": 0, "offset": 1, "who": "ada", "why": "ticket"}
PATHS = ("/livez", "/readyz", "/metrics", "/api/status")


class Desk:
    """An admin port whose orders are noted."""

    def __init__(self, skip: Callable[..., Future[str]] | None = None) -> None:
        self.orders: list[tuple[object, ...]] = []
        view = View(
            CollectorRegistry(),
            lambda: None,
            lambda: None,
            lambda: {"fine": True},
            token=lambda: TOKEN,
            skip=skip or self._skip,
        )
        self.admin = Admin(view, "127.0.0.1", 0)

    def _skip(self, *order: object) -> Future[str]:
        self.orders.append(order)
        done: Future[str] = Future()
        done.set_result("moved to t.dlq")
        return done

    def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        return httpx.request(
            method, f"http://127.0.0.1:{self.admin.port}{path}", timeout=10, verify=False, **more
        )  # no TLS here, and no authorities to load

    def raw(self, data: bytes) -> bytes:
        """What comes back for raw bytes, until the port closes or is quiet."""
        with socket.create_connection(("127.0.0.1", self.admin.port), 5) as sock:
            sock.settimeout(1)
            found = b""
            with suppress(OSError):
                sock.sendall(data)
                while part := sock.recv(65536):
                    found += part
            return found


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """One for all tests."""
    running = Desk()
    running.admin.start()
    yield running
    running.admin.stop()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Desk, Future[str]]]:
    """One whose bridge does not get to the order in time."""
    monkeypatch.setattr("bridge.ops.admin.SKIP_TIMEOUT_S", 0.2)
    order: Future[str] = Future()
    running = Desk(lambda *_: order)
    running.admin.start()
    yield running, order
    running.admin.stop()


def test_an_order_stands_when_its_giver_is_told_to_wait_no_longer(patient: tuple[Desk, Future[str]]) -> None:
    """202 says that the record moves later: so the order must not be taken back."""
    desk, order = patient

    assert (
        desk.ask("POST", "/api/skip", json=ORDER, headers={"authorization": f"Bearer {TOKEN}"}).status_code
        == 202
    )
    assert not order.done()


def test_an_order_that_no_header_can_hold_is_refused(desk: Desk) -> None:
    """Half a surrogate pair is JSON, and no text."""
    before = len(desk.orders)
    for field in ("who", "why", "topic"):
        order = json.dumps({**ORDER, field: "\ud800"})
        assert (
            desk.ask(
                "POST", "/api/skip", content=order, headers={"authorization": f"Bearer {TOKEN}"}
            ).status_code
            == 400
        )

    assert len(desk.orders) == before


def test_nothing_changes_without_the_token(desk: Desk) -> None:
    """No token, a wrong one, half of it, in the wrong place: 401, and no order."""
    for headers in (
        {},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": "Bearer"},
        {"authorization": "Basic x"},
        {"x-token": TOKEN},
        {"cookie": TOKEN},
    ):
        assert desk.ask("POST", "/api/skip", json=ORDER, headers=headers).status_code == 401
    assert desk.ask("POST", f"/api/skip?token={TOKEN}", json=ORDER).status_code == 401
    assert desk.orders == []
    assert (
        desk.ask("POST", "/api/skip", json=ORDER, headers={"authorization": f"Bearer {TOKEN}"}).status_code
        == 200
    )
    assert len(desk.orders) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_everything_else_is_read_only(desk: Desk, method: str) -> None:
    """Writing methods are refused, with the token too."""
    for path in PATHS:
        assert desk.ask(method, path, headers={"authorization": f"Bearer {TOKEN}"}).status_code in {404, 405}
    assert desk.ask("GET", "/api/skip", headers={"authorization": f"Bearer {TOKEN}"}).status_code in {
        404,
        405,
    }


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
def test_no_path_leads_out(desk: Desk, path: str) -> None:
    """Raw paths, as no client would send them."""
    found = desk.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    assert b"root:" not in found
    assert found.split(b" ")[1] in {b"404", b"400"}


def test_every_answer_has_safe_headers(desk: Desk) -> None:
    """Refusals and unknown paths too."""
    answers = [desk.ask("GET", path) for path in (*PATHS, "/", "/nowhere")]
    answers += [desk.ask("POST", "/api/skip"), desk.ask("POST", "/api/skip", content=b"x" * (MAX_BODY + 1))]
    for each in answers:
        assert SAFE_HEADERS.items() <= dict(each.headers).items(), each.request.url
        assert "server" not in each.headers


def test_requests_are_bounded(desk: Desk) -> None:
    """A body too long is refused by its length, and a chunked one is not read to its end; nonsense and endless heads end the connection."""
    good = {"authorization": f"Bearer {TOKEN}"}
    before = len(desk.orders)

    assert desk.ask("POST", "/api/skip", content=b"x" * 1_000_000, headers=good).status_code == 413
    with suppress(httpx.HTTPError):
        assert (
            desk.ask("POST", "/api/skip", content=(b" " * 1000 for _ in range(100)), headers=good).status_code
            == 413
        )
    for data in (
        b"\x00" * 5000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000,
        b"GET /" + b"a" * 1_000_000,
        b"POST /api/skip HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ):
        assert len(desk.raw(data)) < 10_000
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
        assert desk.ask("POST", "/api/skip", content=body, headers=good).status_code == 400, body[:30]
    assert len(desk.orders) == before
    assert desk.ask("GET", "/livez").status_code == 200


HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = f"POST /api/skip HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n{{".encode()
CHUNKED = f"POST /api/skip HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12".encode()
WHOLE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def closed(held: Sequence[socket.socket]) -> int:
    """How many of these connections the port has ended by now."""
    count = 0
    with selectors.DefaultSelector() as selector:
        for each in held:
            selector.register(each, selectors.EVENT_READ)
        for key, _ in selector.select(0):
            with suppress(BlockingIOError):
                try:
                    while data := key.fileobj.recv(65536):
                        assert data
                    count += 1
                except ConnectionError:
                    count += 1
    return count


def hold(stack: ExitStack, desk: Desk, count: int, data: bytes) -> list[socket.socket]:
    """So many connections that have sent this, and do nothing more."""
    held = []
    for _ in range(count):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", desk.admin.port), 10))
        with suppress(ConnectionError):
            sock.sendall(data)
        sock.setblocking(False)
        held.append(sock)
    return held


def open_here(desk: Desk) -> int:
    """Connections that the port holds, in the kernel's own count: established, or closed by the client alone."""
    local = f"0100007F:{desk.admin.port:04X}"
    return sum(
        line.split()[1] == local and line.split()[3] in {"01", "08"}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    )


@pytest.mark.parametrize(
    "data", [HEAD + b"x" * 15_000, BODY, b"", WHOLE], ids=["half a head", "half a body", "nothing", "idle"]
)
def test_probes_are_answered_while_strangers_hold_connections(
    desk: Desk, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 of them, with half a request or none: each probe has its 200, and no more connections are held than the port is meant to have."""
    monkeypatch.setattr(connections, "REQUEST_S", 60)  # the deadline is not what makes room
    with ExitStack() as stack:
        held = hold(stack, desk, 150, data)
        for path in ("/livez", "/readyz"):
            assert desk.ask("GET", path).status_code == 200
        held += hold(stack, desk, 150, data)
        for path in ("/livez", "/readyz", "/metrics") * 3:
            answer = desk.ask("GET", path)
            assert answer.status_code == 200
            assert SAFE_HEADERS.items() <= dict(answer.headers).items()

        until(lambda: open_here(desk) <= MAX_CONNECTIONS, 10, "more connections are held than may be")
        until(
            lambda: closed(held[: 300 - MAX_CONNECTIONS]) == 300 - MAX_CONNECTIONS,
            10,
            "the oldest did not make room",
        )


@pytest.mark.parametrize("data", [b"", HEAD, BODY, CHUNKED, WHOLE + HEAD, WHOLE, WHOLE + WHOLE + HEAD])
def test_what_is_not_completed_is_closed(desk: Desk, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a head, half a body, half a second request, and nothing: ended at the deadline, however often another byte comes."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    monkeypatch.setattr(connections, "IDLE_S", 0.3)
    with ExitStack() as stack:
        (sock,) = hold(stack, desk, 1, data)

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


def test_a_slow_second_request_is_closed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that has had an answer, and may be idle for long, has no longer for a request than any other."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    with socket.create_connection(("127.0.0.1", desk.admin.port), 10) as sock:
        sock.sendall(WHOLE)
        found = b""
        while not found.endswith(b"ok"):
            found += sock.recv(65536)
        sock.sendall(HEAD)

        assert sock.recv(65536) == b""


def test_a_client_that_does_not_read_is_closed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that nobody takes is not kept for ever, and neither are the requests that such a client goes on sending."""
    monkeypatch.setattr(connections, "IDLE_S", 0.3)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        sock.connect(("127.0.0.1", desk.admin.port))
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
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that is none, too long a head, a chunk that is none, a body cut off, a length of a thousand digits: 400 or the end, and no traceback."""
    with caplog.at_level(logging.WARNING):
        for data in (
            b"\x00\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000,
            WHOLE.replace(b"Host", b"H ost"),
        ):
            head = desk.raw(data).decode()
            assert head.startswith("HTTP/1.1 400 "), data[:20]
            assert [name for name, value in SAFE_HEADERS.items() if f"{name}: {value}\r\n" not in head] == []
        desk.raw(CHUNKED + b"\r\nzz\r\n\r\n")
        desk.raw(BODY)
        desk.raw(BODY.replace(b"100", b"1" * 5000))
        assert desk.ask("GET", "/livez").status_code == 200

    assert caplog.records == []
