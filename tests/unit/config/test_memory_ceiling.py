"""How much memory the settings allow."""

from __future__ import annotations

from bridge.config.memory_ceiling import BASELINE, ceiling
from tests.support.settings import settings

MIB = 1 << 20
REQUESTS = 8 * (2_000_000 + 4 * MIB)
"""Requests under way, twice each, with their responses."""


def test_the_ceiling_counts_every_buffer() -> None:
    """A buffer that is not counted is memory that the container does not have."""
    size, text = ceiling(settings())
    prefetch, fetch_responses, window, dead_letters = 10 * MIB, 10 * MIB, 32 * MIB, 64 * MIB

    assert size == BASELINE + prefetch + fetch_responses + window + dead_letters + REQUESTS
    assert text.startswith(f"{size / MIB:.0f} MiB = process 90 MiB + prefetch 10 MiB")


def test_the_ceiling_follows_the_settings() -> None:
    """Each distinct inlet has a window of its own, and equal ones share it."""
    one = ceiling(settings())[0]
    equal = ceiling(settings(topics=["a", {"topic": "b", "aep": {}}]))[0]
    two = ceiling(settings(topics=["a", {"topic": "b", "aep": {"ims_org_id": "o"}}]))[0]
    wider = ceiling(settings(delivery={"window_bytes": 33_554_432 + 1000}))[0]
    small_prefetch = {"queued.max.messages.kbytes": "1024"}
    smaller = ceiling(settings(kafka={"bootstrap_servers": "a:1", "properties": small_prefetch}))[0]
    three_brokers = ceiling(settings(kafka={"bootstrap_servers": "a:1,b:1,c:1"}))[0]

    assert equal == one
    assert two == one + 32 * MIB + REQUESTS
    assert wider == one + 1000
    # The client lowers fetch.max.bytes to the prefetch, so both shrink.
    assert smaller == one - 2 * 9 * MIB
    assert three_brokers == one + 20 * MIB
