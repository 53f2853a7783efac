"""The bridge with its parts timed: how many CPU microseconds each of them takes.

    BENCH_TIMES=FILE python -m bench.programs.bridge_with_timers run --config FILE

writes a JSON file at its end. What is timed is called for a slice (some hundred records) or for a batch,
never for a record, so that looking at the clock costs a record nothing. The clock is the calling thread's
own CPU time: waiting for Kafka, for a socket or for the interpreter is not counted. A part does not include
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

from bench.programs.patching import replace
from bridge.aep.sender import HttpSender
from bridge.cli import main
from bridge.codec import multi_status, request, validation
from bridge.engine.batcher import Batcher
from bridge.engine.dispatcher import Dispatcher
from bridge.engine.events import HOOKS
from bridge.engine.intake import Intake
from bridge.engine.loop import Loop
from bridge.http import non_blocking, response_parser
from bridge.http.connection import HttpConnection
from bridge.http.connection_pool import ConnectionPool
from bridge.http.reactor import Reactor, SocketCallback
from bridge.kafka import slices
from bridge.kafka.consumer import KafkaConsumer
from bridge.kafka.offset_resets import OffsetResets
from bridge.ops.event_log import EventLog
from bridge.ops.metrics import Metrics

_SENDER = "send: headers and steps"
"""The sender's own code. The reactor calls it back when a socket is ready; those calls are timed, too."""
PARTS: dict[str, list[tuple[Any, str]]] = {
    "read: take from the client's queue": [(KafkaConsumer, "read")],
    "read: group by partition, and weigh": [(slices, "slices_of"), (OffsetResets, "check")],
    "validate": [(validation, "group_records")],
    "batch": [(Batcher, "add")],
    "track offsets": [(Intake, "take")],
    "dispatch": [(Dispatcher, "add"), (Dispatcher, "advance")],
    "judge the response": [(multi_status, "verdicts")],
    "settle, and free the records": [(Loop, "complete"), (Dispatcher, "complete"), (Reactor, "take")],
    "store offsets": [(Loop, "store")],
    "metrics and logs": [
        (owner, hook) for owner in (Metrics, EventLog) for hook in HOOKS if hook in vars(owner)
    ],
    "the loop itself": [(Loop, "turn")],
    "build the body": [(request, "body")],
    "send: TLS and socket": [(non_blocking, "send_all")],
    "read the response": [(response_parser, "read_response")],
    _SENDER: [(HttpSender, "send"), (ConnectionPool, "start"), (HttpConnection, "post")],
}
"""Part → what is timed for it: a class or a module, and the name of a method or a function in it."""


class ThreadTimes:
    """The nanoseconds that one thread has spent in each part."""

    of_all_threads: ClassVar[list[ThreadTimes]] = []
    counting: ClassVar[bool] = False
    """True from the first request on."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = {}
        self._part = ""
        self._since = time.thread_time_ns()
        ThreadTimes.of_all_threads.append(self)

    def enter(self, part: str) -> str:
        """Charge the time so far to the part that was running, and return that part."""
        now, before = time.thread_time_ns(), self._part
        if before and ThreadTimes.counting:
            self.spent[before] = self.spent.get(before, 0) + now - self._since
        self._part, self._since = part, now
        return before


_local = threading.local()


def _times_of_this_thread() -> ThreadTimes:
    if not hasattr(_local, "times"):
        _local.times = ThreadTimes()
    times: ThreadTimes = _local.times
    return times


def _timed_call(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with the time of each call charged to a part."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        times = _times_of_this_thread()
        before = times.enter(part)
        try:
            return function(*arguments, **keywords)
        finally:
            times.enter(before)

    return call


def _timed_generator(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the generator function with the time of each step charged to a part."""

    def step_through(*arguments: Any, **keywords: Any) -> Generator[Any, Any, Any]:
        times, generator = _times_of_this_thread(), function(*arguments, **keywords)
        advance: Callable[[], Any] = functools.partial(next, generator)
        while True:
            before = times.enter(part)
            try:
                item = advance()
            except StopIteration as end:
                return end.value
            finally:
                times.enter(before)
            try:
                sent = yield item
            except Exception as error:
                advance = functools.partial(generator.throw, error)
            else:
                advance = functools.partial(generator.send, sent)

    return step_through


def _time_parts() -> None:
    for part, functions in PARTS.items():
        for owner, name in functions:
            function = getattr(owner, name)
            timed = _timed_generator if inspect.isgeneratorfunction(function) else _timed_call
            replace(owner, name, timed(part, function))


def _time_callbacks() -> None:
    watch = Reactor.watch

    def watch_timed(
        self: Reactor, fileno: int, event: int, deadline: float, callback: SocketCallback
    ) -> None:
        watch(self, fileno, event, deadline, _timed_call(_SENDER, callback))

    replace(Reactor, "watch", watch_timed)


def _count_from_first_request() -> None:
    send = HttpSender.send

    def first_send(self: HttpSender, *arguments: Any) -> None:
        ThreadTimes.counting = True
        replace(HttpSender, "send", send)
        send(self, *arguments)

    replace(HttpSender, "send", first_send)


def _write(path: Path) -> None:
    every = ThreadTimes.of_all_threads
    spent_us = {part: sum(times.spent.get(part, 0) for times in every) / 1000 for part in PARTS}
    path.write_text(json.dumps(spent_us))


if __name__ == "__main__":
    _time_parts()
    _time_callbacks()
    _count_from_first_request()
    atexit.register(_write, Path(os.environ["BENCH_TIMES"]))
    main()
