"""A real Kafka on this machine, without containers: any number of nodes, with TLS and SCRAM if wanted.

`python -m tests.support.kafka up [nodes]` runs one in the foreground and prints its addresses.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.clients import Clients
from tests.support.jars import cache, jars
from tests.support.kafka_certificates import write_certificates
from tests.support.kafka_properties import (
    PASSWORD,
    PLAIN_LISTENERS,
    SECURE_LISTENERS,
    TLS_LISTENERS,
    USER,
    broker_properties,
    secure_properties,
)
from tests.support.ports import free_port

READY_S = 90
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
    """A cluster in a directory of its own, which is removed when the context ends. Nodes are numbered from 1.

    `secure`: the nodes also have the listeners of kafka_properties.SECURE_LISTENERS. `settings`: more
    properties of the brokers. `more_listeners` need an entry in `listener.security.protocol.map`.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        secure: bool = False,
        settings: Mapping[str, str] | None = None,
        more_listeners: tuple[str, ...] = (),
    ) -> None:
        self.nodes, self.secure, self._settings = nodes, secure, settings or {}
        self.directory = Path(tempfile.mkdtemp(prefix="aep-bridge-kafka-"))
        self.listeners = (*PLAIN_LISTENERS, *(SECURE_LISTENERS if secure else ()), *more_listeners)
        self._ports = {node: self._free_ports() for node in range(1, nodes + 1)}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.ca_file = self.directory / "ca.pem"
        self._classpath = ":".join(str(jar) for jar in sorted(jars().glob("*.jar")))
        self._archive = cache() / "classes.jsa"

    def __enter__(self) -> Self:
        try:
            if self.secure:
                write_certificates(self.directory, self.ca_file)
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
        """Return the addresses of one listener on every node, as clients want them."""
        return ",".join(f"127.0.0.1:{ports[listener]}" for ports in self._ports.values())

    def properties(self, listener: str = "PLAINTEXT") -> dict[str, str]:
        """Return the properties of a client that connects to one listener."""
        properties = {"bootstrap.servers": self.bootstrap(listener)}
        if listener in SECURE_LISTENERS:
            properties |= {
                "security.protocol": "SSL" if listener in TLS_LISTENERS else listener,
                "ssl.ca.location": str(self.ca_file),
            }
        if listener == "SASL_SSL":
            properties |= {
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": USER,
                "sasl.password": PASSWORD,
            }
        if listener == "MUTUAL":
            own = str(self.directory / "client.pem")
            properties |= {"ssl.certificate.location": own, "ssl.key.location": own}
        return properties

    @property
    def clients(self) -> Clients:
        """Helpers that go through the plain listener."""
        return Clients(self.properties())

    def start(self, node: int) -> None:
        """Start a node that does not run. Does not wait for it."""
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
        """Kill a node at once, like a machine that loses its power."""
        self._processes[node].kill()
        self._processes.pop(node).wait(30)

    def terminate(self, node: int) -> None:
        """Shut a node down in good order: it first moves its leaders to other nodes."""
        process = self._processes.pop(node)
        process.send_signal(signal.SIGTERM)
        _wait_or_kill(process)

    def restart(self, node: int) -> None:
        """Start a node that was killed, and wait until every node answers."""
        self.start(node)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until every node answers. Raises `RuntimeError` with the end of the logs."""
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
        """Return the ends of the nodes' logs."""
        return "\n".join(
            f"--- {log}\n{log.read_text(errors='replace')[-3000:]}"
            for log in sorted(self.directory.glob("*.log"))
        )

    def stop(self) -> None:
        """Stop every node by its process, and remove the directory."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            _wait_or_kill(process)
        self._processes.clear()
        own_archive = self.directory / "classes.jsa"
        if own_archive.exists() and not self._archive.exists():
            shutil.copy(own_archive, self._archive.with_suffix(".tmp"))
            self._archive.with_suffix(".tmp").rename(self._archive)
        shutil.rmtree(self.directory, ignore_errors=True)

    def port(self, node: int, listener: str) -> int:
        """Return the port on which a node listens."""
        return self._ports[node][listener]

    def advertised_port(self, node: int, listener: str) -> int:
        """Return the port that a node names to its clients."""
        return self.port(node, listener)

    def _free_ports(self) -> dict[str, int]:
        return {name: free_port() for name in (*self.listeners, "CONTROLLER")}

    def _file(self, node: int) -> Path:
        return self.directory / f"server-{node}.properties"

    def _log(self, node: int) -> Path:
        return self.directory / f"server-{node}.log"

    def _format(self, node: int) -> None:
        """Write a node's properties, and format its storage."""
        advertised = {name: self.advertised_port(node, name) for name in self.listeners}
        properties = broker_properties(node, self._ports, advertised, self.directory)
        if self.secure:
            properties |= secure_properties(self.directory, self.ca_file)
        properties |= self._settings
        self._file(node).write_text(
            "".join(f"{key}={value}\n" for key, value in properties.items()), encoding="utf-8"
        )
        archive = [f"-XX:SharedArchiveFile={self._archive}"] if self._archive.exists() else []
        command = ["java", *_JVM, *archive, "-cp", self._classpath, "kafka.tools.StorageTool", "format"]
        command += ["-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", str(self._file(node))]
        if self.secure:
            command += ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=READY_S, check=False)
        if done.returncode:
            raise RuntimeError(
                f"Kafka's storage could not be formatted:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(30)


def main(arguments: list[str]) -> None:
    """Run a cluster until it is interrupted."""
    if arguments[:1] != ["up"]:
        raise SystemExit("usage: python -m tests.support.kafka up [nodes]")
    nodes = int(arguments[1]) if len(arguments) > 1 else 1
    with Kafka(nodes, settings={"auto.create.topics.enable": "true"}) as kafka:
        print(f"bootstrap.servers={kafka.bootstrap()}", flush=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main(sys.argv[1:])
