"""The end of the process: signals start a drain, and watchdogs end a process that hangs.

The exit code is 70 if a drain hangs in this process, and 1 if the loop stops turning. In both cases the
stacks of all threads are printed, and the supervisor (Kubernetes, systemd) starts the process again. Records
whose offsets are not committed are read again.
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

CHECK_INTERVAL_S = 10.0
"""The watchdog of the loop checks at least this often whether the loop turns."""
HUNG_S = 120.0
"""The process ends if the loop has not turned for this long, even if nothing probes `/livez`."""
DRAIN_GRACE_S = 15.0
"""A drain may take this much longer than its deadline before the watchdog ends the process."""
DRAIN_HANGS = 70
"""The exit code."""
_STDERR = 2
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """In this context the first SIGTERM or SIGINT calls `stop`, and the second ends the process at once."""

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
    """Return a context manager like `stop_on_signal`, with a watchdog for the drain that `stop` starts.

    If the drain takes longer than `drain_timeout_s` and `DRAIN_GRACE_S`, the process ends. `is_leaving`
    returns whether everything is settled or given up, so that the process only waits for the brokers. Then
    the delay is not a fault of this process, and the exit code is 0.
    """

    def drain() -> None:
        stop()
        limit_s = drain_timeout_s + DRAIN_GRACE_S
        threading.Thread(
            target=_end_process_after, args=(limit_s, is_leaving), name="watchdog", daemon=True
        ).start()

    return stop_on_signal(drain)


def _end_process_after(limit_s: float, is_leaving: Callable[[], bool]) -> None:
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
    """In this context the process ends with code 1 when the last turn of the loop is `hung_s` ago.

    `beat` returns the time of that turn, in `time.monotonic` seconds. The process may end up to
    `CHECK_INTERVAL_S` earlier or later. A call into the Kafka client that never returns may hold the
    interpreter's lock, so that no Python thread and no signal handler runs. The timer that ends the process
    does not need the interpreter; a thread restarts it while the loop turns.
    """
    finished = threading.Event()

    def restart_timer() -> None:
        while True:
            if time.monotonic() - beat() < CHECK_INTERVAL_S:
                faulthandler.dump_traceback_later(hung_s, exit=True, file=_STDERR)
            if finished.wait(CHECK_INTERVAL_S / 2):
                return

    thread = threading.Thread(target=restart_timer, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
        faulthandler.cancel_dump_traceback_later()
