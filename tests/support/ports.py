"""Ports for processes that are told theirs before they start."""

from __future__ import annotations

import itertools
import random
import socket

_FIRST, _COUNT = 15_000, 15_000
"""Below the ports that the system hands out to whoever asks for any: nobody else gets one of these between the look and the use."""
_numbers = itertools.count(random.SystemRandom().randrange(_COUNT))


def free_port() -> int:
    """One that nobody has, and that this process gives once."""
    for number in itertools.islice(_numbers, _COUNT):
        port = _FIRST + number % _COUNT
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise RuntimeError("no port is free")
