"""The admin port and those who mean no good: nothing changes without the token, nothing outside is served, requests are bounded, headers are safe."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bridge.admin import MAX_BODY, SAFE_HEADERS, Admin, View

TOKEN = "open-sesame-7c1d"
ORDER = {"topic": "t", "partition": 0, "offset": 1, "who": "ada", "why": "ticket"}
PATHS = ("/livez", "/readyz", "/metrics", "/api/status")


class Desk:
    """An admin port whose orders are noted."""

    def __init__(self) -> None:
        self.orders: list[tuple[object, ...]] = []
        self.admin = Admin(View(CollectorRegistry(), lambda: None, lambda: None, lambda: {"fine": True}, token=lambda: TOKEN, skip=self._skip), "127.0.0.1", 0)

    def _skip(self, *order: object) -> Future[str]:
        self.orders.append(order)
        done: Future[str] = Future()
        done.set_result("moved to t.dlq")
        return done

    def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        return httpx.request(method, f"http://127.0.0.1:{self.admin.port}{path}", timeout=10, **more)  # type: ignore[arg-type]

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
        assert 401 == desk.ask("POST", "/api/skip", json=ORDER, headers=headers).status_code
    assert 401 == desk.ask("POST", f"/api/skip?token={TOKEN}", json=ORDER).status_code
    assert [] == desk.orders
    assert 200 == desk.ask("POST", "/api/skip", json=ORDER, headers={"authorization": f"Bearer {TOKEN}"}).status_code
    assert 1 == len(desk.orders)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_everything_else_is_read_only(desk: Desk, method: str) -> None:
    """Writing methods are refused, with the token too."""
    for path in PATHS:
        assert desk.ask(method, path, headers={"authorization": f"Bearer {TOKEN}"}).status_code in {404, 405}
    assert desk.ask("GET", "/api/skip", headers={"authorization": f"Bearer {TOKEN}"}).status_code in {404, 405}


@pytest.mark.parametrize(
    "path",
    ["/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/static/..%2f..%2fetc/passwd", "/api/status/../../etc/passwd", "/\\..\\etc"],
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

    assert 413 == desk.ask("POST", "/api/skip", content=b"x" * 1_000_000, headers=good).status_code
    with suppress(httpx.HTTPError):
        assert 400 <= desk.ask("POST", "/api/skip", content=(b" " * 1000 for _ in range(100)), headers=good).status_code
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
        assert 400 == desk.ask("POST", "/api/skip", content=body, headers=good).status_code, body[:30]
    assert before == len(desk.orders)
    assert 200 == desk.ask("GET", "/livez").status_code
