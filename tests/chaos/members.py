"""What runs in a campaign: the cluster behind its gateways, the replicas as processes, the AEP that notes times, the producer that never stops."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.simulator.accounting import Acceptance, Accounting, Seen
from tests.chaos.timeline import Arrival, LaneEvent, held
from tests.support.kafka import Kafka
from tests.support.ports import free_port
from tests.support.xdm import DATASETS, envelope

PROXIED = "PROXIED"
MARK = "x-replica"
"""The header by which AEP knows the sender."""


class Cluster(Kafka):
    """Three nodes whose listener `PROXIED` advertises other ports: those of gateways, so that the bridge can be cut off and the cluster not."""

    def __init__(self, nodes: int = 3) -> None:
        super().__init__(
            nodes,
            settings={
                "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,{PROXIED}:PLAINTEXT"
            },
        )
        self.listeners = ["PLAINTEXT", PROXIED]
        self._names = [*self.listeners, "CONTROLLER"]
        self._ports = {node: {name: free_port() for name in self._names} for node in range(1, nodes + 1)}
        self.gateways: Mapping[int, int] = {}

    def port(self, node: int) -> int:
        """Where the node really listens for the bridge."""
        return self._ports[node][PROXIED]

    @property
    def proxied(self) -> str:
        """The bridge's bootstrap servers."""
        return ",".join(f"127.0.0.1:{port}" for port in self.gateways.values())

    def _format(self, node: int) -> None:
        super()._format(node)
        path = self._file(node)
        real = f"advertised.listeners=PLAINTEXT://127.0.0.1:{self._ports[node]['PLAINTEXT']},{PROXIED}://127.0.0.1:"
        text = path.read_text()
        assert real in text
        path.write_text(text.replace(f"{real}{self._ports[node][PROXIED]}", f"{real}{self.gateways[node]}"))

    def terminate(self, node: int) -> None:
        """SIGTERM: a controlled shutdown, which moves the node's leaders to others first."""
        process = self._processes.pop(node)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


class TimedAccounting(Accounting):
    """An account that also notes when each event was accepted, of whom and under which fault, and keeps every request."""

    def __init__(self) -> None:
        self.arrivals: dict[str, list[Arrival]] = {}
        self.seen: list[Seen] = []
        self._fresh: list[str] = []
        super().__init__()

    def accept(self, acceptances: Sequence[Acceptance], *, authenticated: bool) -> None:
        super().accept(acceptances, authenticated=authenticated)
        self._fresh = [one.event_id for one in acceptances]

    def saw(self, seen: Seen, headers: Mapping[str, str], *, ingest: bool) -> None:
        """The request whose messages were accepted just now: both are told by the one thread that serves."""
        super().saw(seen, headers, ingest=ingest)
        fresh, self._fresh = self._fresh, []
        arrival = Arrival(seen.at, headers.get(MARK), seen.rule)
        for event in fresh:
            self.arrivals.setdefault(event, []).append(arrival)
        self.seen.append(seen)

    def answered(self, number: int) -> list[Seen]:
        """The requests that met a rule."""
        return [seen for seen in self.seen if seen.rule == number]

    def count(self, outcome: str) -> int:
        """Requests with such an outcome so far."""
        return self.outcomes[outcome]


_LANES = (b"partition.assigned", b"partition.revoked", b"partition.lost", b"drain.finished")


