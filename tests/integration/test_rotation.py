"""A key that is rotated in its file is in the next request of the service as `run` assembles it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.app.service import Service
from bridge.codec.request import body_size
from bridge.config.settings import Settings
from bridge.model import BatchRequest, BatchResponse
from tests.support.proxy import ProxyServer
from tests.support.rawserver import RESPONSE_207, Peer, RawServer, Request, response

OLD, NEW = "key-number-one-7f1c", "key-number-two-93ab"
TOKEN = b'{"access_token":"the-token","expires_in":86399}'


@contextmanager
def sending(server: RawServer, **aep: Any) -> Iterator[Service]:
    """Yield a service whose sender is used; its brokers can't be reached."""
    service = Service(
        Settings.model_validate(
            {
                "kafka": {"bootstrap_servers": "127.0.0.1:9", "group_id": "g"},
                "aep": {"inlet_url": f"{server.url.rstrip('/')}/collection/ab12", "proxy_url": "", **aep},
                "topics": [{"topic": "t"}],
                "admin": {"host": "127.0.0.1", "port": 0},
            }
        )
    )
    service.admin.start()
    try:
        yield service
    finally:
        service.close(0)


def send(service: Service) -> BatchResponse:
    """Send one request; return its response."""
    pieces = [b'{"a":1}']
    service.sender.send(1, BatchRequest(service.routes[0].inlet, pieces, 10.0, body_size(pieces)))
    [(_, reply)] = service.completions.take(10.0)
    assert isinstance(reply, BatchResponse)
    return reply


def once(peer: Peer) -> None:
    """Respond once on each connection, as behind the proxy, and announce its end.

    A client that does not know of the end may send another request just before it learns of it.
    """
    if peer.request():
        peer.send(response(207, RESPONSE_207, "Connection: close"))


def tokens(peer: Peer) -> None:
    if peer.request():
        peer.send(response(200, TOKEN, "Connection: close"))


@pytest.mark.parametrize("authenticated", [False, True])
def test_a_header_is_read_again_when_its_file_changes(tmp_path: Path, *, authenticated: bool) -> None:
    """The open connection goes on, with a token and without; neither the old nor the new key is shown."""
    key_file = tmp_path / "key"
    key_file.write_text(OLD)
    requests: list[Request] = []

    def aep(peer: Peer) -> None:
        while request := peer.request():
            requests.append(request)
            peer.send(response(207, request.headers["x-api-key"].encode()))

    with RawServer(aep) as server, RawServer(tokens) as issuer:
        aep_settings: dict[str, Any] = {
            "headers": {"x-api-key_file": str(key_file), "x-sandbox-name": "prod"}
        }
        if authenticated:
            auth = {"token_url": issuer.url, "client_id": "me", "client_secret": "hush-hush"}
            aep_settings["auth"] = auth
        with sending(server, **aep_settings) as service, capture_logs() as logs:
            responses = [send(service), send(service)]
            key_file.write_text(NEW + "\n")
            responses += [send(service), send(service)]
            key_file.write_text("schlüssel")
            responses.append(send(service))

        assert [request.headers["x-api-key"] for request in requests] == [OLD, OLD, NEW, NEW, NEW]
        assert {request.headers["x-sandbox-name"] for request in requests} == {"prod"}
        authorizations = {request.headers.get("authorization") for request in requests}
        assert authorizations == {"bearer the-token" if authenticated else None}
        assert [each.body for each in responses] == [b"***"] * 5
        assert server.connections == 1
        assert [(each["event"], each["log_level"]) for each in logs] == [
            ("file.reloaded", "info"),
            ("file.reload_failed", "error"),
        ]
        assert f"{key_file}: holds something other than printable ASCII" in logs[1]["error"]
        assert "schl" not in str(logs).replace(str(tmp_path), "")


def test_the_proxy_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    """Its password may be rotated: the connection with the old one is not used again."""
    file = tmp_path / "proxy"
    with RawServer(once) as server, ProxyServer("user:new") as proxy:
        file.write_text(proxy.address("user:old"))
        with sending(server, proxy_url=None, proxy_url_file=str(file)) as service:
            assert [send(service).status for _ in range(2)] == [407, 407]
            file.write_text(proxy.address("user:new"))
            assert send(service).status == 207
            file.write_text("socks5://elsewhere")
            assert send(service).status == 207


def test_tokens_are_fetched_through_the_new_proxy_too(tmp_path: Path) -> None:
    """One key of the configuration is the proxy of both."""
    file = tmp_path / "proxy"
    with RawServer(once) as server, RawServer(tokens) as issuer, ProxyServer("user:new") as proxy:
        file.write_text(proxy.address("user:old"))
        auth = {"token_url": issuer.url, "client_id": "me", "client_secret": "hush-hush"}
        with sending(server, proxy_url=None, proxy_url_file=str(file), auth=auth) as service:
            assert "407" in send(service).error
            file.write_text(proxy.address("user:new"))
            source = service.tokens[service.routes[0].inlet]
            source._next_try = 0.0  # the back-off after a refresh that failed
            assert send(service).status == 207
