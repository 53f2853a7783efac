"""Canary secrets: known values wherever a secret can be given, and a search of all that a process shows."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from trustme import CA

from tests.hostile.conftest import ORG, Configure, good_events, secrets_in, visible_text
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.proxy import ProxyServer
from tests.support.rawserver import Peer, RawServer, Request, response

pytestmark = pytest.mark.timeout(120)

_NAMES = (
    "client-secret",
    "client-secret-file",
    "sasl",
    "key-password",
    "proxy",
    "proxy-file",
    "api-key",
    "authorization",
    "admin",
    "token",
)
CANARIES = {name: f"canary-{name}-5e0f1b72" for name in _NAMES}

MASKED = ("'x-api-key': '***'", "'authorization': 'bearer ***", r"client_secret=\u2026&")
"""What the log shows instead of a key, a token and a client secret that `EchoingAep` repeats."""


class EchoingAep:
    """An AEP and a token endpoint that repeat the request's headers and body in their error texts."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    def serve(self, peer: Peer) -> None:
        while request := peer.request():
            self.requests.append(request.line)
            peer.send(self._response(request))

    def _response(self, request: Request) -> bytes:
        echo = f"{request.headers} {request.body[:300]!r}".replace('"', "'").replace("\\", "/")
        if "/token" in request.line:
            return self._token_response(echo)
        if len(self.requests) % 3 == 0:
            return response(401, f'{{"title":"{echo}"}}'.encode())
        if len(self.requests) % 3 == 1:
            return response(400, f'{{"title":"{echo}","detail":"{echo}"}}'.encode())
        return response(207, f'{{"responses":[{{"statusCode":400,"message":"{echo}"}}]}}'.encode())

    def _token_response(self, echo: str) -> bytes:
        # The first request of a token is refused, whatever was asked before, and then every second one.
        refused = sum("/token" in line for line in self.requests) % 2 != 0
        if refused:
            return response(400, f'{{"error":"{echo}"}}'.encode())
        return response(200, f'{{"access_token":"{CANARIES["token"]}","expires_in":3600}}'.encode())


def inlets_with_secrets(
    base_url: str, files: dict[str, Path], proxy: ProxyServer
) -> dict[str, dict[str, Any]]:
    """Return inlets that have their secrets in every place where one can be given."""
    auth = {"token_url": f"{base_url}/token", "client_id": "c", "scope": "s"}
    return {
        "inline": {
            "auth": {**auth, "client_secret": CANARIES["client-secret"]},
            "headers": {"x-api-key": CANARIES["api-key"]},
        },
        "file": {"auth": {**auth, "client_secret_file": str(files["client-secret-file"])}},
        "header": {"headers": {"authorization": f"Bearer {CANARIES['authorization']}"}},
        "proxy": {"proxy_url": proxy.address(f"user:{CANARIES['proxy']}")},
        "proxy-file": {"proxy_url_file": str(files["proxy-file"])},
    }


def test_no_canary_is_shown_whatever_aep_repeats(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Neither errors that repeat the request, nor a proxy that refuses, nor a 401 show a secret."""
    files = {name: tmp_path / name for name in ("client-secret-file", "admin", "proxy-file")}
    for name, path in files.items():
        path.write_text(CANARIES[name] + "\n")
    aep = EchoingAep()
    with RawServer(aep.serve) as server, ProxyServer("user:right") as proxy:
        base_url = f"http://127.0.0.1:{server.port}"
        files["proxy-file"].write_text(proxy.address(f"user:{CANARIES['proxy-file']}"))
        routes = []
        for name, inlet in inlets_with_secrets(base_url, files, proxy).items():
            topic = kafka.clients.create_topic(unique(name))
            kafka.clients.produce(topic, good_events(3))
            routes.append({"topic": topic, "aep": {"inlet_url": f"{base_url}/collection/{name}", **inlet}})
        config = configure(
            f"{base_url}/collection/main",
            *routes,
            batch={"linger_ms": 20, "max_messages": 1},
            delivery={"backoff_max_s": 0.3},
        )
        config["admin"] = {"token_file": str(files["admin"])}
        with Bridge(config, tmp_path) as bridge:
            until(
                lambda: (
                    len(aep.requests) > 15
                    and len(proxy.request_lines) > 1
                    and bridge.metric("aep_bridge_records_dead_lettered_total") >= 2
                ),
                50,
                bridge.tail(),
            )
            message = "nothing that repeats these secrets was logged"
            until(lambda: all(mask in bridge.log_text() for mask in MASKED), 30, message)
            text = visible_text(bridge)
            letters = [
                letter for route in routes for letter in kafka.clients.read_all(f"{route['topic']}.dlq")
            ]
            bridge.signal(signal.SIGTERM)
            until(lambda: bridge.has_logged("drain.started"), 30, bridge.tail())
            bridge.signal(signal.SIGTERM)
            assert bridge.process is not None
            bridge.process.wait(10)
            text += visible_text(bridge)

    assert secrets_in(text, CANARIES.values()) == []
    assert bridge.crash_lines() == []
    assert letters, "no dead letter was provoked"
    added_headers = [
        value or b""
        for letter in letters
        for name, value in letter.headers()
        if name.startswith(("aep.", "__connect"))
    ]
    assert secrets_in(b"\n".join(added_headers).decode(), CANARIES.values()) == []


def test_no_canary_of_the_brokers_is_shown(secure_kafka: Kafka, tmp_path: Path) -> None:
    """A wrong SASL password, and a key that its password does not open, are named without the secret."""
    key = load_pem_private_key(CA().issue_cert("client").private_key_pem.bytes(), None)
    encryption = BestAvailableEncryption(b"another")
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    sasl = {"sasl.password": CANARIES["sasl"]}
    ssl = {"ssl.key.location": str(path), "ssl.key.password": CANARIES["key-password"]}
    for name, properties, reason in (
        (
            "sasl",
            secure_kafka.properties("SASL_SSL") | sasl,
            "SASL authentication error: Authentication failed",
        ),
        ("ssl", secure_kafka.properties("SSL") | ssl, "ssl.key.location failed: error:"),
    ):
        servers = properties.pop("bootstrap.servers")
        config = {
            "kafka": {"bootstrap_servers": servers, "group_id": "g", "properties": properties},
            "aep": {"inlet_url": "http://127.0.0.1:9/collection/x", "ims_org_id": ORG},
            "topics": [{"topic": "t"}],
        }
        with Bridge(config, tmp_path, name=name) as bridge:
            until(lambda reason=reason: reason in bridge.log_text(), 40, f"{name}: {bridge.tail()}")
            text = visible_text(bridge)

        assert secrets_in(text, CANARIES.values()) == []
        assert [line for line in bridge.crash_lines() if "Traceback" in line] == [], text


@pytest.mark.parametrize(
    "wrong",
    [
        "kafka: {bootstrap_servers: 'k:9092', properties: {sasl.password: %s, nonsense.: 1}}",
        "x: [%s",
        "aep: {headers: {x-api-key: '%s'}}",
    ],
)
def test_the_message_about_a_wrong_configuration_shows_no_canary(wrong: str, tmp_path: Path) -> None:
    """The exit code is 2, and the message has the place and not the value."""
    path = tmp_path / "c.yaml"
    path.write_text(wrong % CANARIES["sasl"])
    command = [sys.executable, "-m", "bridge", "run", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    text = done.stdout + done.stderr

    assert done.returncode == 2, done.stderr
    assert secrets_in(text, CANARIES.values()) == []
    assert "c.yaml:1" in text