class Replica:
    """One `python -m bridge run`. Its output is a pipe, and the kernel lets it write to no file."""

    def __init__(self, number: int, config: Mapping[str, Any], folder: Path) -> None:
        self.number, self.port = number, free_port()
        self.name = f"replica-{number}"
        path = folder / f"{self.name}.yaml"
        config = {**config, "aep": {**config["aep"], "headers": {MARK: self.name}}}
        path.write_text(
            yaml.safe_dump({**config, "admin": {"host": "127.0.0.1", "port": self.port}}, sort_keys=False)
        )
        self.log = folder / f"{self.name}.log"
        self.started = time.time()
        self.stopped = False
        """Whether the campaign ended it, or asked it to end."""
        self.files: set[str] = set()
        self.peak = 0
        self.lanes: list[LaneEvent] = []
        environ = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": str(folder / "code"),
        }
        command = [sys.executable, "-m", "bridge", "run", "--config", str(path)]
        # The working directory is one where nobody can write.
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ, cwd="/proc"
        )
        resource.prlimit(
            self.process.pid, resource.RLIMIT_FSIZE, (0, 0)
        )  # no file may get a single byte: the kernel refuses it
        self._reader = threading.Thread(target=self._read, name=self.name, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("wb") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                if any(mark in line for mark in _LANES):
                    self._note(json.loads(line))

    def _note(self, entry: Mapping[str, Any]) -> None:
        at, event = datetime.fromisoformat(entry["timestamp"]).timestamp(), entry["event"]
        partitions = frozenset(int(each.rpartition("/")[2]) for each in entry.get("partitions", ()))
        if event == "drain.finished":
            if entry["abandoned_records"]:
                self.lanes.append(LaneEvent(at, "cut off", frozenset()))
            return
        if event == "partition.revoked" and entry["open_requests"]:
            self.lanes.append(LaneEvent(at, "cut off", partitions))
        self.lanes.append(LaneEvent(at, event.removeprefix("partition."), partitions))

    @property
    def held(self) -> frozenset[int]:
        """The partitions that it has, as it says."""
        return held(list(self.lanes))

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def inspect(self) -> None:
        """Notes which files it has open for writing, and its peak memory."""
        with suppress(OSError, ValueError):
            for each in os.scandir(f"/proc/{self.pid}/fd"):
                with suppress(OSError):
                    target = os.readlink(each.path)
                    flags = int(
                        Path(f"/proc/{self.pid}/fdinfo/{each.name}")
                        .read_text()
                        .split("flags:")[1]
                        .split()[0],
                        8,
                    )
                    if (
                        target.startswith("/")
                        and not target.startswith("/dev/")
                        and flags & (os.O_WRONLY | os.O_RDWR)
                    ):
                        self.files.add(target)
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.peak = max(self.peak, int(line.split()[1]) << 10)

    @property
    def begun(self) -> bool:
        """Whether it got as far as reading records; before that a SIGTERM ends it as it ends any process."""
        return b"bridge.started" in self.log.read_bytes()

    def ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def signal(self, number: int) -> None:
        """To this process only."""
        self.inspect()
        if number in {signal.SIGTERM, signal.SIGKILL}:
            self.stopped = True
        self.process.send_signal(number)

    def end(self, timeout_s: float) -> int:
        """SIGTERM, and SIGABRT where that takes too long, which writes all stacks into the log. The exit code."""
        if self.alive and not self.stopped:  # a second SIGTERM would end it at once
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            code = self.process.wait(30)
        self._reader.join(5)
        return code


@dataclass
class Producing:
    """A producer that never stops: unique ids, a share refused by AEP, a share that is no event at all. Every acknowledgement is noted."""

    properties: Mapping[str, Any]
    topic: str
    org: str
    per_s: float
    size: int
    seed: int
    refused_share: float = 0.01
    junk_share: float = 0.005
    asked: dict[str, str] = field(default_factory=dict)
    """Id → `good`, `refused` or `junk`, of everything handed to the client."""
    acknowledged: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """Id → partition and offset; None where the broker had it from an earlier attempt, and does not say where."""
    failed: dict[str, str] = field(default_factory=dict)
    bad: int = 0
    """How many were acknowledged that belong into the dead-letter topic."""

    def start(self) -> None:
        """Begins, in a thread of its own."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends, and waits for every acknowledgement."""
        self._stop.set()
        self._thread.join(120)

    def value(self, event: str) -> bytes:
        """What was produced under an id."""
        rng = random.Random(event)
        kind = self.asked[event]
        if kind == "junk":
            return rng.choice(
                [
                    b"not json",
                    b'{"a":',
                    b"[1]",
                    b'"text"',
                    b"\xff\xfe",
                    b'{"header":{"datasetId":"x"},"body":"\xff"}',
                ]
            )
        org = self.org if kind == "good" else "SOMEBODYELSE@AdobeOrg"
        return envelope(event, org, dataset=rng.choice(DATASETS), size=self.size)

    def _run(self) -> None:
        rng = random.Random(self.seed)
        settings = {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 10,
            "delivery.timeout.ms": 600_000,
            "topic.metadata.refresh.interval.ms": 3000,
        }
        producer = Producer(
            {**self.properties, **settings, "queue.buffering.max.messages": 1_000_000, "log_level": 0}
        )

        def delivered(error: KafkaError | None, message: Message) -> None:
            event = (message.key() or b"").decode()
            if error is None:
                self.acknowledged[event] = (message.partition() or 0, message.offset())
                self.bad += self.asked[event] != "good"
            else:
                self.failed[event] = error.str()

        began, number = time.monotonic(), 0
        while not self._stop.wait(0.01):
            due = int((time.monotonic() - began) * self.per_s)
            while number < due:
                event, draw = f"e{number:08}", rng.random()
                self.asked[event] = (
                    "junk"
                    if draw < self.junk_share
                    else "refused"
                    if draw < self.junk_share + self.refused_share
                    else "good"
                )
                with suppress(BufferError, KafkaException):
                    producer.produce(self.topic, self.value(event), event.encode(), on_delivery=delivered)
                    number += 1
                    continue
                producer.poll(0.1)
            producer.poll(0)
        producer.flush(100)
