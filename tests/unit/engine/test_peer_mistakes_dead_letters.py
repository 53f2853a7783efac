"""What other consumers did wrong with dead letters, each case shown not to be ours."""

from __future__ import annotations

import gc
import weakref

import pytest

from bridge.kafka.dead_letter_headers import dead_letter_headers
from bridge.model import Slice
from tests.support.engine_bench import Bench
from tests.support.engine_values import SOURCE, pieces, record_slice
from tests.support.memory import MemoryRecord


def test_a_dead_letter_that_fails_is_not_dropped() -> None:
    """arroyo `processor.py`: where the dead-letter producer fails, the record is gone. Here it is
    back-pressure, for as long as it takes.
    """
    bench = Bench(linger_s=0.0, max_messages=2)
    bench.dead_letters.refuse = lambda _: "NOT_ENOUGH_REPLICAS"
    bench.read(record_slice(0, [*pieces(2, bad=[0]), b"not json", *pieces(2, name="x")])).settle(3600.0)
    assert bench.source.stored == {SOURCE: 0}

    bench.dead_letters.refuse = lambda _: ""
    bench.settle(120.0)
    assert {dead_letter.record.offset() for dead_letter in bench.dead_letters.published} == {0, 2}
    assert bench.source.stored == {SOURCE: 5}


class WeaklyReferencedRecord(MemoryRecord):
    """A record that tells when nobody holds it any more."""

    __slots__ = ("__weakref__",)


def test_nothing_is_kept_for_the_case_of_a_dead_letter() -> None:
    """arroyo #431: it kept a second buffer of everything that was in flight. Here only a record's batch holds
    it, and lets go of it when it is settled.
    """
    values = pieces(20, bad=[3])
    records: list[WeaklyReferencedRecord] = [
        WeaklyReferencedRecord(SOURCE, at, value) for at, value in enumerate(values)
    ]
    held = [weakref.ref(each) for each in records]
    bench = Bench(linger_s=0.0)
    bench.source.feed.append([Slice(SOURCE, records, values, 20, 20_000)])
    del records
    bench.settle()
    assert [dead_letter.record.offset() for dead_letter in bench.dead_letters.published] == [3]

    bench.dead_letters.published.clear()
    bench.events.log.clear()
    gc.collect()
    assert sum(ref() is not None for ref in held) == 0
    assert bench.used == pytest.approx(0.0)


def test_a_record_without_key_and_headers_is_dead_lettered_as_it_is() -> None:
    """Nothing is made up for it; all the headers are ours."""
    bench = Bench(linger_s=0.0)
    bench.source.feed.append(
        [Slice(SOURCE, [MemoryRecord(SOURCE, 0, b"not json", None, None)], [b"not json"], 1, 600)]
    )
    bench.settle()
    [dead_letter] = bench.dead_letters.published

    assert dead_letter.record.key() is None
    assert all(name.startswith(("__connect.errors.", "aep.")) for name, _ in dead_letter_headers(dead_letter))
