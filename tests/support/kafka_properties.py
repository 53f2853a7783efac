"""The properties of the brokers of a Kafka for tests: small, quick to start, and with short time-outs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

USER, PASSWORD = "alice", "alice-secret"
"""Of the SASL_SSL listener."""

PLAIN_LISTENERS = ("PLAINTEXT",)
TLS_LISTENERS = ("SSL", "MUTUAL", "ELSEWHERE", "EXPIRED")
"""With TLS; with TLS, and wanting a client's certificate; with a certificate for another name; with an
expired one."""
SECURE_LISTENERS = ("SASL_SSL", *TLS_LISTENERS)
"""SASL_SSL wants SCRAM-SHA-512."""


def broker_properties(
    node: int,
    ports: Mapping[int, Mapping[str, int]],
    advertised: Mapping[str, int],
    directory: Path,
) -> dict[str, str]:
    """Return the properties of a node, which is a broker and a controller.

    `ports` has the port of each listener of each node; "CONTROLLER" is the listener of the controllers.
    `advertised` has the ports that the node names to its clients.
    """
    voters = [f"{each}@127.0.0.1:{ports[each]['CONTROLLER']}" for each in ports]
    protocols = ["CONTROLLER:PLAINTEXT", "PLAINTEXT:PLAINTEXT", "SASL_SSL:SASL_SSL"]
    replicas = str(min(len(ports), 3))
    in_sync = "2" if len(ports) >= 3 else "1"
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": ",".join(voters),
        "listeners": _addresses(ports[node]),
        "advertised.listeners": _addresses(advertised),
        "listener.security.protocol.map": ",".join([*protocols, *(f"{name}:SSL" for name in TLS_LISTENERS)]),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(directory / f"data-{node}"),
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "min.insync.replicas": in_sync,
        "default.replication.factor": replicas,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "100",
        "group.consumer.min.session.timeout.ms": "1000",
        "group.consumer.min.heartbeat.interval.ms": "100",
        "group.consumer.heartbeat.interval.ms": "200",
        "group.consumer.session.timeout.ms": "6000",
        "log.cleaner.dedupe.buffer.size": "2097152",
    }


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def secure_properties(directory: Path, ca_file: Path) -> dict[str, str]:
    """Return what a node with `SECURE_LISTENERS` needs besides. The certificates are those of
    kafka_certificates.
    """
    own_certificates = {
        f"listener.name.{name}.ssl.keystore.location": str(directory / f"{name}.pem")
        for name in ("elsewhere", "expired")
    }
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(directory / "server.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        **own_certificates,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(ca_file),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }
