"""How a connection is opened: names, TCP, TLS, and proxies."""

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
from tests.support.rawserver import RESPONSE_207, Peer, RawServer, always, response
from tests.support.requests import post

CONTENT = b"x" * 900_000


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private certificate authority."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    """The authority's certificate."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[RawServer]:
    """A good server with a certificate of the private authority."""
    with RawServer(always(response()), server_context(authority.issue_cert("localhost"))) as running:
        yield running


# -- names and TCP --------------------------------------------------------------------------


def test_a_port_without_a_listener() -> None:
    """The error names the host and the port."""
    with RawServer(always(response())) as server:
        url = server.url
    with pytest.raises(httpx.ConnectError, match=r"connecting to localhost:[0-9]+: Connection refused"):
        post(HttpConnection(proxy=""), url)


def test_a_name_that_does_not_exist() -> None:
    """DNS failures are connection errors."""
    with pytest.raises((httpx.ConnectError, httpx.ConnectTimeout), match=r"nowhere\.invalid"):
        post(HttpConnection(proxy=""), "http://nowhere.invalid/", timeout_s=3)


# -- TLS ------------------------------------------------------------------------------------


def test_a_private_authority(server: RawServer, ca_file: str) -> None:
    """With the authority's file a server is trusted, and the connection is kept."""
    connection = HttpConnection(tls=Tls(ca_file), proxy="")

    assert [post(connection, server.url, CONTENT).content for _ in range(4)] == [RESPONSE_207] * 4
    assert server.connections == 1


def test_an_unknown_authority(server: RawServer) -> None:
    """Without the authority's file the certificate is refused, and the text says so."""
    with pytest.raises(httpx.ConnectError, match=r"not trusted: (self|unable)"):
        post(HttpConnection(proxy=""), server.url)


def test_a_wrong_host(authority: trustme.CA, ca_file: str) -> None:
    """A certificate for another host is refused."""
    certificate = authority.issue_cert("elsewhere.example")
    with (
        RawServer(always(response()), server_context(certificate)) as server,
        pytest.raises(httpx.ConnectError, match="Hostname mismatch"),
    ):
        post(HttpConnection(tls=Tls(ca_file), proxy=""), server.url)


def test_an_expired_certificate(authority: trustme.CA, ca_file: str) -> None:
    """An expired certificate is refused."""
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    end = long_ago + datetime.timedelta(days=1)
    certificate = authority.issue_cert("localhost", not_before=long_ago, not_after=end)
    with (
        RawServer(always(response()), server_context(certificate)) as server,
        pytest.raises(httpx.ConnectError, match="expired"),
    ):
        post(HttpConnection(tls=Tls(ca_file), proxy=""), server.url)


def test_a_client_certificate(authority: trustme.CA, ca_file: str, tmp_path: Path) -> None:
    """A server that asks for a client's certificate gets it; without one the connection fails."""
    mutual = server_context(authority.issue_cert("localhost"))
    mutual.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(mutual)
    client_file = str(tmp_path / "client.pem")
    authority.issue_cert("bridge@example.com").private_key_and_cert_chain_pem.write_to_path(client_file)
    with RawServer(always(response()), mutual) as server:
        known = HttpConnection(tls=Tls(ca_file, client_file), proxy="")
        assert post(known, server.url, CONTENT).status_code == 207
        with pytest.raises(httpx.NetworkError, match=f"localhost:{server.port}"):
            post(HttpConnection(tls=Tls(ca_file), proxy=""), server.url, CONTENT)


def test_plain_http_where_tls_was_expected() -> None:
    """A server that doesn't speak TLS is a connection error."""
    with (
        RawServer(lambda peer: peer.send(b"HTTP/1.1 400 Bad\r\n\r\n")) as server,
        pytest.raises(httpx.ConnectError, match="TLS with"),
    ):
        post(HttpConnection(proxy=""), server.url.replace("http:", "https:"))


def test_the_deadline_holds_with_tls(authority: trustme.CA, ca_file: str) -> None:
    """Silence in the handshake, a reader that stops and a dripping response all end at the deadline."""

    def silent(peer: Peer) -> None:
        peer.stopped.wait(10)

    def dripping(peer: Peer) -> None:
        peer.request()
        peer.drip(response(207, b" " * 999))

    secure = server_context(authority.issue_cert("localhost"))
    for script, tls in ((silent, None), (silent, secure), (dripping, secure)):
        with RawServer(script, tls) as server:
            connection = HttpConnection(tls=Tls(ca_file), proxy="")
            began = time.monotonic()
            with pytest.raises(httpx.TimeoutException):
                post(connection, server.url.replace("http:", "https:"), b"x" * 30_000_000, 0.4)

            assert time.monotonic() - began < 1.4


# -- proxies --------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["", "user:pass%40word"])
def test_a_proxy_tunnels_https(server: RawServer, ca_file: str, login: str) -> None:
    """https goes through CONNECT, with the password where there is one, and the tunnel is kept."""
    with ProxyServer(login.replace("%40", "@")) as proxy:
        connection = HttpConnection(tls=Tls(ca_file), proxy=proxy.address(login))

        assert [post(connection, server.url, CONTENT).status_code for _ in range(2)] == [207, 207]
        assert proxy.request_lines == [f"CONNECT localhost:{server.port} HTTP/1.1"]


@pytest.mark.parametrize("login", ["", "user:password"])
def test_a_proxy_fetches_http(login: str) -> None:
    """http is asked for in absolute form, with the password where there is one."""
    with RawServer(always(response())) as server, ProxyServer(login) as proxy:
        connection = HttpConnection(proxy=proxy.address(login))

        assert post(connection, server.url, CONTENT).status_code == 207
        assert proxy.request_lines == [f"POST {server.url} HTTP/1.1"]


def test_a_wrong_password(server: RawServer, ca_file: str) -> None:
    """A refused tunnel is the proxy's error, which hides the password; over http, 407 is the response."""
    with ProxyServer("user:right") as proxy, RawServer(always(response())) as plain:
        wrong = proxy.address("user:wrong")
        with pytest.raises(httpx.ProxyError, match="status 407: it wants another user or password") as caught:
            post(HttpConnection(tls=Tls(ca_file), proxy=wrong), server.url)

        assert "wrong" not in str(caught.value)
        assert post(HttpConnection(proxy=wrong), plain.url, CONTENT).status_code == 407


def test_a_proxy_that_is_down(server: RawServer) -> None:
    """The error names the proxy, not the host behind it."""
    with ProxyServer() as proxy:
        address, error = proxy.address("user:hidden"), f"the proxy 127.0.0.1:{proxy.port}: Connection refused"
    for url in (server.url, "http://localhost:1/"):
        with pytest.raises(httpx.ProxyError, match=error) as caught:
            post(HttpConnection(proxy=address), url)

        assert "hidden" not in str(caught.value)


def test_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is used, unless NO_PROXY names the host or the setting says none."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with RawServer(always(response())) as server, ProxyServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.address())
        post(HttpConnection(), server.url)
        post(HttpConnection(proxy=""), server.url)
        monkeypatch.setenv("no_proxy", "localhost")
        post(HttpConnection(), server.url)

        assert len(proxy.request_lines) == 1
