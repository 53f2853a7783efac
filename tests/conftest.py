"""Fixtures that all kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.jars import missing_tools
from tests.support.kafka import Kafka


def _start_broker(*, secure: bool) -> Iterator[Kafka]:
    if missing := missing_tools():
        tools = ", ".join(missing)
        pytest.fail(
            f"a real broker needs {tools}: install them, or run `make check` for the tests without one"
        )
    with Kafka(secure=secure) as running:
        yield running


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """Give a real broker of one node, started once. Each test creates topics with names of its own."""
    yield from _start_broker(secure=False)


@pytest.fixture(scope="session")
def secure_kafka() -> Iterator[Kafka]:
    """Give a real broker that also listens with TLS and with SCRAM."""
    yield from _start_broker(secure=True)
