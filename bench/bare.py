"""The same bridge with its extras switched off, to see what they cost: `bare run --config FILE`, for benchmarks only, commits nothing.

Off are metrics and log lines per batch, the ledger and its commits, the adaptive limits, the dead-letter producer, the client's statistics, the admin port.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bridge import service
from bridge.admin import Admin
from bridge.commands import main
from bridge.deadletter import KafkaDeadLetters
from bridge.events import Events
from bridge.inlet import Inlet
from bridge.ledger import Ledger
from bridge.source import KafkaSource
from bridge.telemetry import Telemetry


def _nothing(*_: object, **__: object) -> None: ...


def _silence() -> None:
    for name, method in vars(Events).items():
        if not name.startswith("_"):
            setattr(Telemetry, name, method)
    for name in ("took", "advance", "resolve"):
        setattr(Ledger, name, _nothing)
    Ledger.moved = lambda _self, _now=0.0: {}  # type: ignore[method-assign]
    for name in ("__init__", "close", "publish"):
        setattr(KafkaDeadLetters, name, _nothing)
    for name in ("start", "stop"):
        setattr(Admin, name, _nothing)


def _free() -> None:
    def ready_at(self: Inlet, now: float) -> float:
        return math.inf if self.in_flight >= self.policy.max_in_flight else now

    def sent(self: Inlet, messages: int, now: float) -> int:
        del messages, now
        self.in_flight += 1
        self.tick += 1
        return self.tick

    def accepted(self: Inlet, messages: int, size: int, sent: int, now: float) -> None:
        """Nothing is learned."""

    Inlet.ready_at, Inlet.sent, Inlet.accepted = ready_at, sent, accepted  # type: ignore[method-assign]


class _Source(KafkaSource):
    def __init__(self, properties: Mapping[str, Any], *arguments: Any) -> None:
        super().__init__({**properties, "statistics.interval.ms": 0}, *arguments)


if __name__ == "__main__":
    _silence()
    _free()
    service.KafkaSource = _Source  # type: ignore[misc]
    main()
