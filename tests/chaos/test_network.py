"""The gateways: the network knows whether a cut has hit something."""

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
    with Network(set) as network:
        yield network


@pytest.fixture
def echo() -> Iterator[int]:
    """A port that sends back everything that it receives."""
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


def test_a_cut_without_traffic_hits_nothing(network: Network, echo: int) -> None:
    """Neither does a gateway without a cut."""
    gateway = network.add("g", echo)
    with connect(gateway):
        network.cut("freeze", "g")
        network.heal("g")

        assert network.hits("g") == 0
        assert network.connections("g") == 1


def test_bytes_that_a_freeze_holds_up_count_as_a_hit_and_pass_later(network: Network, echo: int) -> None:
    """A frozen connection delays bytes; it does not lose them."""
    gateway = network.add("g", echo)
    with connect(gateway) as connection:
        network.cut("freeze", "g")
        connection.sendall(b"b")
        until(lambda: network.hits("g") == 1, 5)
        network.heal("g")

        assert connection.recv(1) == b"b"


def test_each_connection_that_is_reset_or_refused_counts_as_a_hit(network: Network, echo: int) -> None:
    """`reset` has one hit for each open connection, and `refuse` one for each attempt."""
    gateway = network.add("g", echo)
    with connect(gateway), connect(gateway):
        network.cut("reset", "g")
        until(lambda: network.hits("g") == 2, 5)
    network.cut("refuse", "g")
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as refused, suppress(ConnectionError):
        refused.recv(1)
    until(lambda: network.hits("g") == 3, 5)


def test_connections_to_a_port_where_nothing_listens_are_counted_apart(network: Network, echo: int) -> None:
    """They are no hits of a cut: the fault is the target's, not the network's."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gateway = network.add("g", port)
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as connection, suppress(ConnectionError):
        connection.recv(1)
    until(lambda: network.failed_connects("g") == 1, 5)

    assert network.hits("g") == 0
