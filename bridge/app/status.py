"""The document at `/api/status`: the engine's snapshot, with additions of the rest of the process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bridge import __version__
from bridge.app.last_dead_letters import LastDeadLetters
from bridge.codec.routes import Route
from bridge.config.memory_ceiling import ceiling
from bridge.config.settings import Settings
from bridge.engine.engine import Engine
from bridge.engine.snapshot import lag
from bridge.http.oauth import TokenSource
from bridge.kafka.topic_monitor import TopicMonitor
from bridge.model import TopicPartition
from bridge.ops.process_memory import memory_used
from bridge.ops.status_page import add_route_names, route_totals
from bridge.ops.telemetry import Telemetry


class Status:
    """Composes the status. Any thread may call `document`."""

    def __init__(
        self,
        *,
        settings: Settings,
        routes: Sequence[Route],
        engine: Engine,
        topics: TopicMonitor,
        tokens: Mapping[str, TokenSource],
        telemetry: Telemetry,
        last_dead_letters: LastDeadLetters,
    ) -> None:
        self._settings, self._routes, self._engine, self._topics = settings, routes, engine, topics
        self._tokens, self._telemetry, self._last_dead_letters = tokens, telemetry, last_dead_letters
        self._started = time.monotonic()

    @property
    def uptime_s(self) -> float:
        """The seconds since the service was built."""
        return round(time.monotonic() - self._started, 1)

    def document(self, *, ready: bool) -> dict[str, Any]:
        """Return the whole status. The secrets in the configuration are masked."""
        snapshot = dict(self._engine.status)
        partitions, ends = [], self._topics.end_offsets
        for entry in snapshot.get("partitions", []):
            end = ends.get(TopicPartition(entry["topic"], entry["partition"]))
            partitions.append({**entry, "end": end, "lag": lag(entry, end)})
        partitions = add_route_names(self._routes, partitions)
        limit, _ = ceiling(self._settings)
        now, peak = memory_used()
        return {
            **snapshot,
            "routes": route_totals(self._routes, partitions),
            "partitions": partitions,
            "version": __version__,
            "uptime_s": self.uptime_s,
            "ready": ready,
            "group_id": self._settings.kafka.group_id,
            "memory": {"now_bytes": now, "peak_bytes": peak, "ceiling_bytes": limit},
            "tokens": {name: _token(source) for name, source in self._tokens.items()},
            "dead_letters": self._last_dead_letters.entries,
            "commit_age_s": round(self._telemetry.commit_age(), 3),
            "configuration": self._settings.masked(),
        }


def _token(source: TokenSource) -> dict[str, Any]:
    return {
        "age_s": source.age_s,
        "expires_in_s": source.expires_in_s,
        "error": source.last_error or None,
    }
