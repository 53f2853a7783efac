"""Where replies reach the pump's thread: a queue for other threads, and the sockets whose answers that thread fetches by itself."""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

GoOn = Callable[[bool], None]
"""Called with whether it is too late: the time is up, and nothing has happened on the socket."""

_CALL: Final = object()
"""The ticket of what is to be called, and is no reply."""


class Reactor:
    """`ports.Completions`. `put` and `call` are for any thread, everything else for the one that takes."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[object, object]] = SimpleQueue()
        self._poll = select.poll()
        self._watched: dict[int, tuple[int, float, GoOn]] = {}
        """File descriptor → what is waited for, until when, and who."""
        self._soonest = math.inf
        """No one's time is up before this."""
        self._waits = False
        """Whether the taker waits, and has to be woken."""
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._bell, False)
        self._poll.register(self._ear, select.POLLIN)

    def __del__(self) -> None:
        os.close(self._ear)
        os.close(self._bell)

    def put(self, ticket: object, reply: object) -> None:
        """Hands a reply over. Any thread."""
        self._queue.put((ticket, reply))
        if self._waits:
            self._waits = False
            with suppress(BlockingIOError):  # full of rings that were not needed
                os.write(self._bell, b"!")

    def call(self, what: Callable[[], None]) -> None:
        """Has something called by the thread that takes. Any thread."""
        self.put(_CALL, what)

    def watch(self, fileno: int, event: int, until: float, go_on: GoOn) -> None:
        """Has `go_on` called, from within `take`, whenever `event` (`select.POLLIN`, `select.POLLOUT`) is there, and after `until` (`time.monotonic`).

        In the place of what was watched for at this socket.
        """
        known = self._watched.get(fileno)
        self._watched[fileno] = event, until, go_on
        if known is None or known[0] != event:
            self._poll.register(fileno, event)
        self._soonest = min(self._soonest, until)

    def forget(self, fileno: int) -> None:
        """Ends the watch over a socket, which may be closed already."""
        if self._watched.pop(fileno, None) is not None:
            self._poll.unregister(fileno)
            if not self._watched:
                self._soonest = math.inf

    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        """Everything that has arrived; waits up to `timeout_s` for something to happen, an answer or a part of one."""
        found: list[tuple[object, object]] = []
        if timeout_s > 0:
            self._waits = True
            if not self._queue.empty():
                timeout_s = 0
            timeout_s = max(0.0, min(timeout_s, self._soonest - time.monotonic()))
        happened = self._poll.poll(timeout_s * 1000) if self._watched or timeout_s > 0 else []
        self._waits = False
        if self._watched or happened:
            for fileno, _ in happened:
                if fileno == self._ear:
                    os.read(self._ear, 4096)
                elif (watched := self._watched.get(fileno)) is not None:
                    watched[2](False)
            if time.monotonic() >= self._soonest:
                self._expire()
        try:
            while True:
                ticket, reply = item = self._queue.get_nowait()
                if ticket is _CALL:
                    reply()  # type: ignore[operator]
                else:
                    found.append(item)
        except Empty:
            return found

    def _expire(self) -> None:
        now = time.monotonic()
        late = [go_on for _, until, go_on in self._watched.values() if until <= now]
        self._soonest = min(
            (until for _, until, _ in self._watched.values() if until > now), default=math.inf
        )
        for go_on in late:
            go_on(True)
