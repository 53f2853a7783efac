"""TLS, mTLS, SASL and proxies through the whole process: working where right, and told clearly where wrong."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from bridge.simulator import Config, Simulator
from tests.hostile.conftest import ORG, Configure, crashes, done, events, said
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.kafka import Kafka
from tests.support.proxy import ProxyServer
from tests.support.rawserver import Peer, RawServer, response

pytestmark = pytest.mark.timeout(120)


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's context with this certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


def accepting(peer: Peer) -> None:
    """Says 207 to everything."""
    while peer.request():
        peer.send(response())


def test_everything_secured_works(secure_kafka: Kafka, tmp_path: Path) -> None:
    """SASL_SSL with SCRAM-SHA-512, AEP with a private authority and mTLS, through an HTTP proxy with a password, tokens included."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server, client = (
        authority.issue_cert("localhost", "127.0.0.1"),
        authority.issue_cert("bridge@example.com"),
    )
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    (tmp_path / "server.pem").write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    topic, group = secure_kafka.clients.create_topic(unique("secured")), unique("group")
    secure_kafka.clients.produce(topic, [*events(200), b"junk"])
    tls = {
        "tls_cert": str(tmp_path / "server.pem"),
        "tls_key": str(tmp_path / "server.key"),
        "tls_client_ca": str(tmp_path / "ca.pem"),
    }
    properties: dict[str, Any] = secure_kafka.properties("SASL_SSL")
    servers = properties.pop("bootstrap.servers")
    (tmp_path / "sasl").write_text(properties.pop("sasl.password") + "\n")
    properties["sasl.password_file"] = str(tmp_path / "sasl")
    with (
        ProxyServer("user:pass@word") as proxy,
        Simulator(Config(org=ORG, require_auth=True, client_secrets=["s3cret"], **tls)) as sim,
    ):
        config = {
            "kafka": {"bootstrap_servers": servers, "group_id": group, "properties": properties},
            "aep": {
                "inlet_url": sim.inlet_url,
                "ims_org_id": ORG,
                "ca_file": str(tmp_path / "ca.pem"),
                "client_cert_file": str(tmp_path / "client.pem"),
                "proxy_url": proxy.address("user:pass%40word"),
                "auth": {
                    "token_url": sim.token_url,
                    "client_id": sim.config.client_id,
                    "client_secret": "s3cret",
                    "scope": "s",
                },
            },
            "topics": [{"topic": topic}],
        }
        with Bridge(config, tmp_path) as bridge:
            until(lambda: done(secure_kafka, group, topic), 60, bridge.tail())

            assert bridge.stop() == 0
        assert len(sim.accepted) == 200
        assert len(secure_kafka.clients.read_all(f"{topic}.dlq")) == 1
        assert proxy.request_lines
        assert all(line.startswith("CONNECT ") for line in proxy.request_lines)


def test_a_certificate_is_enough_for_brokers_that_ask_for_one(secure_kafka: Kafka, tmp_path: Path) -> None:
    """mTLS without SASL: records are read, delivered and committed, and a dead letter is written."""
    topic, group = secure_kafka.clients.create_topic(unique("mutual")), unique("group")
    secure_kafka.clients.produce(topic, [*events(20), b"junk"])
    properties: dict[str, Any] = secure_kafka.properties("MUTUAL")
    with Simulator(Config(org=ORG)) as sim:
        config = {
            "kafka": {
                "bootstrap_servers": properties.pop("bootstrap.servers"),
                "group_id": group,
                "properties": properties,
            },
            "aep": {"inlet_url": sim.inlet_url, "ims_org_id": ORG},
            "topics": [{"topic": topic}],
        }
        with Bridge(config, tmp_path) as bridge:
            until(lambda: done(secure_kafka, group, topic), 60, bridge.tail())

            assert bridge.stop() == 0
        assert len(sim.accepted) == 20
        assert len(secure_kafka.clients.read_all(f"{topic}.dlq")) == 1


