"""The same bridge with its extras switched off, to see what they cost: `bare run --config FILE`, for benchmarks only. It commits nothing.

`OFF` says what is off; docs/performance.md prints it. All else is the bridge's own: reading, checking, batching, the window, retries, deadlines, memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from bridge import service
from bridge.admin import Admin
from bridge.commands import main
from bridge.deadletter import KafkaDeadLetters
from bridge.events import Events
from bridge.inlet import Inlet
from bridge.ledger import Ledger
from bridge.pump import Pump
from bridge.source import KafkaSource
from bridge.telemetry import Telemetry
from bridge.topic_watch import TopicWatch

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


class _Source(KafkaSource):
    def __init__(self, properties: Mapping[str, Any], *arguments: Any) -> None:
        super().__init__({**properties, "statistics.interval.ms": 0}, *arguments)


_balance = Pump.balance


def _without_snapshots(self: Pump, source: Any, *, force: bool = False) -> None:
    self._snapshot_at = math.inf
    _balance(self, source, force=force)


def switch_off() -> None:
    """All of `OFF`, for the whole process."""
    silent = {name: method for name, method in vars(Events).items() if not name.startswith("_")}
    _replace(Telemetry, **silent)
    _replace(Admin, start=_nothing, stop=_nothing)
    _replace(Ledger, took=_nothing, advance=_nothing, resolve=_nothing, moved=lambda *_: {})
    _replace(KafkaDeadLetters, __init__=_nothing, close=_nothing, publish=_nothing)
    _replace(TopicWatch, start=_nothing)
    _replace(Inlet, ready_at=_may_go, sent=_went, accepted=_nothing)
    _replace(Pump, balance=_without_snapshots)
    _replace(service, KafkaSource=_Source)


if __name__ == "__main__":
    switch_off()
    main()
