"""Where replies reach the engine's thread: a queue for other threads, and the sockets of that thread itself.

`take` waits for both at once: a pipe wakes it when another thread puts something into the queue.
"""

from __future__ import annotations

import math
import os
import selectors
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock
from types import TracebackType
from typing import Final, Self

SocketCallback = Callable[[bool], None]
"""Called with False when the socket is ready; with True when it is not, and its deadline has passed."""

_CALL: Final = object()
"""The ticket of an entry that is a function to call, not a reply."""


class Reactor:
    """`ports.Completions`. Any thread may use `put` and `call`; the rest is for the thread that calls `take`.

    The code that creates a reactor also closes it.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[object, object]] = SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._watches: dict[int, tuple[int, float, SocketCallback]] = {}
        """File descriptor → event, deadline, callback."""
        self._next_deadline = math.inf
        """No watch has an earlier deadline than this."""
        self._waiting = False
        """Whether `take` waits, so that a new entry has to wake it."""
        self._closed = False
        self._pipe_lock = Lock()
        """Held to write to the pipe and to close it: a closed descriptor may belong to another file."""
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the pipe and the selector. `put` and `call` may still be called; nothing is taken any more."""
        with self._pipe_lock:
            if self._closed:
                return
            self._closed = True
            self._watches.clear()
            self._selector.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)

    def put(self, ticket: object, reply: object) -> None:
        """Add a reply to the queue. Any thread may call this."""
        self._queue.put((ticket, reply))
        if self._waiting:
            self._waiting = False
            with self._pipe_lock:
                if not self._closed:
                    with suppress(BlockingIOError):  # the pipe is full, so that `take` wakes up anyway
                        os.write(self._wake_writer, b"!")

    def call(self, function: Callable[[], None]) -> None:
        """Let the thread that calls `take` call this function. Any thread may call this."""
        self.put(_CALL, function)

    def watch(self, fileno: int, event: int, deadline: float, callback: SocketCallback) -> None:
        """Let `take` call `callback` whenever the socket is ready, and once the deadline has passed.

        `event` is `selectors.EVENT_READ` or `EVENT_WRITE`, `deadline` is in seconds of `time.monotonic`.
        This replaces an earlier watch of the same socket.
        """
        earlier = self._watches.get(fileno)
        if earlier is None:
            self._selector.register(fileno, event)
        elif earlier[0] != event:
            self._selector.modify(fileno, event)
        self._watches[fileno] = event, deadline, callback
        self._next_deadline = min(self._next_deadline, deadline)

    def unwatch(self, fileno: int) -> None:
        """End the watch of a socket, if there is one. The socket may be closed already."""
        if self._watches.pop(fileno, None) is not None:
            self._selector.unregister(fileno)
            if not self._watches:
                self._next_deadline = math.inf

    def take(self, timeout_s: float) -> Sequence[tuple[object, object]]:
        """Return all replies that have arrived; wait up to `timeout_s` for a reply or a socket's event."""
        if timeout_s > 0:
            self._waiting = True
            if not self._queue.empty():
                timeout_s = 0
            timeout_s = max(0.0, min(timeout_s, self._next_deadline - time.monotonic()))
        events = self._selector.select(timeout_s) if self._watches or timeout_s > 0 else []
        self._waiting = False
        for key, _ in events:
            if key.fd == self._wake_reader:
                os.read(self._wake_reader, 4096)
            elif (watch := self._watches.get(key.fd)) is not None:  # an earlier callback may have ended it
                watch[2](False)
        if self._watches and time.monotonic() >= self._next_deadline:
            self._call_overdue()
        return self._drain()

    def _call_overdue(self) -> None:
        now = time.monotonic()
        overdue = [(fileno, watch) for fileno, watch in self._watches.items() if watch[1] <= now]
        later = (deadline for _, deadline, _ in self._watches.values() if deadline > now)
        self._next_deadline = min(later, default=math.inf)
        for fileno, watch in overdue:
            if self._watches.get(fileno) is watch:  # an earlier callback may have ended or replaced it
                watch[2](True)

    def _drain(self) -> list[tuple[object, object]]:
        """Return the queue's replies, and call its functions."""
        replies: list[tuple[object, object]] = []
        try:
            while True:
                ticket, reply = entry = self._queue.get_nowait()
                if ticket is _CALL:
                    reply()  # type: ignore[operator]
                else:
                    replies.append(entry)
        except Empty:
            return replies
