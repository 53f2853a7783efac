"""The broker, the sinks and the filled topics that all steps of a run share."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Any, Self

from bench.environment.events import PARTITIONS, SHAPES
from bench.environment.lab import Lab
from bench.environment.sink_process import SinkProcess
from bench.measurements.throughput import Load, reference, sink_capacity, throughput
from bench.scale import Scale


class Stage:
    """The broker, the sinks and the topics. Each is started or filled when it is first used."""

    def __init__(self, scale: Scale) -> None:
        self.scale, self.lab = scale, Lab()
        self._topics: dict[tuple[int, int, int, str], str] = {}
        self._sinks: list[SinkProcess] = []

    def __enter__(self) -> Self:
        self.lab.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sink in self._sinks:
            sink.child.kill()
        self.lab.__exit__(kind, error, trace)

    @cached_property
    def http_sink(self) -> SinkProcess:
        """The sink that speaks plain HTTP."""
        return self._start_sink(tls=False)

    @cached_property
    def tls_sink(self) -> SinkProcess:
        """The sink that speaks TLS."""
        return self._start_sink(tls=True)

    def _start_sink(self, *, tls: bool) -> SinkProcess:
        self._sinks.append(self.lab.start_sink(tls=tls))
        return self._sinks[-1]

    def topic(self, count: int, size: int, partitions: int = PARTITIONS, shape: str = "envelope") -> str:
        """Return the name of a topic that holds so many events of this size and shape."""
        key = count, size, partitions, shape
        if key not in self._topics:
            self._topics[key] = self.lab.create_filled_topic(*key)
        return self._topics[key]

    def load(
        self, *, size: int = 1024, shape: str = "envelope", latency_ms: float = 0, **sections: dict[str, Any]
    ) -> Load:
        """Return a filled topic, and how the sink answers and the bridge is configured."""
        count = self.scale.events // (10 if size > 5000 else 1)
        topic = self.topic(count, size, shape=shape)
        return Load(topic, count, size, latency_ms, sections, SHAPES[shape].route)

    def throughput(self, *, tls: bool, module: str = "bridge", **load: Any) -> dict[str, Any]:
        """A whole process empties a topic; see `load` for the keywords."""
        sink = self.tls_sink if tls else self.http_sink
        return throughput(self.lab, sink, self.load(**load), module=module)

    def reference(self, kind: str) -> dict[str, Any]:
        """A reference line reads the topic of 1 KB events."""
        return reference(self.lab, kind, self.topic(self.scale.events, 1024), self.scale.events)

    def sink_capacity(self, *, tls: bool, requests: int) -> dict[str, Any]:
        """The sink gets a load that costs nothing to make."""
        return sink_capacity(self.lab, self.tls_sink if tls else self.http_sink, requests=requests)
