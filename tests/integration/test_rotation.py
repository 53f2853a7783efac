"""A key that is rotated in its file is in the next request, through the service as `run` puts it together."""

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
    """A service whose sender is used; its brokers can't be reached."""
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
        service.sender.close()
        service.dead_letters.close(0)
        service.admin.stop()


def send(service: Service) -> BatchResponse:
    """One request and its answer."""
    pieces = [b'{"a":1}']
    service.sender.send(1, BatchRequest(service.routes[0].inlet, pieces, 10.0, body_size(pieces)))
    [(_, reply)] = service.completions.take(10.0)
    assert isinstance(reply, BatchResponse)
    return reply


def once(peer: Peer) -> None:
    """One answer for each connection, as behind the proxy, and said so: a client that is told nothing may use it just before it learns of the end."""
    if peer.request():
        peer.send(response(207, RESPONSE_207, "Connection: close"))


def tokens(peer: Peer) -> None:
    if peer.request():
        peer.send(response(200, TOKEN, "Connection: close"))


@pytest.mark.parametrize("authenticated", [False, True])
def test_a_header_is_read_anew_when_its_file_changes(tmp_path: Path, *, authenticated: bool) -> None:
    """On the connection that is there; with a token beside it, and without. Neither the old key nor the new one is shown."""
    (tmp_path / "key").write_text(OLD)
    seen: list[Request] = []

    def aep(peer: Peer) -> None:
        while request := peer.request():
            seen.append(request)
            peer.send(response(207, request.headers["x-api-key"].encode()))

    with RawServer(aep) as server, RawServer(tokens) as issuer:
        auth = (
            {"auth": {"token_url": issuer.url, "client_id": "me", "client_secret": "hush-hush"}}
            if authenticated
            else {}
        )
        with (
            sending(
                server, headers={"x-api-key_file": str(tmp_path / "key"), "x-sandbox-name": "prod"}, **auth
            ) as service,
            capture_logs() as logs,
        ):
            answers = [send(service), send(service)]
            (tmp_path / "key").write_text(NEW + "\n")
            answers += [send(service), send(service)]
            (tmp_path / "key").write_text("schlüssel")
            answers.append(send(service))

        assert [OLD, OLD, NEW, NEW, NEW] == [request.headers["x-api-key"] for request in seen]
        assert {"prod"} == {request.headers["x-sandbox-name"] for request in seen}
        assert {"bearer the-token" if authenticated else None} == {
            request.headers.get("authorization") for request in seen
        }
        assert [b"***"] * 5 == [reply.body for reply in answers]
        assert 1 == server.connections
        assert [("file.read_anew", "info"), ("file.unusable", "error")] == [
            (each["event"], each["log_level"]) for each in logs
        ]
        assert f"{tmp_path / 'key'}: holds something other than printable ASCII" in logs[1]["error"]
        assert "schl" not in str(logs).replace(str(tmp_path), "")


def test_the_proxy_is_read_anew_when_its_file_changes(tmp_path: Path) -> None:
    """Its password above all: the connection with the old one is not used again."""
    file = tmp_path / "proxy"
    with RawServer(once) as server, ProxyServer("user:new") as proxy:
        file.write_text(proxy.address("user:old"))
        with sending(server, proxy_url=None, proxy_url_file=str(file)) as service:
            assert [407, 407] == [send(service).status for _ in range(2)]
            file.write_text(proxy.address("user:new"))
            assert 207 == send(service).status
            file.write_text("socks5://elsewhere")
            assert 207 == send(service).status


def test_the_way_to_tokens_goes_through_the_new_proxy_too(tmp_path: Path) -> None:
    """It is the same key of the configuration."""
    file = tmp_path / "proxy"
    with RawServer(once) as server, RawServer(tokens) as issuer, ProxyServer("user:new") as proxy:
        file.write_text(proxy.address("user:old"))
        auth = {"token_url": issuer.url, "client_id": "me", "client_secret": "hush-hush"}
        with sending(server, proxy_url=None, proxy_url_file=str(file), auth=auth) as service:
            assert "407" in send(service).error
            file.write_text(proxy.address("user:new"))
            service.tokens[
                service.routes[0].inlet
            ]._next_try = 0.0  # the back-off after a refresh that failed
            assert 207 == send(service).status
