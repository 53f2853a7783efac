"""The gateways: a cut that hits nothing is told apart from one that does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.chaos.network import Gateway, Network
from tests.support.clients import until


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(lambda: set()) as network:
        yield network


@pytest.fixture
def echo() -> Iterator[int]:
    """A port where everything comes back."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while data := connection.recv(100):
                    connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def connect(gateway: Gateway) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", gateway.port), 5)
    connection.sendall(b"a")
    assert connection.recv(1) == b"a"
    return connection


def test_nothing_is_hit_without_a_cut(network: Network, echo: int) -> None:
    """Nor by a cut under which nobody says anything."""
    gateway = network.add("g", echo)
    with connect(gateway):
        network.cut("freeze", "g")
        network.heal("g")

        assert (0, 1) == (network.hits("g"), network.connections("g"))


def test_what_a_freeze_holds_up_counts_and_passes_later(network: Network, echo: int) -> None:
    """Bytes wait, and are not lost."""
    gateway = network.add("g", echo)
    with connect(gateway) as connection:
        network.cut("freeze", "g")
        connection.sendall(b"b")
        until(lambda: network.hits("g") == 1, 5)
        network.heal("g")

        assert connection.recv(1) == b"b"


def test_each_connection_that_is_reset_or_refused_counts(network: Network, echo: int) -> None:
    """One for each that was open, and one for each attempt under `refuse`."""
    gateway = network.add("g", echo)
    with connect(gateway), connect(gateway):
        network.cut("reset", "g")
        until(lambda: network.hits("g") == 2, 5)
    network.cut("refuse", "g")
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as refused, suppress(ConnectionError):
        refused.recv(1)
    until(lambda: network.hits("g") == 3, 5)


def test_connections_to_nobody_count_by_themselves(network: Network, echo: int) -> None:
    """They are the neighbour's fault, not the network's."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gateway = network.add("g", port)
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as connection, suppress(ConnectionError):
        connection.recv(1)
    until(lambda: network.unanswered("g") == 1, 5)

    assert network.hits("g") == 0
