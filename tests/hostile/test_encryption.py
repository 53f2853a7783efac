"""TLS, mTLS, SASL and proxies through the whole process: they work, and each mistake is named clearly."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from bridge.simulator import Config, Simulator
from tests.hostile.conftest import ORG, Configure, good_events, visible_text
from tests.support.bridge import Bridge
from tests.support.clients import unique, until
from tests.support.delivery import all_committed
from tests.support.kafka import Kafka
from tests.support.proxy import ProxyServer
from tests.support.rawserver import Peer, RawServer, response

pytestmark = pytest.mark.timeout(120)


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return a server's TLS context with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def accepting(peer: Peer) -> None:
    """Answer 207 to every request."""
    while peer.request():
        peer.send(response())


def test_sasl_private_authority_mutual_tls_and_proxy_work_together(
    secure_kafka: Kafka, tmp_path: Path
) -> None:
    """The brokers want SCRAM-SHA-512 and AEP a client's certificate; tokens too go through the proxy."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = authority.issue_cert("localhost", "127.0.0.1")
    client = authority.issue_cert("bridge@example.com")
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    (tmp_path / "server.pem").write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    topic, group = secure_kafka.clients.create_topic(unique("secured")), unique("group")
    secure_kafka.clients.produce(topic, [*good_events(200), b"junk"])
    tls = {
        "tls_cert": str(tmp_path / "server.pem"),
        "tls_key": str(tmp_path / "server.key"),
        "tls_client_ca": str(tmp_path / "ca.pem"),
    }
    properties: dict[str, Any] = secure_kafka.properties("SASL_SSL")
    servers = properties.pop("bootstrap.servers")
    (tmp_path / "sasl").write_text(properties.pop("sasl.password") + "\n")
    properties["sasl.password_file"] = str(tmp_path / "sasl")
    simulator = Simulator(Config(org=ORG, require_auth=True, client_secrets=("s3cret",), **tls))
    with ProxyServer("user:pass@word") as proxy, simulator as sim:
        auth = {
            "token_url": sim.token_url,
            "client_id": sim.config.client_id,
            "client_secret": "s3cret",
            "scope": "s",
        }
        aep = {
            "inlet_url": sim.inlet_url,
            "ims_org_id": ORG,
            "ca_file": str(tmp_path / "ca.pem"),
            "client_cert_file": str(tmp_path / "client.pem"),
            "proxy_url": proxy.address("user:pass%40word"),
            "auth": auth,
        }
        kafka = {"bootstrap_servers": servers, "group_id": group, "properties": properties}
        with Bridge({"kafka": kafka, "aep": aep, "topics": [{"topic": topic}]}, tmp_path) as bridge:
            until(lambda: all_committed(secure_kafka, group, topic), 60, bridge.tail())

            assert bridge.stop() == 0
        assert len(sim.accepted) == 200
        assert len(secure_kafka.clients.read_all(f"{topic}.dlq")) == 1
        assert proxy.request_lines
        assert all(line.startswith("CONNECT ") for line in proxy.request_lines)


def test_a_certificate_is_enough_for_brokers_that_ask_for_one(secure_kafka: Kafka, tmp_path: Path) -> None:
    """With mTLS and without SASL, records are read, delivered and committed, and a dead letter is written."""
    topic, group = secure_kafka.clients.create_topic(unique("mutual")), unique("group")
    secure_kafka.clients.produce(topic, [*good_events(20), b"junk"])
    properties: dict[str, Any] = secure_kafka.properties("MUTUAL")
    servers = properties.pop("bootstrap.servers")
    with Simulator(Config(org=ORG)) as sim:
        config = {
            "kafka": {"bootstrap_servers": servers, "group_id": group, "properties": properties},
            "aep": {"inlet_url": sim.inlet_url, "ims_org_id": ORG},
            "topics": [{"topic": topic}],
        }
        with Bridge(config, tmp_path) as bridge:
            until(lambda: all_committed(secure_kafka, group, topic), 60, bridge.tail())

            assert bridge.stop() == 0
        assert len(sim.accepted) == 20
        assert len(secure_kafka.clients.read_all(f"{topic}.dlq")) == 1


