"""The end of the process: signals begin a drain, and watchdogs end what hangs.

The exit code is 70 where a drain hangs in this process, 1 where the loop stands still for good. Both print
all stacks, and whoever runs the process starts it anew. What is not committed is read again.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import structlog

log = structlog.get_logger("bridge")

LOOK_S = 10.0
"""How often the watchdog of the loop looks whether it turns, at most."""
HUNG_S = 120.0
"""When the loop has not turned for so long the process ends, whether anybody asks `/livez` or not."""
DRAIN_GRACE_S = 15.0
"""What a drain may take beyond its deadline before the process is ended."""
DRAIN_HANGS = 70
_STDERR = 2
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """While this lasts the first SIGTERM or SIGINT calls `stop`, and the second ends the process at once."""

    def first(_number: int, _frame: object) -> None:
        for which in _SIGNALS:
            signal.signal(which, second)
        stop()

    def second(number: int, _frame: object) -> None:
        os._exit(128 + number)

    before = {which: signal.signal(which, first) for which in _SIGNALS}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def drain_on_signal(
    stop: Callable[[], None], is_leaving: Callable[[], bool], drain_timeout_s: float
) -> AbstractContextManager[None]:
    """Return a context manager like `stop_on_signal`, with a watchdog for the drain that `stop` begins.

    A drain that takes longer than `drain_timeout_s` and `DRAIN_GRACE_S` ends the process. `is_leaving` says
    whether everything is settled, so that only the brokers are waited for: then that is no fault of this
    process.
    """

    def drain() -> None:
        stop()
        limit_s = drain_timeout_s + DRAIN_GRACE_S
        threading.Thread(target=_end_drain, args=(limit_s, is_leaving), name="watchdog", daemon=True).start()

    return stop_on_signal(drain)


def _end_drain(limit_s: float, is_leaving: Callable[[], bool]) -> None:
    time.sleep(limit_s)
    if is_leaving():
        log.warning(
            "drain.brokers_silent",
            waited_s=limit_s,
            next_step="the process ends; the group notices after session.timeout.ms, "
            "and what is not committed is read again",
        )
        sys.stdout.flush()
        os._exit(0)
    sys.stderr.write("aep-bridge: the drain hangs; all stacks follow\n")
    faulthandler.dump_traceback(all_threads=True)
    os._exit(DRAIN_HANGS)


@contextmanager
def watch_loop(beat: Callable[[], float], hung_s: float) -> Iterator[None]:
    """While this lasts the process ends with code 1 when `beat`, in `time.monotonic` seconds, is older than
    `hung_s`.

    It ends `LOOK_S` earlier at the earliest. A call into the Kafka client that never returns may hold the
    interpreter, so that no Python thread runs any more, nor a signal handler. The clock that ends the
    process runs without the interpreter; a thread puts it back as long as the loop turns.
    """
    over = threading.Event()

    def look() -> None:
        while True:
            if time.monotonic() - beat() < LOOK_S:
                faulthandler.dump_traceback_later(hung_s, exit=True, file=_STDERR)
            if over.wait(LOOK_S / 2):
                return

    thread = threading.Thread(target=look, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        faulthandler.cancel_dump_traceback_later()
