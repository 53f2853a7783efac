"""The bridge with its extras replaced by nothing, to see what they cost. It commits nothing.

    python -m bench.programs.bridge_without_extras run --config FILE

`EXTRAS` says what is replaced; docs/performance.md prints it. All else is the bridge's own: reading,
validating, batching, the window, retries, deadlines, memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.programs.patching import replace
from bridge.cli import main
from bridge.engine import snapshot
from bridge.engine.concurrency import Concurrency
from bridge.engine.events import HOOKS, Observers
from bridge.engine.offsets import Offsets
from bridge.engine.rate import Rate
from bridge.kafka import consumer
from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.dead_letters import KafkaDeadLetterProducer
from bridge.kafka.topic_monitor import TopicMonitor
from bridge.ops.admin_server import AdminServer

EXTRAS = {
    "metrics": (
        "nothing is counted, observed or logged for a slice or a batch; there is no admin port (no other run "
        "is scraped either, so the cost of a scrape is in none of them), and the status is never put together"
    ),
    "offsets": "no watermarks: batches are not tracked, offsets are neither stored nor committed",
    "dead letters": (
        "no producer, which has a thread of its own; dead-letter topics are neither created nor monitored"
    ),
    "adaptive limits": (
        "`max_in_flight` requests at once from the first one on; no rate, and nothing is learned from "
        "responses"
    ),
    "the client's statistics": "`statistics.interval.ms: 0`; otherwise the lag is read from them",
}


def _do_nothing(*_: object, **__: object) -> None: ...


class _SourceWithoutStatistics(KafkaConsumer):
    def __init__(self, properties: Mapping[str, Any], *arguments: Any) -> None:
        super().__init__({**properties, "statistics.interval.ms": 0}, *arguments)


def remove_extras() -> None:
    """Replace all of `EXTRAS` in this process."""
    replace(snapshot, "snapshot", lambda *_, **__: {})
    for owner, names in (
        (Observers, ("__init__", *HOOKS)),
        (AdminServer, ("start", "stop")),
        (Offsets, ("took", "advance", "resolve")),
        (KafkaDeadLetterProducer, ("__init__", "close", "publish")),
        (TopicMonitor, ("start",)),
        (Concurrency, ("went_well", "pushed_back")),
        (Rate, ("hold", "sent", "accepted", "pushed_back")),
    ):
        for name in names:
            replace(owner, name, _do_nothing)
    replace(Offsets, "moved", lambda *_: {})
    replace(Rate, "at_most", lambda _, messages: messages)
    replace(Rate, "delay", lambda *_: 0.0)
    replace(consumer, "KafkaConsumer", _SourceWithoutStatistics)


if __name__ == "__main__":
    remove_extras()
    main()