def test_what_is_wrong_with_tls_and_proxies_is_said(
    kafka: Kafka, configure: Configure, tmp_path: Path
) -> None:
    """One process, six inlets, each wrong in its own way: each is held with a text that names the cause; nothing is lost, buried, or crashes."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ca = {"ca_file": str(tmp_path / "ca.pem")}
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    expired = authority.issue_cert(
        "localhost", not_before=long_ago, not_after=long_ago + datetime.timedelta(days=1)
    )
    mutual = context(authority.issue_cert("localhost"))
    mutual.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(mutual)
    with (
        RawServer(accepting, context(authority.issue_cert("localhost"))) as good,
        RawServer(accepting, context(authority.issue_cert("elsewhere.example"))) as elsewhere,
        RawServer(accepting, context(expired)) as old,
        RawServer(accepting, mutual) as asking,
        ProxyServer("user:right") as proxy,
        ProxyServer() as down,
    ):
        down.__exit__(None, None, None)
        variants: dict[str, tuple[RawServer, dict[str, Any], str]] = {
            "unknown-authority": (good, {}, "not trusted"),
            "wrong-host": (elsewhere, ca, "Hostname mismatch"),
            "expired": (old, ca, "expired"),
            "no-client-cert": (asking, ca, f"localhost:{asking.port}"),
            "proxy-password": (good, {**ca, "proxy_url": proxy.address("user:pw-canary-91")}, "407"),
            "proxy-down": (good, {**ca, "proxy_url": down.address()}, f"127.0.0.1:{down.port}"),
        }
        topics = []
        for name, (server, inlet, _) in variants.items():
            topic = kafka.clients.create_topic(unique(name))
            kafka.clients.produce(topic, events(5))
            topics.append(
                {
                    "topic": topic,
                    "aep": {"inlet_url": server.url.replace("/batch/inlet", f"/{name}"), **inlet},
                }
            )
        with Bridge(configure(good.url.replace("/batch/", "/"), *topics), tmp_path) as bridge:

            def held() -> dict[str, str]:
                return {
                    inlet["name"]: str(inlet["held"])
                    for inlet in bridge.status().get("inlets", [])
                    if inlet["held"]
                }

            until(lambda: len(held()) == len(variants), 60, bridge.tail())
            found = held()

            assert crashes(bridge) == []
            assert "pw-canary-91" not in said(bridge)
        for name, (_, _, expected) in variants.items():
            text = next(text for inlet, text in found.items() if inlet.startswith(name[:12]))

            assert expected in text, name
        for topic in topics:
            assert kafka.clients.read_all(f"{topic['topic']}.dlq") == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("password", "SASL authentication error: Authentication failed"),
        ("authority", "certificate verify failed"),
        ("ELSEWHERE", "it is for another name, or not valid today"),
        ("MUTUAL", "the listener wants a client's certificate that it trusts: set ssl.certificate.location"),
    ],
)
def test_what_is_wrong_with_the_brokers_is_said(
    change: str, expected: str, secure_kafka: Kafka, tmp_path: Path
) -> None:
    """A wrong SCRAM password, brokers whose authority is unknown or whose certificate is for another name, and a client's certificate that is of somebody
    else: alive, not ready, and the log has the reason."""
    properties: dict[str, Any] = secure_kafka.properties(change if change.isupper() else "SASL_SSL")
    servers = properties.pop("bootstrap.servers")
    if change == "password":
        properties["sasl.password"] = "not-it"
    elif change == "MUTUAL":
        trustme.CA().issue_cert("bridge@example.com").private_key_and_cert_chain_pem.write_to_path(
            str(tmp_path / "strange.pem")
        )
        properties |= dict.fromkeys(
            ("ssl.certificate.location", "ssl.key.location"), str(tmp_path / "strange.pem")
        )
    elif change == "authority":
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        properties["ssl.ca.location"] = str(tmp_path / "other.pem")
    config = {
        "kafka": {"bootstrap_servers": servers, "group_id": "g", "properties": properties},
        "aep": {"inlet_url": "http://127.0.0.1:9/collection/x", "ims_org_id": ORG},
        "topics": [{"topic": "t"}],
    }
    with Bridge(config, tmp_path) as bridge:
        until(lambda: expected in bridge.log_path.read_text(), 40, bridge.tail())

        assert bridge._get("/livez") == 200
        assert bridge._get("/readyz") == 503
        assert crashes(bridge) == []
