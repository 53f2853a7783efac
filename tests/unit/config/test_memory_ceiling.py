"""How much memory the settings allow."""

from __future__ import annotations

from bridge.config.memory_ceiling import BASELINE, ceiling
from tests.unit.config.test_settings import settings

MIB = 1 << 20


def test_the_ceiling_counts_every_buffer() -> None:
    """Prefetch, fetch answers, window, requests with their answers, dead letters, and the process itself."""
    size, text = ceiling(settings())

    assert BASELINE + (10 + 10 + 32 + 64) * MIB + 8 * (2_000_000 + 4 * MIB) == size
    assert text.startswith(f"{size / MIB:.0f} MiB = process 90 MiB + prefetch 10 MiB")


def test_the_ceiling_follows_the_settings() -> None:
    """Each distinct inlet has a window of its own; equal ones share it."""
    one = ceiling(settings(topics=["a", {"topic": "b", "aep": {}}]))[0]
    two = ceiling(settings(topics=["a", {"topic": "b", "aep": {"ims_org_id": "o"}}]))[0]
    wide = ceiling(settings(delivery={"window_bytes": 33_554_432 + 1000}))[0]
    deep = ceiling(
        settings(kafka={"bootstrap_servers": "a:1", "properties": {"queued.max.messages.kbytes": "1024"}})
    )[0]
    brokers = ceiling(settings(kafka={"bootstrap_servers": "a:1,b:1,c:1"}))[0]

    assert ceiling(settings())[0] == one
    assert one + 32 * MIB + 8 * (2_000_000 + 4 * MIB) == two
    assert one + 1000 == wide
    assert one - 2 * 9 * MIB == deep  # the client lowers fetch.max.bytes to the prefetch
    assert one + 20 * MIB == brokers
