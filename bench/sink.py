"""The far end, as cheap as Python can make it: threads on blocking sockets that count the messages of a request by its length and answer 207.

It is told over stdin what to expect and whose CPU to read, and says over stdout when that came:

    {"order": 7, "expect": 500000, "size": 1024, "pids": [123], "latency_ms": 30}
    {"began": 7}
    {"order": 7, "s": …, "cpu": [[first, last]], "threads": [[first, last]], "requests": …, "bytes": …, "full": [1.7, 499500, 0.3]}

A request belongs to the order under which it began to come: what a bridge that was killed has left under way counts for nothing afterwards.
`full` holds the seconds until all but `tail` messages were answered, how many were, and the sink's own CPU: the last batch is not full, and lingers. `size` is that of every event, so that a body of any other length than n events make is noticed. With `"stamps": true` the bodies are searched for
`"sent_ns":…` instead, and the answer holds what each event took from there to its 207. Its own CPU is told too: it must never be the bottleneck.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import threading
import time
from typing import Any

from bench.process import cpu_s, threads_s

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STAMP = re.compile(rb'"sent_ns":(\d{19})')
_LARGEST = 1_100_000
_FRAME = len('{"messages":[]}')


class Sink:
    """What the connections share: the order under way, and what came of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answers: dict[int, bytes] = {}
        self.order = 0
        self.begin({"order": 0, "expect": 0, "size": 1})

    def begin(self, order: dict[str, Any]) -> None:
        """Forgets what was, and waits for this."""
        with self.lock:
            self.order = order["order"]
            self.expect: int = order["expect"]
            self.size: int = order["size"]
            self.pids: list[int] = order.get("pids", [])
            self.latency_s = order.get("latency_ms", 0) / 1000
            self.stamps: bool = order.get("stamps", False)
            self.messages = self.answered = self.requests = self.bytes = self.busy = self.busiest = 0
            self.tail: int = order.get("tail", 0)
            self.full: tuple[float, int, float] | None = None
            self.first: tuple[float, list[float], list[dict[str, float]], float] | None = None
            self.took: list[float] = []
            if self.order:
                _say({"began": self.order})

    def came(self, body: memoryview, order: int) -> int:
        """A whole request that began under this order: the number of its messages."""
        if order != self.order:
            return 0
        if self.stamps:
            now = time.time_ns()
            took = [(now - int(stamp)) / 1e6 for stamp in _STAMP.findall(body)]
            count = len(took)
        else:
            took, count = [], (len(body) - _FRAME + 1) // (self.size + 1)
            if _FRAME - 1 + count * (self.size + 1) != len(body):
                raise ValueError(f"a body of {len(body)} bytes does not hold whole events of {self.size}")
        with self.lock:
            if order != self.order:
                return 0
            if self.first is None:
                self.first = (
                    time.perf_counter(),
                    [cpu_s(pid) for pid in self.pids],
                    [threads_s(pid) for pid in self.pids],
                    cpu_s(),
                )
            self.messages += count
            self.requests += 1
            self.bytes += len(body)
            self.took += took
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        return count

    def went(self, count: int, order: int) -> None:
        """Its answer is out."""
        with self.lock:
            if order != self.order:
                return
            self.busy -= 1
            self.answered += count
            if self.full is None and self.answered >= self.expect - self.tail:
                self.full = time.perf_counter(), self.answered, cpu_s()
            if self.expect and self.answered >= self.expect:
                self.expect = 0
                self.tell()

    def tell(self) -> None:
        """The result, as a line."""
        assert self.first is not None
        assert self.full is not None
        at, cpu, threads, own = self.first
        result = {
            "order": self.order,
            "s": time.perf_counter() - at,
            "first_s": at,
            "full": [self.full[0] - at, self.full[1], self.full[2] - own],
            "cpu": [[before, cpu_s(pid)] for before, pid in zip(cpu, self.pids, strict=True)],
            "threads": [[before, threads_s(pid)] for before, pid in zip(threads, self.pids, strict=True)],
            "messages": self.messages,
            "requests": self.requests,
            "bytes": self.bytes,
            "busiest": self.busiest,
            "took_ms": self.took,
            "at": time.time(),
        }
        _say(result)

    def answer(self, count: int) -> bytes:
        """A 207 as long as Adobe's, made once for each number of messages."""
        if count not in self.answers:
            entries = ",".join(f'{{"xactionId":"1565638336649:1750:{number}"}}' for number in range(count))
            body = f'{{"inletId":"{"0" * 64}","batchId":"1565638336649:1750","receivedTimeMs":1565638336705,"responses":[{entries}]}}'
            self.answers[count] = (
                f"HTTP/1.1 207 Multi-Status\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
        return self.answers[count]


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def serve(sink: Sink, sock: socket.socket) -> None:
    """One connection, until its client leaves."""
    buffer = bytearray(_LARGEST)
    view = memoryview(buffer)
    plain = not isinstance(sock, ssl.SSLSocket)
    try:
        while True:
            got = order = 0
            while (end := buffer.find(b"\r\n\r\n", 0, got)) < 0:
                more = sock.recv_into(view[got:])
                if not more:
                    return
                order = order if got else sink.order
                got += more
            found = _LENGTH.search(buffer, 0, end)
            assert found is not None
            start = end + 4
            whole = start + int(found[1])
            while got < whole:
                more = sock.recv_into(view[got:whole], whole - got, socket.MSG_WAITALL if plain else 0)
                if not more:
                    return
                got += more
            count = sink.came(view[start:whole], order)
            if sink.latency_s:
                time.sleep(sink.latency_s)
            sock.sendall(sink.answer(count))
            sink.went(count, order)
    except (ConnectionError, ssl.SSLError):
        return
    finally:
        sock.close()


def main(arguments: list[str]) -> None:
    """`sink [certificate key]`: says its port first."""
    context = None
    if arguments:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments)
    sink = Sink()
    server = socket.create_server(("127.0.0.1", 0), backlog=128)

    def greet(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        serve(sink, sock if context is None else context.wrap_socket(sock, server_side=True))

    def listen() -> None:
        while True:
            sock, _ = server.accept()
            threading.Thread(target=greet, args=(sock,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    print(json.dumps({"port": server.getsockname()[1]}), flush=True)
    for line in sys.stdin:
        sink.begin(json.loads(line))


if __name__ == "__main__":
    main(sys.argv[1:])
