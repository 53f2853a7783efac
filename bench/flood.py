"""A load that costs nothing to make: `flood <port> <ca file, or -> <requests>` sends one ready body of 975 KB over 8 connections, to see what the sink can take."""

from __future__ import annotations

import itertools
import socket
import ssl
import sys
import threading

from bench.events import events
from bridge.codec.request import body

MESSAGES, CONNECTIONS = 975, 8


def main(arguments: list[str]) -> None:
    """Ends when every request was answered."""
    port, ca, requests = int(arguments[0]), arguments[1], int(arguments[2])
    content = body(list(events(MESSAGES, 1024)))
    request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)
    context = None if ca == "-" else ssl.create_default_context(cafile=ca)
    numbers = itertools.count()

    def work() -> None:
        sock = socket.create_connection(("127.0.0.1", port))
        with (
            sock if context is None else context.wrap_socket(sock, server_hostname="127.0.0.1") as connection
        ):
            while next(numbers) < requests:
                connection.sendall(request)
                answer = b""
                while not answer.endswith(b"]}"):
                    answer += connection.recv(1 << 17)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1:])
