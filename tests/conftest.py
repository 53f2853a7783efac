"""Fixtures that every kind of test shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.jars import missing_tools
from tests.support.kafka import Kafka


def _real(*, secure: bool) -> Iterator[Kafka]:
    if missing := missing_tools():
        pytest.fail(
            f"a real broker needs {', '.join(missing)}: install them, or run `make check` for the tests without one"
        )
    with Kafka(secure=secure) as running:
        yield running


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A real broker, one node, started once; topics get unique names."""
    yield from _real(secure=False)


@pytest.fixture(scope="session")
def secure_kafka() -> Iterator[Kafka]:
    """A real broker that also listens with TLS and with SCRAM."""
    yield from _real(secure=True)
