"""A server that stands for AEP and answers every request with a 207, as cheaply as Python can.

    python -m bench.programs.sink [CERTIFICATE KEY]     writes {"port": …} first

Threads on blocking sockets count the messages of a request by its length. Lines over stdin start a run and
say what to expect and whose CPU to read; lines over stdout say that the run has started and, once all has
come, its result:

    {"run": 7, "expect": 500000, "size": 1024, "pids": [123], "latency_ms": 30, "tail": 1000}
    {"started": 7}
    {"run": 7, "seconds": …, "cpu": [[before, after]], "threads": [[before, after]], "requests": …, …}

- A request belongs to the run under which its first bytes came. What a killed bridge has left under way does
  not count in the next run.
- `size` is the length of every event, so that a body which does not hold whole events is noticed.
- `without_tail` is the run until all but `tail` messages were answered: the last batch is not full and
  lingers. It holds the sink's own CPU, too, because the sink must never be the bottleneck.
- With `"stamps": true` the bodies are searched for `"sent_ns":…` instead, and `latencies_ms` says how long
  after that time each event has arrived.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from bench.environment.process_usage import cpu_s, cpu_s_by_thread

_CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STAMP = re.compile(rb'"sent_ns":(\d{19})')
_LARGEST_REQUEST = 1_100_000
_FRAME = len('{"messages":[]}')


@dataclass(frozen=True, slots=True)
class _Start:
    """The moment of a run's first request: the clock, and the CPU used until then."""

    at: float
    cpu: list[float]
    threads: list[dict[str, float]]
    own_cpu: float


@dataclass(slots=True)
class _Run:
    """The options of a run, and what has been counted so far."""

    run: int
    expect: int
    size: int
    pids: list[int] = field(default_factory=list)
    latency_ms: float = 0
    stamps: bool = False
    tail: int = 0
    finished: bool = False
    messages: int = 0
    answered: int = 0
    requests: int = 0
    bytes: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    start: _Start | None = None
    without_tail: dict[str, float] | None = None


class Sink:
    """The run under way, shared by all connections."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._responses: dict[int, bytes] = {}
        self.current = _Run(run=0, expect=0, size=1, finished=True)

    def start(self, options: dict[str, Any]) -> None:
        """Forget the run before, and count for this one."""
        with self.lock:
            self.current = _Run(**options)
            _write_line({"started": self.current.run})

    def request_came(self, body: memoryview, run: _Run) -> int:
        """Count a whole request that belongs to this run, and return the number of its messages."""
        if run is not self.current:
            return 0
        latencies: list[float] = []
        if run.stamps:
            now = time.time_ns()
            latencies = [(now - int(stamp)) / 1e6 for stamp in _STAMP.findall(body)]
            count = len(latencies)
        else:
            count = (len(body) - _FRAME + 1) // (run.size + 1)
            if _FRAME - 1 + count * (run.size + 1) != len(body):
                raise ValueError(f"a body of {len(body)} bytes does not hold whole events of {run.size}")
        with self.lock:
            if run is not self.current:
                return 0
            if run.start is None:
                cpu, threads = list(map(cpu_s, run.pids)), list(map(cpu_s_by_thread, run.pids))
                run.start = _Start(time.perf_counter(), cpu, threads, cpu_s())
            run.messages += count
            run.requests += 1
            run.bytes += len(body)
            run.latencies_ms += latencies
            run.in_flight += 1
            run.most_in_flight = max(run.most_in_flight, run.in_flight)
        return count

    def response_sent(self, count: int, run: _Run) -> None:
        """Count the response to a request with so many messages.

        The last one of the run writes its result.
        """
        with self.lock:
            if run is not self.current or run.start is None:
                return
            run.in_flight -= 1
            run.answered += count
            if run.without_tail is None and run.answered >= run.expect - run.tail:
                run.without_tail = {
                    "seconds": time.perf_counter() - run.start.at,
                    "messages": run.answered,
                    "sink_cpu_s": cpu_s() - run.start.own_cpu,
                }
            if not run.finished and run.answered >= run.expect:
                run.finished = True
                _write_line(_result(run, run.start))

    def response(self, count: int) -> bytes:
        """Return a 207 as long as Adobe's, built once for each number of messages."""
        if count not in self._responses:
            entries = ",".join(f'{{"xactionId":"1565638336649:1750:{number}"}}' for number in range(count))
            body = (
                f'{{"inletId":"{"0" * 64}","batchId":"1565638336649:1750",'
                f'"receivedTimeMs":1565638336705,"responses":[{entries}]}}'
            )
            head = "HTTP/1.1 207 Multi-Status\r\nContent-Type: application/json\r\n"
            self._responses[count] = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        return self._responses[count]


def _result(run: _Run, start: _Start) -> dict[str, Any]:
    cpu_after, threads_after = list(map(cpu_s, run.pids)), list(map(cpu_s_by_thread, run.pids))
    return {
        "run": run.run,
        "seconds": time.perf_counter() - start.at,
        "started_at": start.at,
        "without_tail": run.without_tail,
        "cpu": list(zip(start.cpu, cpu_after, strict=True)),
        "threads": list(zip(start.threads, threads_after, strict=True)),
        "messages": run.messages,
        "requests": run.requests,
        "bytes": run.bytes,
        "most_in_flight": run.most_in_flight,
        "latencies_ms": run.latencies_ms,
        "ended_at": time.time(),
    }


def _write_line(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def serve(sink: Sink, sock: socket.socket) -> None:
    """Answer the requests of one connection until its client leaves."""
    buffer = bytearray(_LARGEST_REQUEST)
    view = memoryview(buffer)
    tls = isinstance(sock, ssl.SSLSocket)
    try:
        while True:
            received, run = 0, sink.current
            while (head_end := buffer.find(b"\r\n\r\n", 0, received)) < 0:
                size = sock.recv_into(view[received:])
                if not size:
                    return
                run = run if received else sink.current
                received += size
            length = _CONTENT_LENGTH.search(buffer, 0, head_end)
            assert length is not None
            start = head_end + 4
            end = start + int(length[1])
            while received < end:
                size = sock.recv_into(view[received:end], end - received, 0 if tls else socket.MSG_WAITALL)
                if not size:
                    return
                received += size
            count = sink.request_came(view[start:end], run)
            if sink.current.latency_ms:
                time.sleep(sink.current.latency_ms / 1000)
            sock.sendall(sink.response(count))
            sink.response_sent(count, run)
    except (ConnectionError, ssl.SSLError):
        return
    finally:
        sock.close()


def main(arguments: list[str]) -> None:
    """Write the port, then take orders from stdin until it ends."""
    context = None
    if arguments:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments)
    sink = Sink()
    server = socket.create_server(("127.0.0.1", 0), backlog=128)

    def connected(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        serve(sink, sock if context is None else context.wrap_socket(sock, server_side=True))

    def listen() -> None:
        while True:
            sock, _ = server.accept()
            threading.Thread(target=connected, args=(sock,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    print(json.dumps({"port": server.getsockname()[1]}), flush=True)
    for line in sys.stdin:
        sink.start(json.loads(line))


if __name__ == "__main__":
    main(sys.argv[1:])
