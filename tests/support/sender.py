"""What tests of the sender need: requests, and completions that are taken one by one."""

from __future__ import annotations

import time
from collections import deque

from bridge.codec.request import body_size
from bridge.http.reactor import Reactor
from bridge.model import BatchRequest, BatchResponse

LONG_S = 10.0
"""More than any request of a test takes."""


class Inbox(Reactor):
    """Completions, one by one. `close` it, or use it in a `with`."""

    def __init__(self) -> None:
        super().__init__()
        self._taken: deque[tuple[object, object]] = deque()

    def next(self, timeout_s: float = LONG_S) -> tuple[object, object] | None:
        """Return the next ticket and reply, or None where nothing comes in time."""
        deadline = time.monotonic() + timeout_s
        while not self._taken and (left := deadline - time.monotonic()) > 0:
            self._taken += self.take(left)
        return self._taken.popleft() if self._taken else None

    def next_response(self) -> BatchResponse:
        """Return the next reply, which has to be a response."""
        entry = self.next()
        assert entry is not None
        assert isinstance(entry[1], BatchResponse)
        return entry[1]

    def statuses(self, count: int) -> list[int]:
        """Return the statuses of this many responses."""
        return [self.next_response().status for _ in range(count)]


def batch_request(inlet: str, pieces: list[bytes], timeout_s: float = LONG_S) -> BatchRequest:
    return BatchRequest(inlet, pieces, timeout_s, body_size(pieces))
