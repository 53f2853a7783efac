"""Canary secrets: known values in every place that takes a secret, errors everywhere, and a search through all that can be seen."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from trustme import CA

from tests.hostile.conftest import ORG, Configure, crashes, events, leaks, said
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.proxy import ProxyServer
from tests.support.rawserver import Peer, RawServer, response

pytestmark = pytest.mark.timeout(120)

CANARIES = {
    name: f"canary-{name}-5e0f1b72"
    for name in (
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
}

MASKED = ("'x-api-key': '***'", "'authorization': 'bearer ***", r"client_secret=\u2026&")
"""What is left in the log of a key, a token and a client secret that are repeated to us, as they are in `test_no_canary_is_seen`."""


def test_no_canary_is_seen(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """An AEP and a token endpoint that repeat everything they were sent, a proxy that refuses, a 401, a refusal of single messages: no secret comes out."""
    seen: list[str] = []

    def echoing(peer: Peer) -> None:
        """Repeats the request's headers and body in the error text, for the message and for the whole."""
        while request := peer.request():
            heard = f"{request.headers} {request.body[:300]!r}".replace('"', "'").replace("\\", "/")
            seen.append(request.line)
            if "/token" in request.line:
                good = (
                    sum("/token" in line for line in seen) % 2 == 0
                )  # the first one is refused, whatever else was asked before
                token = CANARIES["token"]
                peer.send(
                    response(200, f'{{"access_token":"{token}","expires_in":3600}}'.encode())
                    if good
                    else response(400, f'{{"error":"{heard}"}}'.encode())
                )
            elif len(seen) % 3 == 0:
                peer.send(response(401, f'{{"title":"{heard}"}}'.encode()))
            elif len(seen) % 3 == 1:
                peer.send(response(400, f'{{"title":"{heard}","detail":"{heard}"}}'.encode()))
            else:
                peer.send(
                    response(207, f'{{"responses":[{{"statusCode":400,"message":"{heard}"}}]}}'.encode())
                )

    files = {name: tmp_path / name for name in ("client-secret-file", "admin", "proxy-file")}
    for name, path in files.items():
        path.write_text(CANARIES[name] + "\n")
    with RawServer(echoing) as aep, ProxyServer("user:right") as proxy:
        base = f"http://127.0.0.1:{aep.port}"
        files["proxy-file"].write_text(proxy.address(f"user:{CANARIES['proxy-file']}"))
        auth = {"token_url": f"{base}/token", "client_id": "c", "scope": "s"}
        variants = {
            "inline": {
                "auth": {**auth, "client_secret": CANARIES["client-secret"]},
                "headers": {"x-api-key": CANARIES["api-key"]},
            },
            "file": {"auth": {**auth, "client_secret_file": str(files["client-secret-file"])}},
            "header": {"headers": {"authorization": f"Bearer {CANARIES['authorization']}"}},
            "proxy": {"proxy_url": proxy.address(f"user:{CANARIES['proxy']}")},
            "proxy-file": {"proxy_url_file": str(files["proxy-file"])},
        }
        topics = []
        for name, inlet in variants.items():
            topic = kafka.clients.create_topic(unique(name))
            kafka.clients.produce(topic, events(3))
            topics.append({"topic": topic, "aep": {"inlet_url": f"{base}/collection/{name}", **inlet}})
        config = configure(
            f"{base}/collection/main",
            *topics,
            batch={"linger_ms": 20, "max_messages": 1},
            delivery={"backoff_max_s": 0.3},
        )
        config["admin"] = {"token_file": str(files["admin"])}
        with Bridge(config, tmp_path) as bridge:
            until(
                lambda: (
                    len(seen) > 15
                    and len(proxy.request_lines) > 1
                    and bridge.metric("aep_bridge_records_dead_lettered_total") >= 2
                ),
                50,
                bridge.tail(),
            )
            until(
                lambda: all(each in bridge.log_path.read_text() for each in MASKED),
                30,
                "nothing that repeats these secrets was logged",
            )
            text = said(bridge)
            letters = [
                message for topic in topics for message in kafka.clients.read_all(f"{topic['topic']}.dlq")
            ]
            bridge.signal(signal.SIGTERM)
            until(
                lambda: any(entry["event"] == "drain.started" for entry in bridge.events()), 30, bridge.tail()
            )
            bridge.signal(signal.SIGTERM)
            assert bridge.process is not None
            bridge.process.wait(10)
            text += said(bridge)

    assert leaks(text, CANARIES.values()) == []
    assert crashes(bridge) == []
    assert letters, "no dead letter was provoked"
    headers = b"\n".join(
        (value or b"")
        for message in letters
        for name, value in message.headers()
        if name.startswith(("aep.", "__connect"))
    )
    assert leaks(headers.decode(), CANARIES.values()) == []


def test_no_canary_of_the_brokers_is_seen(secure_kafka: Kafka, tmp_path: Path) -> None:
    """A wrong SASL password and a key that its password does not open: told clearly, and without the secret."""
    key = load_pem_private_key(CA().issue_cert("client").private_key_pem.bytes(), None)
    path = tmp_path / "key.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"another"))
    )
    sasl = secure_kafka.properties("SASL_SSL") | {"sasl.password": CANARIES["sasl"]}
    ssl = secure_kafka.properties("SSL") | {
        "ssl.key.location": str(path),
        "ssl.key.password": CANARIES["key-password"],
    }
    for name, properties, expected in (
        ("sasl", sasl, "SASL authentication error: Authentication failed"),
        ("ssl", ssl, "ssl.key.location failed: error:"),
    ):
        servers = properties.pop("bootstrap.servers")
        config = {
            "kafka": {"bootstrap_servers": servers, "group_id": "g", "properties": properties},
            "aep": {"inlet_url": "http://127.0.0.1:9/collection/x", "ims_org_id": ORG},
            "topics": [{"topic": "t"}],
        }
        with Bridge(config, tmp_path, name=name) as bridge:
            until(lambda: expected in bridge.log_path.read_text(), 40, f"{name}: {bridge.tail()}")
            text = said(bridge)

        assert leaks(text, CANARIES.values()) == []
        assert [line for line in crashes(bridge) if "Traceback" in line] == [], text


@pytest.mark.parametrize(
    "spoil",
    [
        "kafka: {bootstrap_servers: 'k:9092', properties: {sasl.password: %s, nonsense.: 1}}",
        "x: [%s",
        "aep: {headers: {x-api-key: '%s'}}",
    ],
)
def test_a_wrong_configuration_shows_no_canary(spoil: str, tmp_path: Path) -> None:
    """Exit code 2 and a message that has the place and not the value."""
    path = tmp_path / "c.yaml"
    path.write_text(spoil % CANARIES["sasl"])
    command = [sys.executable, "-m", "bridge", "run", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2, done.stderr
    assert leaks(done.stdout + done.stderr, CANARIES.values()) == []
    assert "c.yaml:1" in done.stderr + done.stdout
