"""The transport with TLS and through proxies."""

from __future__ import annotations

import datetime
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from bridge.http.connection import HttpConnection
from bridge.http.tls import Tls
from tests.support.proxy import ProxyServer
from tests.support.rawserver import RESPONSE_207, Peer, RawServer, response


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private certificate authority."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    """Its certificate."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


def always(peer: Peer) -> None:
    while peer.request():
        peer.send(response())


def post(
    transport: HttpConnection, url: str, timeout_s: float = 10, content: bytes = b"x" * 900_000
) -> httpx.Response:
    return transport.handle_request(
        httpx.Request("POST", url, content=content, extensions={"deadline": time.monotonic() + timeout_s})
    )


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[RawServer]:
    """A good server with a certificate of the private authority."""
    with RawServer(always, context(authority.issue_cert("localhost"))) as running:
        yield running


def test_a_private_authority(server: RawServer, ca_file: str) -> None:
    """With its CA file a server is trusted, and the connection is kept."""
    transport = HttpConnection(tls=Tls(ca_file), proxy="")

    assert [RESPONSE_207] * 4 == [post(transport, server.url).content for _ in range(4)]
    assert server.connections == 1


@pytest.mark.parametrize("apart", [True, False], ids=["two records", "one record"])
def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next_one(
    authority: trustme.CA, ca_file: str, *, apart: bool
) -> None:
    """However it lies in TLS's records, a second answer to a first request only costs the connection."""
    stray = response(200, b"stray")

    def script(peer: Peer) -> None:
        while peer.request():
            for data in (response(), stray) if apart else (response() + stray,):
                peer.send(data)

    with RawServer(script, context(authority.issue_cert("localhost"))) as server:
        transport = HttpConnection(tls=Tls(ca_file), proxy="")
        for number in range(1, 4):
            assert post(transport, server.url).content == RESPONSE_207
            assert server.connections == number
            until = time.monotonic() + 10
            while (
                transport._sock is not None
                and transport._usable(transport._sock)
                and time.monotonic() < until
            ):  # noqa: SLF001
                time.sleep(0.001)


def test_an_unknown_authority(server: RawServer) -> None:
    """Without the CA file the certificate is refused, and the text says so."""
    with pytest.raises(httpx.ConnectError, match="not trusted: (self|unable)"):
        post(HttpConnection(proxy=""), server.url)


def test_a_wrong_host(authority: trustme.CA, ca_file: str) -> None:
    """A certificate for another host is refused."""
    with (
        RawServer(always, context(authority.issue_cert("elsewhere.example"))) as server,
        pytest.raises(httpx.ConnectError, match="Hostname mismatch"),
    ):
        post(HttpConnection(tls=Tls(ca_file), proxy=""), server.url)


def test_an_expired_certificate(authority: trustme.CA, ca_file: str) -> None:
    """An expired certificate is refused."""
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    expired = authority.issue_cert(
        "localhost", not_before=long_ago, not_after=long_ago + datetime.timedelta(days=1)
    )
    with RawServer(always, context(expired)) as server, pytest.raises(httpx.ConnectError, match="expired"):
        post(HttpConnection(tls=Tls(ca_file), proxy=""), server.url)


def test_a_client_certificate(authority: trustme.CA, ca_file: str, tmp_path: Path) -> None:
    """A server that asks for a client's certificate gets it; without one the request fails as a connection does."""
    mutual = context(authority.issue_cert("localhost"))
    mutual.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(mutual)
    client = authority.issue_cert("bridge@example.com")
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    with RawServer(always, mutual) as server:
        assert (
            post(
                HttpConnection(tls=Tls(ca_file, str(tmp_path / "client.pem")), proxy=""), server.url
            ).status_code
            == 207
        )
        with pytest.raises(httpx.NetworkError, match=f"localhost:{server.port}"):
            post(HttpConnection(tls=Tls(ca_file), proxy=""), server.url)


def test_a_missing_file_is_named() -> None:
    """A CA file that isn't there is named in the error."""
    with pytest.raises(OSError, match=r"nowhere\.pem"):
        Tls("nowhere.pem").context()


