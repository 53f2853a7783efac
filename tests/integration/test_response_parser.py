"""Responses as they come over a socket: odd ones that are whole, huge ones, and broken ones."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import httpx
import pytest

from bridge.http.connection import HttpConnection
from bridge.http.errors import ResponseTooLarge
from tests.support.rawserver import RESPONSE_207, Peer, RawServer, always, once, response
from tests.support.requests import post

CHUNKED = b"HTTP/1.1 207 Multi\r\nTransfer-Encoding: chunked\r\n\r\n"


def gzipped(body: bytes) -> bytes:
    """Return a response with a compressed body."""
    compressed = gzip.compress(body)
    head = b"HTTP/1.1 207 Multi\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(compressed)
    return head + compressed


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + response(),
        CHUNKED + b'5\r\n{"res\r\nb\r\nponses":[]}\r\n0\r\n\r\n',
        gzipped(RESPONSE_207),
        response() + b"and something nobody asked for",
        response() + response(),
    ],
    ids=["100 first", "chunked", "gzip", "surplus", "two responses"],
)
def test_odd_but_whole_responses_are_understood(data: bytes) -> None:
    """The body is the same, however it was framed, and the next request is not answered with leftovers."""
    with RawServer(always(data)) as server:
        connection = HttpConnection(proxy="")

        assert [post(connection, server.url).content for _ in range(2)] == [RESPONSE_207] * 2


def test_a_response_may_end_with_the_connection() -> None:
    """Without a length, the body lasts until the peer closes."""
    with RawServer(once(lambda peer: peer.send(b"HTTP/1.1 207 Multi\r\n\r\n" + RESPONSE_207))) as server:
        assert post(HttpConnection(proxy=""), server.url).content == RESPONSE_207


@pytest.mark.parametrize(
    "data",
    [
        response(207, b" " * 200_000),
        b"HTTP/1.1 207 Multi\r\n" + b"X: y\r\n" * 50_000,
        b"HTTP/1.1 207 Multi\r\nX: " + b"y" * 300_000,
        CHUNKED + b"1\r\n \r\n" * 50_000,
        gzipped(bytes(9_000_000)),
    ],
    ids=["body", "headers", "one header", "chunks", "gzip bomb"],
)
def test_a_huge_response_is_cut_off(data: bytes) -> None:
    """Too many bytes, in head, body or decompressed, end the request, whatever length was announced."""
    with (
        RawServer(once(lambda peer: peer.send(data))) as server,
        pytest.raises(ResponseTooLarge, match="larger than 100000 bytes"),
    ):
        post(HttpConnection(proxy=""), server.url, max_bytes=100_000)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda peer: None, "without a response"),
        (lambda peer: peer.send(response(207, b"x" * 100)[:-50]), "within its response"),
        (lambda peer: peer.send(b"HTTP/1.1 207 Mul"), "within its response"),
        (lambda peer: peer.send(CHUNKED + b"5\r\nabcde\r\n"), "within its response"),
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
def test_a_broken_response_is_an_error(act: Callable[[Peer], object], error: str) -> None:
    """Half a response is never taken for a whole one, and the text says what was wrong."""
    with (
        RawServer(once(act)) as server,
        pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError), match=error),
    ):
        post(HttpConnection(proxy=""), server.url)
