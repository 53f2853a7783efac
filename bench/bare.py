"""The same bridge with its extras switched off, to see what they cost: `bare run --config FILE`, for benchmarks only. It commits nothing.

`OFF` says what is off; docs/performance.md prints it. All else is the bridge's own: reading, checking, batching, the window, retries, deadlines, memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from bridge.app import service
from bridge.cli import main
from bridge.engine.events import HOOKS, Observers
from bridge.engine.inlet import Inlet
from bridge.engine.loop import Engine
from bridge.engine.offsets import Offsets
from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.dead_letters import KafkaDeadLetterProducer
from bridge.kafka.topic_monitor import TopicMonitor
from bridge.ops.admin import Admin

OFF = {
    "metrics": "nothing is counted, observed or logged for a slice or a batch; the admin port is not there (nobody scrapes it in the other runs either: a scrape is not in what they cost); the status is never put together",
    "the ledger": "no watermarks: batches are not entered, offsets neither stored nor committed",
    "dead letters": "no producer and no thread of its own; their topics are neither created nor looked after",
    "adaptive limits": "`max_in_flight` requests at once from the first one on; no rate, and nothing is learned from answers",
    "the client's statistics": "`statistics.interval.ms: 0`, which the lag is told from otherwise",
}


def _nothing(*_: object, **__: object) -> None: ...


def _replace(owner: Any, **changes: Callable[..., Any]) -> None:
    """Raises AttributeError for what is not there any more: then nothing would be switched off."""
    for name, change in changes.items():
        getattr(owner, name)
        setattr(owner, name, change)


def _may_go(self: Inlet, now: float) -> float:
    return math.inf if self.in_flight >= self.policy.max_in_flight else now


def _went(self: Inlet, messages: int, now: float) -> int:
    del messages, now
    self.in_flight += 1
    self.tick += 1
    return self.tick


class _Source(KafkaConsumer):
    def __init__(self, properties: Mapping[str, Any], *arguments: Any) -> None:
        super().__init__({**properties, "statistics.interval.ms": 0}, *arguments)


_balance = Engine.balance


def _without_snapshots(self: Engine, source: Any, *, force: bool = False) -> None:
    self._snapshot_at = math.inf
    _balance(self, source, force=force)


def switch_off() -> None:
    """All of `OFF`, for the whole process."""
    _replace(Observers, **dict.fromkeys(HOOKS, _nothing), __init__=_nothing)
    _replace(Admin, start=_nothing, stop=_nothing)
    _replace(Offsets, took=_nothing, advance=_nothing, resolve=_nothing, moved=lambda *_: {})
    _replace(KafkaDeadLetterProducer, __init__=_nothing, close=_nothing, publish=_nothing)
    _replace(TopicMonitor, start=_nothing)
    _replace(Inlet, ready_at=_may_go, sent=_went, accepted=_nothing)
    _replace(Engine, balance=_without_snapshots)
    _replace(service, KafkaConsumer=_Source)


if __name__ == "__main__":
    switch_off()
    main()
