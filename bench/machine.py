"""Where the bench runs: a broker with filled topics, sinks, certificates, and what the machine is."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import confluent_kafka
import trustme
import yaml
from confluent_kafka import Producer

from bench.events import ORG, PARTITIONS, events
from bench.farend import FarEnd
from bench.process import Child
from tests.support.clients import Clients
from tests.support.kafka import Kafka
from tests.support.ports import free_port


class Lab:
    """A broker, its topics and a folder; gone when the context ends."""

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

    def topic(self, partitions: int = PARTITIONS) -> str:
        """A new one, empty."""
        return self.clients.create_topic(f"bench-{uuid.uuid4().hex[:8]}", partitions)

    def filled(self, count: int, size: int, partitions: int = PARTITIONS, shape: str = "envelope") -> str:
        """A topic with so many events of this shape, evenly over its partitions, uncompressed."""
        name = self.topic(partitions)
        producer = Producer(
            {**self.kafka.properties(), "linger.ms": 50, "queue.buffering.max.kbytes": 262_144, "acks": "1"}
        )
        for number, value in enumerate(events(count, size, shape)):
            while True:
                try:
                    producer.produce(name, value, partition=number % partitions)
                    break
                except BufferError:
                    producer.poll(0.05)
        assert producer.flush(120) == 0
        return name

    def sink(self, *, tls: bool) -> FarEnd:
        """A sink that runs until it is killed."""
        arguments = ["bench.sink", *([str(self.certificate), str(self.key)] if tls else [])]
        return FarEnd(Child(arguments, self.folder / "sink.log", pipes=True), tls=tls)

    def config(
        self,
        topic: str,
        url: str,
        name: str,
        route: Mapping[str, str] | None = None,
        **sections: dict[str, Any],
    ) -> Path:
        """A configuration file with what can't have a default, and what is asked for; `route` is what the mapping says of the topic."""
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


def describe() -> dict[str, Any]:
    """The machine, the versions and the moment. A revision with a `+` is one whose `bridge/` or `bench/` was changed since."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    revision = _git("rev-parse", "--short", "HEAD") + (
        "+" if _git("status", "--porcelain", "--", "bridge", "bench") else ""
    )
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "confluent_kafka": confluent_kafka.version()[0]
        if isinstance(confluent_kafka.version(), tuple)
        else confluent_kafka.version(),
        "librdkafka": confluent_kafka.libversion()[0],
        "revision": revision,
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()
