"""Free ports, for processes that are started with the number of theirs."""

from __future__ import annotations

import itertools
import random
import socket

_FIRST, _COUNT = 15_000, 15_000
"""These lie below the ports that the system assigns by itself, so that it gives none of them to another
process between the check here and the use."""
_numbers = itertools.count(random.SystemRandom().randrange(_COUNT))


def free_port() -> int:
    """Return a port that nobody uses, and that this process has not returned before."""
    for number in itertools.islice(_numbers, _COUNT):
        port = _FIRST + number % _COUNT
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise RuntimeError("no port is free")
