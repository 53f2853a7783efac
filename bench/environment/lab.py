"""The lab in which everything runs: a real broker, its topics, TLS certificates, and configuration files."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
import yaml

from bench.environment.events import ORG, PARTITIONS, events
from bench.environment.process import ChildProcess
from bench.environment.producer import produce_all
from bench.environment.sink_process import SinkProcess
from tests.support.clients import Clients
from tests.support.kafka import Kafka
from tests.support.ports import free_port


class Lab:
    """A broker, its topics and a folder. All of it is deleted when the context ends."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """`settings`: more properties of the broker."""
        self._temporary = tempfile.TemporaryDirectory(prefix="aep-bridge-bench-")
        self.folder = Path(self._temporary.name)
        self.kafka = Kafka(
            settings={"log.retention.ms": "-1", "log.segment.bytes": "268435456", **(settings or {})}
        )
        authority = trustme.CA()
        self.ca = self.folder / "ca.pem"
        self.certificate, self.key = self.folder / "sink.pem", self.folder / "sink.key"
        authority.cert_pem.write_to_path(str(self.ca))
        server = authority.issue_cert("127.0.0.1", "localhost")
        server.private_key_pem.write_to_path(str(self.key))
        self.certificate.write_bytes(b"".join(pem.bytes() for pem in server.cert_chain_pems))

    def __enter__(self) -> Self:
        self.kafka.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kafka.stop()
        self._temporary.cleanup()

    @property
    def clients(self) -> Clients:
        return self.kafka.clients

    def create_topic(self, partitions: int = PARTITIONS) -> str:
        """Create an empty topic and return its name."""
        return self.clients.create_topic(f"bench-{uuid.uuid4().hex[:8]}", partitions)

    def create_filled_topic(
        self, count: int, size: int, partitions: int = PARTITIONS, shape: str = "envelope"
    ) -> str:
        """Create a topic with `count` events, evenly over its partitions, and return its name."""
        topic = self.create_topic(partitions)
        produce_all(self.kafka.properties(), topic, events(count, size, shape), partitions=partitions)
        return topic

    def start_sink(self, *, tls: bool) -> SinkProcess:
        """Start a sink, which runs until it is killed."""
        certificate = [str(self.certificate), str(self.key)] if tls else []
        child = ChildProcess(["bench.programs.sink", *certificate], self.folder / "sink.log", pipes=True)
        return SinkProcess(child, tls=tls)

    def start_bridge(self, config: Path, log: str = "bridge.log") -> ChildProcess:
        """Start a bridge with this configuration file, as a user would."""
        return ChildProcess(["bridge", "run", "--config", str(config)], self.folder / log)

    def write_config(
        self,
        topic: str,
        url: str,
        name: str,
        route: Mapping[str, str] | None = None,
        **sections: dict[str, Any],
    ) -> Path:
        """Write a configuration file and return its path.

        It holds what has no default, the topic's `route` settings, and `sections`, laid over the rest.
        """
        config: dict[str, Any] = {
            "kafka": {
                "bootstrap_servers": self.kafka.bootstrap(),
                "group_id": f"group-{uuid.uuid4().hex[:8]}",
            },
            "aep": {
                "inlet_url": url,
                "ims_org_id": ORG,
                **({"ca_file": str(self.ca)} if url.startswith("https") else {}),
            },
            "topics": [{"topic": topic, **(route or {})}],
            "admin": {"host": "127.0.0.1", "port": free_port()},
        }
        for key, section in sections.items():
            config[key] = {**config.get(key, {}), **section}
        path = self.folder / f"{name}-{uuid.uuid4().hex[:8]}.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path
