"""Events with ids that can be counted: produced into the lab's topic, and found again in the local AEP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Self

from bridge.simulator.config import DEFAULT_ORG
from tests.kubernetes.lab import GROUP, PARTITIONS, TOPIC, kafka, until
from tests.kubernetes.local_aep import accepted

SCHEMA = {
    "id": "https://ns.adobe.com/sample/schemas/web",
    "contentType": "application/vnd.adobe.xed-full+json;version=1",
}


def event(name: str, padding: int = 0) -> bytes:
    """Return an event that AEP accepts, with this id and so many bytes more."""
    header = {"schemaRef": SCHEMA, "imsOrgId": DEFAULT_ORG, "datasetId": "5f0000000000000000000001"}
    entity = {"_id": name, "padding": "x" * padding}
    body = {"xdmMeta": {"schemaRef": SCHEMA}, "xdmEntity": entity}
    return json.dumps({"header": header, "body": body}).encode()


def produce(names: Iterable[str]) -> list[str]:
    """Produce one event for each name, spread over the partitions. Return the names."""
    listed = list(names)
    for partition in range(PARTITIONS):
        kafka.produce(TOPIC, (event(name) for name in listed[partition::PARTITIONS]), partition=partition)
    return listed


def produce_numbered(prefix: str, count: int) -> list[str]:
    """Produce so many events, whose names are the prefix and a number. Return the names."""
    return produce(f"{prefix}-{number}" for number in range(count))


class Stream:
    """Produces in the background inside its context. `names` are the events that went out."""

    def __init__(self, prefix: str, per_second: int) -> None:
        self.names: list[str] = []
        self._prefix, self._per_second = prefix, per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            first = len(self.names)
            numbers = range(first, first + self._per_second // 2)
            self.names += produce(f"{self._prefix}-{number}" for number in numbers)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)


def wait_delivered(names: Iterable[str], timeout_s: float = 60) -> dict[str, int]:
    """Wait until AEP has all of these events. Return how often it has each."""
    wanted = set(names)

    def counts() -> dict[str, int] | None:
        current = accepted()
        return {name: current[name] for name in wanted} if wanted <= current.keys() else None

    missing = len(wanted - accepted().keys())
    return until(counts, timeout_s, f"{len(wanted)} events in AEP, of which {missing} were missing at first")


def wait_committed(timeout_s: float = 60) -> None:
    """Wait until every record of the topic is committed."""
    until(lambda: kafka.lag(GROUP, TOPIC, PARTITIONS) == 0, timeout_s, "lag 0")
