"""The same bridge with its rooms' doors timed: `seams run --config FILE`, and at its end the file that BENCH_SEAMS names holds CPU µs by part.

A door is a function that is called for a slice (some hundred records) or a batch, never for a record, so that looking at the clock twice costs the
record nothing. The clock is the calling thread's own CPU time: waiting, for Kafka, a socket or the interpreter, is not counted. A part does not hold
what it calls of another part. Counting starts with the first request.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import json
import os
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, ClassVar

from bridge.aep import sender
from bridge.cli import main
from bridge.engine import delivery
from bridge.engine import loop as pump
from bridge.engine.batcher import Batcher
from bridge.engine.events import HOOKS
from bridge.http import connection
from bridge.http.connection_pool import ConnectionPool, _RunningExchange
from bridge.http.reactor import Reactor
from bridge.kafka.consumer import KafkaConsumer
from bridge.ops.event_log import EventLog
from bridge.ops.metrics import Metrics

DOORS: dict[str, list[tuple[Any, str]]] = {
    "read: out of the client's queue": [(KafkaConsumer, "read")],
    "read: group and weigh": [(KafkaConsumer, "_slices")],
    "validate": [(pump, "group_records")],
    "batch": [(Batcher, "add")],
    "enter in the ledger": [(pump.Engine, "take_in")],
    "dispatch": [(pump.Engine, "dispatch"), (pump.Engine, "_admit"), (sender.HttpSender, "send")],
    "judge the answer": [(delivery, "verdicts")],
    "settle, and free the records": [
        (pump.Engine, "_came_back"),
        (Reactor, "take"),
        (pump.Engine, "complete"),
    ],
    "store offsets": [(pump.Engine, "store")],
    "metrics and log": [(kind, name) for kind in (Metrics, EventLog) for name in HOOKS if name in vars(kind)],
    "the loop itself": [(pump.Engine, "turn")],
    "splice": [(sender, "body")],
    "send: TLS and socket": [(connection, "send_all")],
    "read the answer": [(connection, "read_response"), (sender._InletSender, "_response")],
    "carry": [
        (sender._InletSender, "_exchange"),
        (sender._InletSender, "send"),
        (ConnectionPool, "start"),
        (_RunningExchange, "resume"),
    ],
}
"""Part → its doors (owner, name). A name that is not there any more is an error at start."""


class Times:
    """One thread's account: nanoseconds by part, and which door it is behind."""

    every: ClassVar[list[Times]] = []
    counting: ClassVar[bool] = False
    """Since the first request."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = {}
        self.part = ""
        self.since = time.thread_time_ns()
        Times.every.append(self)

    def switch(self, part: str) -> str:
        """Charges the time so far to the part that ends, and says which that was."""
        now, before = time.thread_time_ns(), self.part
        if before and Times.counting:
            self.spent[before] = self.spent.get(before, 0) + now - self.since
        self.part, self.since = part, now
        return before


_local = threading.local()


def _times() -> Times:
    if not hasattr(_local, "times"):
        _local.times = Times()
    found: Times = _local.times
    return found


def _timed(part: str, door: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(door)
    def call(*arguments: Any, **named: Any) -> Any:
        times = _times()
        before = times.switch(part)
        try:
            return door(*arguments, **named)
        finally:
            times.switch(before)

    @functools.wraps(door)
    def walk(*arguments: Any, **named: Any) -> Generator[Any, Any, Any]:
        times, found = _times(), door(*arguments, **named)
        advance: Callable[[], Any] = functools.partial(next, found)
        while True:
            before = times.switch(part)
            try:
                item = advance()
            except StopIteration as end:
                return end.value
            finally:
                times.switch(before)
            try:
                sent = yield item
            except Exception as thrown:
                advance = functools.partial(found.throw, thrown)
            else:
                advance = functools.partial(found.send, sent)

    return walk if inspect.isgeneratorfunction(door) else call


def _start_with_the_first_request() -> None:
    send = sender.HttpSender.send

    def first(self: sender.HttpSender, *arguments: Any) -> None:
        Times.counting = True
        sender.HttpSender.send = send  # type: ignore[method-assign]
        send(self, *arguments)

    sender.HttpSender.send = first  # type: ignore[assignment, method-assign]


def _write(path: Path) -> None:
    total = {part: sum(times.spent.get(part, 0) for times in Times.every) / 1000 for part in DOORS}
    path.write_text(json.dumps(total))


if __name__ == "__main__":
    for name, doors in DOORS.items():
        for owner, attribute in doors:
            setattr(owner, attribute, _timed(name, getattr(owner, attribute)))
    _start_with_the_first_request()
    atexit.register(_write, Path(os.environ["BENCH_SEAMS"]))
    main()
