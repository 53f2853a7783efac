"""A producer that never stops: unique ids, a share that AEP refuses, a share that is no event at all."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tests.support.xdm import DATASETS, envelope

JUNK = (b"not json", b'{"a":', b"[1]", b'"text"', b"\xff\xfe", b'{"header":{"datasetId":"x"},"body":"\xff"}')
FOREIGN_ORG = "SOMEBODYELSE@AdobeOrg"
"""AEP refuses events of this organisation."""


@dataclass
class EventProducer:
    """Produces in a thread of its own, and notes every acknowledgement."""

    properties: Mapping[str, Any]
    topic: str
    org: str
    per_s: float
    size: int
    seed: int
    refused_share: float = 0.01
    junk_share: float = 0.005
    kinds: dict[str, str] = field(default_factory=dict)
    """By id of every event that was handed to the client: `good`, `refused` or `junk`."""
    acknowledged: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """By id: partition and offset; no offset if the broker had the record from an earlier attempt."""
    failed: dict[str, str] = field(default_factory=dict)
    bad_acknowledged: int = 0
    """How many of the acknowledged events belong into the dead-letter topic."""

    def start(self) -> None:
        """Start the thread."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop producing, and wait for every acknowledgement."""
        self._stop.set()
        self._thread.join(120)

    def value(self, event: str) -> bytes:
        """Return the value that was produced under this id."""
        rng = random.Random(event)
        kind = self.kinds[event]
        if kind == "junk":
            return rng.choice(JUNK)
        org = self.org if kind == "good" else FOREIGN_ORG
        return envelope(event, org, dataset=rng.choice(DATASETS), size=self.size)

    def _kind(self, draw: float) -> str:
        if draw < self.junk_share:
            return "junk"
        return "refused" if draw < self.junk_share + self.refused_share else "good"

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        event = (message.key() or b"").decode()
        if error is None:
            self.acknowledged[event] = (message.partition() or 0, message.offset())
            self.bad_acknowledged += self.kinds[event] != "good"
        else:
            self.failed[event] = error.str()

    def _run(self) -> None:
        rng = random.Random(self.seed)
        settings = {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 10,
            "delivery.timeout.ms": 600_000,
            "topic.metadata.refresh.interval.ms": 3000,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 0,
        }
        producer = Producer({**self.properties, **settings})
        began, number = time.monotonic(), 0
        while not self._stop.wait(0.01):
            due = int((time.monotonic() - began) * self.per_s)
            while number < due:
                event, draw = f"e{number:08}", rng.random()
                self.kinds[event] = self._kind(draw)
                with suppress(BufferError, KafkaException):
                    producer.produce(
                        self.topic, self.value(event), event.encode(), on_delivery=self._delivered
                    )
                    number += 1
                    continue
                producer.poll(0.1)
            producer.poll(0)
        producer.flush(100)
