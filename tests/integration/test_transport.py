"""The transport against sockets that answer badly."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

import httpx
import pytest

from bridge.http.connection import HttpConnection
from bridge.http.errors import ResponseTooLarge
from tests.support.rawserver import RESPONSE_207, Peer, RawServer, response

LONG = 10.0
SHORT = 0.4
CHUNKS = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"


def post(
    transport: HttpConnection, url: str, content: bytes = b"{}", timeout_s: float = LONG, cap: int = 1 << 20
) -> httpx.Response:
    return transport.handle_request(
        httpx.Request(
            "POST",
            url,
            content=content,
            extensions={"deadline": time.monotonic() + timeout_s, "max_response_bytes": cap},
        )
    )


def always(data: bytes) -> Callable[[Peer], object]:
    """A script that answers each request so, and keeps the connection."""

    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(data)

    return script


def once(act: Callable[[Peer], object]) -> Callable[[Peer], object]:
    def script(peer: Peer) -> None:
        peer.request()
        act(peer)

    return script


def test_a_connection_is_kept() -> None:
    """Many requests of one transport use one connection, and each answer is whole."""
    with RawServer(always(response(207, RESPONSE_207, "X-Request-Id: 7"))) as server:
        transport = HttpConnection(proxy="")
        answers = [post(transport, server.url, b"x" * 900_000) for _ in range(5)]

        assert [(207, RESPONSE_207, "7")] * 5 == [
            (a.status_code, a.content, a.headers["x-request-id"]) for a in answers
        ]
        assert server.connections == 1


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + response(),
        b'HTTP/1.1 207 Multi\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"res\r\nb\r\nponses":[]}\r\n0\r\n\r\n',
        b"HTTP/1.1 207 Multi\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(gzip.compress(RESPONSE_207)), gzip.compress(RESPONSE_207)),
        response() + b"and something nobody asked for",
        response() + response(),
    ],
    ids=["100 first", "chunked", "gzip", "surplus", "two answers"],
)
def test_odd_but_whole_answers_are_understood(data: bytes) -> None:
    """The body comes out the same, however it was framed, and the next request is not answered with leftovers."""
    with RawServer(always(data)) as server:
        transport = HttpConnection(proxy="")

        assert [RESPONSE_207] * 2 == [post(transport, server.url).content for _ in range(2)]


def test_an_answer_may_end_with_the_connection() -> None:
    """Without a length, the body lasts until the peer closes."""
    with RawServer(once(lambda peer: peer.send(b"HTTP/1.1 207 Multi\r\n\r\n" + RESPONSE_207))) as server:
        assert post(HttpConnection(proxy=""), server.url).content == RESPONSE_207


def test_a_redirect_is_an_answer() -> None:
    """A 3xx comes back as it is; nothing goes to its Location."""
    with RawServer(always(response(302, b"", "Location: http://localhost:1/"))) as server:
        assert post(HttpConnection(proxy=""), server.url).status_code == 302
        assert server.connections == 1


@pytest.mark.parametrize(
    "script",
    [
        once(lambda peer: peer.drip(b"HTTP/1.1 207 Multi\r\n" + b"X: y\r\n" * 9999)),
        once(lambda peer: peer.drip(response(207, b" " * 9999))),
        once(lambda peer: peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 9999, 0.01)),
        once(lambda peer: peer.stopped.wait(LONG)),
        lambda peer: peer.stopped.wait(LONG),
    ],
    ids=["dripping head", "dripping body", "endless 100", "silence", "never reads"],
)
def test_the_deadline_holds_for_the_whole_request(script: Callable[[Peer], object]) -> None:
    """However slowly the peer reads or answers, the request ends at its deadline."""
    with RawServer(script) as server:
        began = time.monotonic()
        with pytest.raises(httpx.TimeoutException, match=f"localhost:{server.port}"):
            post(HttpConnection(proxy=""), server.url, b"x" * 50_000_000, SHORT)

        assert SHORT * 0.9 < time.monotonic() - began < SHORT + 1.0


@pytest.mark.parametrize(
    "data",
    [
        response(207, b" " * 200_000),
        b"HTTP/1.1 207 Multi\r\n" + b"X: y\r\n" * 50_000,
        b"HTTP/1.1 207 Multi\r\nX: " + b"y" * 300_000,
        b"HTTP/1.1 207 Multi\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 50_000,
        b"HTTP/1.1 207 Multi\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        % len(gzip.compress(bytes(9_000_000)))
        + gzip.compress(bytes(9_000_000)),
    ],
    ids=["body", "headers", "one header", "chunks", "gzip bomb"],
)
def test_a_huge_answer_is_cut_off(data: bytes) -> None:
    """What exceeds the cap, in head, body or decompressed, ends the request, whatever length was announced."""
    with (
        RawServer(once(lambda peer: peer.send(data))) as server,
        pytest.raises(ResponseTooLarge, match="100000"),
    ):
        post(HttpConnection(proxy=""), server.url, cap=100_000)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda peer: None, "without a response"),
        (lambda peer: peer.send(response(207, b"x" * 100)[:-50]), "within its response"),
        (lambda peer: peer.send(b"HTTP/1.1 207 Mul"), "within its response"),
        (
            lambda peer: peer.send(b"HTTP/1.1 207 M\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"),
            "within its response",
        ),
        (lambda peer: peer.send(b"\x16\x03\x01 what?\r\n\r\n" * 9), "not HTTP"),
        (lambda peer: peer.send(b"HTTP/1.1 207 M\r\nContent-Length: -5\r\n\r\n"), "not HTTP"),
        (
            lambda peer: peer.send(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            "HTTP|within",
        ),
        (lambda peer: peer.reset(), "reset"),
    ],
    ids=[
        "nothing",
        "half a body",
        "half a head",
        "no last chunk",
        "garbage",
        "negative length",
        "upgrade",
        "reset",
    ],
)
def test_a_broken_answer_is_an_error(act: Callable[[Peer], object], error: str) -> None:
    """Half an answer is never taken for a whole one, and the text says what was wrong."""
    with (
        RawServer(once(act)) as server,
        pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError), match=error),
    ):
        post(HttpConnection(proxy=""), server.url)


def test_a_connection_that_the_peer_closed_is_not_used_again() -> None:
    """A stale connection is noticed before anything is sent on it, so the request succeeds on a new one."""
    with RawServer(once(lambda peer: peer.send(response()))) as server:
        transport = HttpConnection(proxy="")
        for _ in range(3):
            assert post(transport, server.url).status_code == 207
            until = time.monotonic() + LONG
            while (
                transport._sock is not None
                and transport._usable(transport._sock)
                and time.monotonic() < until
            ):  # noqa: SLF001
                time.sleep(0.001)

        assert server.connections == 3


def test_a_request_whose_time_is_up_does_not_leave() -> None:
    """A short one would be accepted, and nobody would wait for the answer."""
    seen: list[str] = []

    def script(peer: Peer) -> None:
        while request := peer.request():
            seen.append(request.line)
            peer.send(response())

    with RawServer(script) as server:
        transport = HttpConnection(proxy="")
        post(transport, server.url)
        with pytest.raises(httpx.WriteTimeout, match="out of time"):
            post(transport, server.url, timeout_s=-1)
        post(transport, server.url)

        assert len(seen) == 2


def test_a_long_idle_connection_is_not_used_again() -> None:
    """Past `keep_alive_s` the connection is replaced although it looks alive."""
    with RawServer(always(response())) as server:
        transport = HttpConnection(proxy="", keep_alive_s=-1)
        post(transport, server.url)
        post(transport, server.url)

        assert server.connections == 2


def test_nothing_is_sent_twice() -> None:
    """A kept connection that breaks within a request is an error, not a second request."""
    seen: list[str] = []

    def script(peer: Peer) -> None:
        while request := peer.request():
            seen.append(request.line)
            if len(seen) == 2:
                return
            peer.send(response())

    with RawServer(script) as server:
        transport = HttpConnection(proxy="")
        post(transport, server.url)
        with pytest.raises(httpx.RemoteProtocolError, match="without a response"):
            post(transport, server.url)

        assert len(seen) == 2


def test_an_answer_that_comes_before_the_body_was_read_counts() -> None:
    """A gateway may answer 413 and hang up; the status comes out, not the reset that follows it."""

    def script(peer: Peer) -> None:
        peer.sock.recv(10)
        peer.send(response(413, b""))

    with RawServer(script) as server:
        try:
            status = post(HttpConnection(proxy=""), server.url, b"x" * 20_000_000).status_code
        except httpx.NetworkError:
            pytest.skip("this kernel dropped the answer with the reset")

        assert status == 413


def test_nobody_listens() -> None:
    """A refused connection names the host and the port."""
    with RawServer(always(response())) as server:
        url = server.url
    with pytest.raises(httpx.ConnectError, match="connecting to localhost:[0-9]+: Connection refused"):
        post(HttpConnection(proxy=""), url)


def test_a_name_that_does_not_exist() -> None:
    """DNS failures are connection errors."""
    with pytest.raises((httpx.ConnectError, httpx.ConnectTimeout), match=r"nowhere\.invalid"):
        post(HttpConnection(proxy=""), "http://nowhere.invalid/", timeout_s=3)


def test_a_header_can_not_smuggle_another() -> None:
    """A line break in a configured header is refused, and the text does not repeat it."""
    with RawServer(always(response())) as server:
        request = httpx.Request("POST", server.url, headers={"X-Key": "hidden\r\nX: y"}, content=b"")
        with pytest.raises(httpx.LocalProtocolError) as caught:
            HttpConnection(proxy="").handle_request(request)

        assert "hidden" not in str(caught.value)


def test_an_iterable_is_sent_in_chunks() -> None:
    """Content of unknown length goes out chunked."""
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        request = peer.request()
        assert request is not None
        assert request.headers["transfer-encoding"] == "chunked"
        seen.append(peer.read(len(CHUNKS)))
        peer.send(response())

    with RawServer(script) as server:
        HttpConnection(proxy="").handle_request(
            httpx.Request("POST", server.url, content=iter([b"ab", b"", b"c"]))
        )

        assert seen == [CHUNKS]
