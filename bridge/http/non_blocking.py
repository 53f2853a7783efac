"""Socket I/O as generators, which say what they wait for instead of waiting.

So one thread can carry many requests: the reactor resumes each generator when its socket is ready.
`run_blocking` does the waiting for callers that may block.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import TypeVar

_T = TypeVar("_T")
SocketWait = tuple[int, float]
"""The event to wait for (`selectors.EVENT_READ` or `EVENT_WRITE`), and a deadline of `time.monotonic`."""
NonBlocking = Generator[SocketWait, None, _T]
"""Yields a `SocketWait` where its socket would block, and goes on when it is resumed.

A wait that fails is thrown into it: TimeoutError in most cases.
"""


def send_all(sock: socket.socket, data: bytes, deadline: float) -> NonBlocking[None]:
    """Send all of the data.

    OpenSSL writes 16 KB at a time, and each piece leaves at once: to let the kernel collect them
    (TCP_CORK) costs more CPU than it saves.
    """
    view, sent = memoryview(data), 0
    while sent < len(view):
        sent += yield from when_ready(partial(sock.send, view[sent:]), selectors.EVENT_WRITE, deadline)


def when_ready(call: Callable[[], _T], event: int, deadline: float) -> NonBlocking[_T]:
    """Return the result of a socket's method as soon as the socket has one.

    `event` is what the method usually waits for; TLS may have to read in order to write, and the reverse.
    """
    while True:
        try:
            return call()
        except BlockingIOError:
            needed = event
        except ssl.SSLWantReadError:
            needed = selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            needed = selectors.EVENT_WRITE
        yield needed, deadline


def run_blocking(steps: NonBlocking[_T], fileno: Callable[[], int]) -> _T:
    """Return the generator's result; wait for the socket wherever it asks for that."""
    try:
        event, deadline = next(steps)
        while True:
            try:
                wait_until_ready(fileno(), event, deadline)
            except Exception as error:
                event, deadline = steps.throw(error)
            else:
                event, deadline = next(steps)
    except StopIteration as end:
        result: _T = end.value
        return result


def wait_until_ready(fileno: int, event: int, deadline: float) -> None:
    """Wait until the socket is ready. Raises TimeoutError."""
    with selectors.PollSelector() as selector:
        selector.register(fileno, event)
        if not selector.select(time_left(deadline)):
            msg = "out of time"
            raise TimeoutError(msg)


def time_left(deadline: float) -> float:
    """Return the seconds until the deadline. Raises TimeoutError where none are left."""
    left = deadline - time.monotonic()
    if left <= 0:
        msg = "out of time"
        raise TimeoutError(msg)
    return left