def test_each_mistake_of_tls_and_proxies_is_named(kafka: Kafka, configure: Configure, tmp_path: Path) -> None:
    """Six inlets of one process have one mistake each, and are held with a text that names its cause.

    Nothing is lost or dead-lettered, and nothing crashes.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ca = {"ca_file": str(tmp_path / "ca.pem")}
    start = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    end = start + datetime.timedelta(days=1)
    expired = authority.issue_cert("localhost", not_before=start, not_after=end)
    mutual = server_context(authority.issue_cert("localhost"))
    mutual.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(mutual)
    with (
        RawServer(accepting, server_context(authority.issue_cert("localhost"))) as good,
        RawServer(accepting, server_context(authority.issue_cert("elsewhere.example"))) as other_host,
        RawServer(accepting, server_context(expired)) as old,
        RawServer(accepting, mutual) as asking,
        ProxyServer("user:right") as proxy,
        ProxyServer() as down,
    ):
        down.__exit__(None, None, None)
        mistakes: dict[str, tuple[RawServer, dict[str, Any], str]] = {
            "unknown-authority": (good, {}, "not trusted"),
            "wrong-host": (other_host, ca, "Hostname mismatch"),
            "expired": (old, ca, "expired"),
            "no-client-cert": (asking, ca, f"localhost:{asking.port}"),
            "proxy-password": (good, {**ca, "proxy_url": proxy.address("user:pw-canary-91")}, "407"),
            "proxy-down": (good, {**ca, "proxy_url": down.address()}, f"127.0.0.1:{down.port}"),
        }
        routes = []
        for name, (server, inlet, _) in mistakes.items():
            topic = kafka.clients.create_topic(unique(name))
            kafka.clients.produce(topic, good_events(5))
            inlet_url = server.url.replace("/batch/inlet", f"/{name}")
            routes.append({"topic": topic, "aep": {"inlet_url": inlet_url, **inlet}})
        with Bridge(configure(good.url.replace("/batch/", "/"), *routes), tmp_path) as bridge:

            def held_inlets() -> dict[str, str]:
                inlets = bridge.status().get("inlets", [])
                return {inlet["name"]: str(inlet["held"]) for inlet in inlets if inlet["held"]}

            until(lambda: len(held_inlets()) == len(mistakes), 60, bridge.tail())
            held = held_inlets()

            assert bridge.crash_lines() == []
            assert "pw-canary-91" not in visible_text(bridge)
        for name, (_, _, cause) in mistakes.items():
            text = next(text for inlet, text in held.items() if inlet.startswith(name[:12]))

            assert cause in text, name
        for route in routes:
            assert kafka.clients.read_all(f"{route['topic']}.dlq") == []


@pytest.mark.parametrize(
    ("mistake", "reason"),
    [
        ("password", "SASL authentication error: Authentication failed"),
        ("authority", "certificate verify failed"),
        ("ELSEWHERE", "it is for another name, or not valid today"),
        ("MUTUAL", "the listener wants a client's certificate that it trusts: set ssl.certificate.location"),
    ],
)
def test_each_mistake_of_the_brokers_properties_is_named(
    mistake: str, reason: str, secure_kafka: Kafka, tmp_path: Path
) -> None:
    """The process is alive and not ready, and the log has the reason.

    The mistakes are a wrong SCRAM password, an unknown authority, a certificate of the brokers for another
    name, and a certificate of a client that the brokers do not trust.
    """
    properties: dict[str, Any] = secure_kafka.properties(mistake if mistake.isupper() else "SASL_SSL")
    servers = properties.pop("bootstrap.servers")
    if mistake == "password":
        properties["sasl.password"] = "not-it"
    elif mistake == "MUTUAL":
        path = str(tmp_path / "strange.pem")
        trustme.CA().issue_cert("bridge@example.com").private_key_and_cert_chain_pem.write_to_path(path)
        properties |= {"ssl.certificate.location": path, "ssl.key.location": path}
    elif mistake == "authority":
        path = str(tmp_path / "other.pem")
        trustme.CA().cert_pem.write_to_path(path)
        properties["ssl.ca.location"] = path
    config = {
        "kafka": {"bootstrap_servers": servers, "group_id": "g", "properties": properties},
        "aep": {"inlet_url": "http://127.0.0.1:9/collection/x", "ims_org_id": ORG},
        "topics": [{"topic": "t"}],
    }
    with Bridge(config, tmp_path) as bridge:
        until(lambda: reason in bridge.log_text(), 40, bridge.tail())

        assert bridge.status_code("/livez") == 200
        assert bridge.status_code("/readyz") == 503
        assert bridge.crash_lines() == []