def test_plain_http_where_tls_was_expected() -> None:
    """A server that doesn't speak TLS is a connection error."""
    with (
        RawServer(lambda peer: peer.send(b"HTTP/1.1 400 Bad\r\n\r\n")) as server,
        pytest.raises(httpx.ConnectError, match="TLS with"),
    ):
        post(HttpConnection(proxy=""), server.url.replace("http:", "https:"))


def test_the_deadline_holds_with_tls(authority: trustme.CA, ca_file: str) -> None:
    """Silence in the handshake, a reader that stops and a dripping answer all end at the deadline."""

    def silent(peer: Peer) -> None:
        peer.stopped.wait(10)

    def dripping(peer: Peer) -> None:
        peer.request()
        peer.drip(response(207, b" " * 999))

    secure = context(authority.issue_cert("localhost"))
    for script, tls in ((silent, None), (silent, secure), (dripping, secure)):
        with RawServer(script, tls) as server:
            began = time.monotonic()
            with pytest.raises(httpx.TimeoutException):
                post(
                    HttpConnection(tls=Tls(ca_file), proxy=""),
                    server.url.replace("http:", "https:"),
                    0.4,
                    b"x" * 30_000_000,
                )

            assert time.monotonic() - began < 1.4


@pytest.mark.parametrize("login", ["", "user:pass%40word"])
def test_a_proxy_tunnels_https(server: RawServer, ca_file: str, login: str) -> None:
    """https goes through CONNECT, with the password where there is one, and the tunnel is kept."""
    with ProxyServer(login.replace("%40", "@")) as proxy:
        transport = HttpConnection(tls=Tls(ca_file), proxy=proxy.address(login))

        assert [207, 207] == [post(transport, server.url).status_code for _ in range(2)]
        assert [f"CONNECT localhost:{server.port} HTTP/1.1"] == proxy.request_lines


@pytest.mark.parametrize("login", ["", "user:password"])
def test_a_proxy_fetches_http(login: str) -> None:
    """http is asked for in absolute form, with the password where there is one."""
    with RawServer(always) as server, ProxyServer(login) as proxy:
        assert post(HttpConnection(proxy=proxy.address(login)), server.url).status_code == 207
        assert [f"POST {server.url} HTTP/1.1"] == proxy.request_lines


def test_a_wrong_password(server: RawServer, ca_file: str) -> None:
    """A refused tunnel is the proxy's error, says so, and keeps the password to itself; over http the 407 is the answer."""
    with ProxyServer("user:right") as proxy, RawServer(always) as plain:
        with pytest.raises(httpx.ProxyError, match="status 407: it wants another user or password") as caught:
            post(HttpConnection(tls=Tls(ca_file), proxy=proxy.address("user:wrong")), server.url)

        assert "wrong" not in str(caught.value)
        assert post(HttpConnection(proxy=proxy.address("user:wrong")), plain.url).status_code == 407


def test_a_proxy_that_is_down(server: RawServer) -> None:
    """The error names the proxy, not the host behind it."""
    with ProxyServer() as proxy:
        address = proxy.address("user:hidden")
    for url in (server.url, "http://localhost:1/"):
        with pytest.raises(
            httpx.ProxyError, match=f"the proxy 127.0.0.1:{proxy.port}: Connection refused"
        ) as caught:
            post(HttpConnection(proxy=address), url)

        assert "hidden" not in str(caught.value)


def test_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is used, unless NO_PROXY names the host or the setting says none."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with RawServer(always) as server, ProxyServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.address())
        post(HttpConnection(), server.url)
        post(HttpConnection(proxy=""), server.url)
        monkeypatch.setenv("no_proxy", "localhost")
        post(HttpConnection(), server.url)

        assert len(proxy.request_lines) == 1


@pytest.mark.parametrize(
    "url",
    [
        "socks5://user:hidden@host:1",
        "https://user:hidden@host",
        "http://user:hidden@",
        "http://user:hidden@host:port",
    ],
)
def test_a_proxy_of_another_kind_is_refused_at_once(url: str) -> None:
    """Only http:// proxies are known; the text doesn't repeat the URL."""
    with pytest.raises(ValueError, match="a proxy is given as") as caught:
        HttpConnection(proxy=url)

    assert "hidden" not in str(caught.value)
