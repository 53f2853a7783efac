"""A real Kafka on this machine, without containers: one node or three, with TLS and SCRAM listeners where asked for.

`python -m tests.support.kafka up [nodes]` runs one in the foreground and prints its addresses.
"""

from __future__ import annotations

import datetime
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import trustme
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support.clients import Clients
from tests.support.jars import cache, jars
from tests.support.ports import free_port

USER, PASSWORD = "alice", "alice-secret"
READY_S = 90
_ODD = ("MUTUAL", "ELSEWHERE", "EXPIRED")
_JVM = [
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xms128m",
    "-Xmx512m",
    "-Xshare:auto",
    "-Xlog:cds=off",
    "-Xlog:cds+dynamic=off",
]


class Kafka:
    """A cluster in a directory of its own, gone when the context ends. Nodes are numbered from 1.

    `secure`: also listens with TLS, and with SASL_SSL SCRAM-SHA-512 for `USER`; with TLS and a client's certificate (MUTUAL); and with certificates
    for another name (ELSEWHERE) and of long ago (EXPIRED). `settings`: more broker properties.
    """

    def __init__(
        self, nodes: int = 1, *, secure: bool = False, settings: dict[str, str] | None = None
    ) -> None:
        self.nodes, self.secure, self._settings = nodes, secure, settings or {}
        self.directory = Path(tempfile.mkdtemp(prefix="aep-bridge-kafka-"))
        self.listeners = ["PLAINTEXT", "SSL", "SASL_SSL", *_ODD] if secure else ["PLAINTEXT"]
        self._names = [*self.listeners, "CONTROLLER"]
        self._ports = {node: {name: free_port() for name in self._names} for node in range(1, nodes + 1)}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.ca_file = self.directory / "ca.pem"
        self._classpath = ":".join(str(jar) for jar in sorted(jars().glob("*.jar")))
        self._archive = cache() / "classes.jsa"

    def __enter__(self) -> Self:
        try:
            if self.secure:
                self._write_certificates()
            for node in self._ports:
                self._format(node)
            for node in self._ports:
                self.start(node)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def bootstrap(self, listener: str = "PLAINTEXT") -> str:
        """The address list of one listener."""
        return ",".join(f"127.0.0.1:{ports[listener]}" for ports in self._ports.values())

    def properties(self, listener: str = "PLAINTEXT") -> dict[str, str]:
        """The client properties that connect to one listener."""
        found = {"bootstrap.servers": self.bootstrap(listener)}
        if listener != "PLAINTEXT":
            found |= {
                "security.protocol": "SSL" if listener in _ODD else listener,
                "ssl.ca.location": str(self.ca_file),
            }
        if listener == "SASL_SSL":
            found |= {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": USER, "sasl.password": PASSWORD}
        if listener == "MUTUAL":
            found |= dict.fromkeys(
                ("ssl.certificate.location", "ssl.key.location"), str(self.directory / "client.pem")
            )
        return found

    @property
    def clients(self) -> Clients:
        """Helpers that go through the plain listener."""
        return Clients(self.properties())

    def start(self, node: int) -> None:
        """Starts a node that does not run; does not wait for it."""
        command = ["java", *_JVM]
        writes_archive = not self._archive.exists() and self.nodes == 1
        if writes_archive:
            command.append(f"-XX:ArchiveClassesAtExit={self.directory / 'classes.jsa'}")
        elif self._archive.exists():
            command.append(f"-XX:SharedArchiveFile={self._archive}")
        with self._log(node).open("ab") as log:
            self._processes[node] = subprocess.Popen(
                [*command, "-cp", self._classpath, "kafka.Kafka", str(self._file(node))],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, node: int) -> None:
        """SIGKILL, as a machine that goes away."""
        self._processes[node].kill()
        self._processes.pop(node).wait(30)

    def restart(self, node: int) -> None:
        """Starts a killed node and waits until the cluster is whole again."""
        self.start(node)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Every node answers, and a controller is elected; raises `RuntimeError` with the end of the logs."""
        deadline = time.monotonic() + READY_S
        admin = AdminClient({**self.properties(), "log_level": 0})
        while True:
            if (
                any(process.poll() is not None for process in self._processes.values())
                or time.monotonic() > deadline
            ):
                raise RuntimeError(f"Kafka was not ready within {READY_S} s\n" + self.tail())
            try:
                if len(admin.list_topics(timeout=1).brokers) == self.nodes:
                    return
            except KafkaException:
                time.sleep(0.02)

    def tail(self) -> str:
        """The ends of the nodes' logs."""
        return "\n".join(
            f"--- {log}\n{log.read_text(errors='replace')[-3000:]}"
            for log in sorted(self.directory.glob("*.log"))
        )

    def stop(self) -> None:
        """Stops every node by its process and removes the directory."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
        self._processes.clear()
        dumped = self.directory / "classes.jsa"
        if dumped.exists() and not self._archive.exists():
            shutil.copy(dumped, self._archive.with_suffix(".tmp"))
            self._archive.with_suffix(".tmp").rename(self._archive)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _file(self, node: int) -> Path:
        return self.directory / f"server-{node}.properties"

    def _log(self, node: int) -> Path:
        return self.directory / f"server-{node}.log"

    def _format(self, node: int) -> None:
        ports = self._ports[node]
        copies = str(min(self.nodes, 3))
        settings = {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": ",".join(
                f"{each}@127.0.0.1:{self._ports[each]['CONTROLLER']}" for each in self._ports
            ),
            "listeners": ",".join(f"{name}://127.0.0.1:{ports[name]}" for name in self._names),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{ports[name]}" for name in self.listeners),
            "listener.security.protocol.map": ",".join(
                [
                    "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
                    *(f"{name}:SSL" for name in _ODD),
                ]
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.directory / f"data-{node}"),
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": "2" if self.nodes >= 3 else "1",
            "min.insync.replicas": "2" if self.nodes >= 3 else "1",
            "default.replication.factor": copies,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "100",
            "group.consumer.min.session.timeout.ms": "1000",
            "group.consumer.min.heartbeat.interval.ms": "100",
            "group.consumer.heartbeat.interval.ms": "200",
            "group.consumer.session.timeout.ms": "6000",
            "log.cleaner.dedupe.buffer.size": "2097152",
            **self._settings,
        }
        if self.secure:
            settings |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(self.directory / "server.pem"),
                "listener.name.mutual.ssl.client.auth": "required",
                **{
                    f"listener.name.{name}.ssl.keystore.location": str(self.directory / f"{name}.pem")
                    for name in ("elsewhere", "expired")
                },
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.ca_file),
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            }
        self._file(node).write_text(
            "".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8"
        )
        command = [
            "java",
            *_JVM,
            *([f"-XX:SharedArchiveFile={self._archive}"] if self._archive.exists() else []),
            "-cp",
            self._classpath,
        ]
        command += [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "AAAAAAAAAAAAAAAAAAAAAQ",
            "-c",
            str(self._file(node)),
        ]
        if self.secure:
            command += ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=READY_S, check=False)
        if done.returncode:
            raise RuntimeError(
                f"Kafka's storage could not be formatted:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )

    def _write_certificates(self) -> None:
        authority = trustme.CA()
        day, names = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC), ("127.0.0.1", "localhost")
        issued = {
            "server": authority.issue_cert(*names),
            "elsewhere": authority.issue_cert("elsewhere.example"),
            "expired": authority.issue_cert(
                *names, not_before=day, not_after=day + datetime.timedelta(days=1)
            ),
            "client": authority.issue_cert("bridge@example.com"),
        }
        for name, each in issued.items():
            key = load_pem_private_key(each.private_key_pem.bytes(), None)
            parts = [
                key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            ]  # the broker reads PKCS #8 only
            (self.directory / f"{name}.pem").write_bytes(
                b"".join([*parts, *(part.bytes() for part in each.cert_chain_pems)])
            )
        authority.cert_pem.write_to_path(str(self.ca_file))


def main(arguments: list[str]) -> None:
    """Runs a cluster until it is interrupted."""
    if arguments[:1] != ["up"]:
        raise SystemExit("usage: python -m tests.support.kafka up [nodes]")
    with Kafka(
        int(arguments[1]) if len(arguments) > 1 else 1, settings={"auto.create.topics.enable": "true"}
    ) as kafka:
        print(f"bootstrap.servers={kafka.bootstrap()}", flush=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main(sys.argv[1:])
