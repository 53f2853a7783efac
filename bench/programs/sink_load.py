"""A load for the sink that costs nothing to make: the same request again and again, to see what the sink
can take.

python -m bench.programs.sink_load PORT CA_FILE REQUESTS      CA_FILE is `-` for plain HTTP
"""

from __future__ import annotations

import itertools
import socket
import ssl
import sys
import threading

from bench.environment.events import events
from bridge.codec.request import body

MESSAGES = 975
"""Messages of the request, which fill a megabyte almost."""
CONNECTIONS = 8
"""As many as a bridge has at its defaults."""


def main(arguments: list[str]) -> None:
    """Send the requests, and end when every one of them has been answered."""
    port, ca_file, requests = int(arguments[0]), arguments[1], int(arguments[2])
    content = body(list(events(MESSAGES, 1024)))
    request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)
    context = None if ca_file == "-" else ssl.create_default_context(cafile=ca_file)
    numbers = itertools.count()

    def connect() -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", port))
        return sock if context is None else context.wrap_socket(sock, server_hostname="127.0.0.1")

    def send_requests() -> None:
        with connect() as connection:
            while next(numbers) < requests:
                connection.sendall(request)
                response = b""
                while not response.endswith(b"]}"):
                    response += connection.recv(1 << 17)

    threads = [threading.Thread(target=send_requests) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1:])
