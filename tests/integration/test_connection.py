"""The kept connection: what it sends, when it is used again, and its deadline."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trustme

from bridge.http.connection import HttpConnection
from bridge.http.tls import Tls
from tests.support.clients import until
from tests.support.rawserver import RESPONSE_207, Peer, RawServer, Request, always, once, response
from tests.support.requests import LONG_S, post

SHORT_S = 0.4
CHUNKS = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"


def wait_for_the_peer(connection: HttpConnection, url: str) -> None:
    """Wait until the peer's next bytes, or its close, have arrived: the connection can't be used again."""
    until(lambda: not connection.is_open_to(httpx.URL(url)), LONG_S)


def test_a_connection_is_kept() -> None:
    """Many requests use one connection, and each response is whole."""
    with RawServer(always(response(207, RESPONSE_207, "X-Request-Id: 7"))) as server:
        connection = HttpConnection(proxy="")
        responses = [post(connection, server.url, b"x" * 900_000) for _ in range(5)]

        assert [(each.status_code, each.content) for each in responses] == [(207, RESPONSE_207)] * 5
        assert [each.headers["x-request-id"] for each in responses] == ["7"] * 5
        assert server.connections == 1


def test_a_redirect_is_a_response() -> None:
    """A 3xx comes back as it is; nothing is sent to its Location, which may be anybody's."""
    with RawServer(always(response(302, b"", "Location: http://localhost:1/"))) as server:
        assert post(HttpConnection(proxy=""), server.url).status_code == 302
        assert server.connections == 1


@pytest.mark.parametrize(
    "script",
    [
        once(lambda peer: peer.drip(b"HTTP/1.1 207 Multi\r\n" + b"X: y\r\n" * 9999)),
        once(lambda peer: peer.drip(response(207, b" " * 9999))),
        once(lambda peer: peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 9999, 0.01)),
        once(lambda peer: peer.stopped.wait(LONG_S)),
        lambda peer: peer.stopped.wait(LONG_S),
    ],
    ids=["dripping head", "dripping body", "endless 100", "silence", "never reads"],
)
def test_the_deadline_holds_for_the_whole_request(script: Callable[[Peer], object]) -> None:
    """However slowly the peer reads or responds, the request ends at its deadline."""
    with RawServer(script) as server:
        began = time.monotonic()
        with pytest.raises(httpx.TimeoutException, match=f"localhost:{server.port}"):
            post(HttpConnection(proxy=""), server.url, b"x" * 50_000_000, SHORT_S)

        assert SHORT_S * 0.9 < time.monotonic() - began < SHORT_S + 1.0


def test_a_connection_that_the_peer_closed_is_not_used_again() -> None:
    """The end is noticed before anything is sent, so that the request succeeds over a new connection."""
    with RawServer(once(lambda peer: peer.send(response()))) as server:
        connection = HttpConnection(proxy="")
        for _ in range(3):
            assert post(connection, server.url).status_code == 207
            wait_for_the_peer(connection, server.url)

        assert server.connections == 3


@pytest.mark.parametrize("apart", [True, False], ids=["two records", "one record"])
def test_a_surplus_response_is_never_taken_for_the_next_one(tmp_path: Path, *, apart: bool) -> None:
    """However it lies in TLS's records, a second response to a first request only costs the connection."""
    authority, surplus = trustme.CA(), response(200, b"surplus")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def script(peer: Peer) -> None:
        while peer.request():
            for data in (response(), surplus) if apart else (response() + surplus,):
                peer.send(data)

    with RawServer(script, context) as server:
        connection = HttpConnection(tls=Tls(str(tmp_path / "ca.pem")), proxy="")
        for number in range(1, 4):
            assert post(connection, server.url, b"x" * 900_000).content == RESPONSE_207
            assert server.connections == number
            wait_for_the_peer(connection, server.url)


def test_a_request_whose_time_is_up_does_not_leave() -> None:
    """A short one would be accepted by AEP, and nobody would wait for the response."""
    requests: list[Request] = []
    with RawServer(always(response(), requests)) as server:
        connection = HttpConnection(proxy="")
        post(connection, server.url)
        with pytest.raises(httpx.WriteTimeout, match="out of time"):
            post(connection, server.url, timeout_s=-1)
        post(connection, server.url)

        assert len(requests) == 2


def test_a_long_idle_connection_is_not_used_again() -> None:
    """After `keep_alive_s` the connection is replaced although it looks alive."""
    with RawServer(always(response())) as server:
        connection = HttpConnection(proxy="", keep_alive_s=-1)
        post(connection, server.url)
        post(connection, server.url)

        assert server.connections == 2


def test_nothing_is_sent_twice() -> None:
    """A kept connection that breaks within a request is an error, not a second request."""
    request_lines: list[str] = []

    def script(peer: Peer) -> None:
        while request := peer.request():
            request_lines.append(request.line)
            if len(request_lines) == 2:
                return
            peer.send(response())

    with RawServer(script) as server:
        connection = HttpConnection(proxy="")
        post(connection, server.url)
        with pytest.raises(httpx.RemoteProtocolError, match="without a response"):
            post(connection, server.url)

        assert len(request_lines) == 2


def test_a_response_that_comes_before_the_body_was_read_counts() -> None:
    """A gateway may answer 413 and close; the status comes out, not the reset that follows it."""

    def script(peer: Peer) -> None:
        peer.sock.recv(10)
        peer.send(response(413, b""))

    with RawServer(script) as server:
        try:
            status = post(HttpConnection(proxy=""), server.url, b"x" * 20_000_000).status_code
        except httpx.NetworkError:
            pytest.skip("this kernel dropped the response with the reset")

        assert status == 413


def test_a_header_can_not_smuggle_another() -> None:
    """A line break in a configured header is refused, and the text does not repeat the header."""
    with RawServer(always(response())) as server:
        request = httpx.Request("POST", server.url, headers={"X-Key": "hidden\r\nX: y"}, content=b"")
        with pytest.raises(httpx.LocalProtocolError) as caught:
            HttpConnection(proxy="").handle_request(request)

        assert "hidden" not in str(caught.value)


def test_an_iterable_is_sent_in_chunks() -> None:
    """Content of unknown length goes out chunked, and an empty piece does not end it."""
    bodies: list[bytes] = []

    def script(peer: Peer) -> None:
        request = peer.request()
        assert request is not None
        assert request.headers["transfer-encoding"] == "chunked"
        bodies.append(peer.read(len(CHUNKS)))
        peer.send(response())

    with RawServer(script) as server:
        request = httpx.Request("POST", server.url, content=iter([b"ab", b"", b"c"]))
        HttpConnection(proxy="").handle_request(request)

        assert bodies == [CHUNKS]
