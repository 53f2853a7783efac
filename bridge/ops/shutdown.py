"""The end of a process whose loop stands still for good: all its stacks, and exit code 1, so that whoever runs it starts it anew."""

from __future__ import annotations

import faulthandler
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_S = 10.0
_STDERR = 2


@contextmanager
def watched(beat: Callable[[], float], hung_s: float) -> Iterator[None]:
    """While this lasts the process ends when `beat`, in `time.monotonic` seconds, was not renewed for `hung_s`; `LOOK_S` earlier at the earliest.

    A call into the Kafka client that never returns may hold the interpreter, so that no thread of Python runs any more, nor a signal handler. The clock that
    ends the process runs without the interpreter; a thread puts it back as long as the loop turns.
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
