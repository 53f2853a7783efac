"""What counts in an inlet's window: every byte that is held until its record is settled."""

from __future__ import annotations

import pytest

from bridge.codec.routes import Route
from bridge.model import BatchRequest, BatchResponse, Format
from tests.support.engine_bench import Bench
from tests.support.engine_values import pieces, record_slice

WRAPPER = (b'{"header":{"datasetId":"ds"},"body":', b"}")


def _open(request: BatchRequest, now: float) -> BatchResponse | None:
    """A request that stays open."""


def test_a_message_made_of_a_value_counts_beside_the_value() -> None:
    """The value is kept for a dead letter, so an entity topic holds both."""
    values = pieces(3)
    before = sum(map(len, values))
    bench = Bench(_open, routes=[Route("t", Format.ENTITY, "inlet", "ds", WRAPPER)], linger_s=0.0).read(
        record_slice(0, values)
    )
    overhead = 3 * 600 + before

    assert overhead + before + before + 3 * sum(map(len, WRAPPER)) == pytest.approx(bench.used)


def test_a_message_that_is_the_value_counts_once() -> None:
    """Nothing is made of it."""
    values = [b'{"header":{"datasetId":"a"},"body":{}}', b'{"header":{"datasetId":"b"},"body":{}}']
    bench = Bench(_open, routes=[Route("t", Format.ENVELOPE, "inlet", None)], linger_s=0.0).read(
        record_slice(0, values)
    )

    assert 2 * 600 + 2 * sum(map(len, values)) == pytest.approx(bench.used)


def test_only_the_values_that_were_written_into_count_twice() -> None:
    """A header without a dataset gets the route's."""
    values = [b'{"header":{"datasetId":"ds"},"body":{}}', b'{"header":{},"body":{}}']
    bench = Bench(_open, routes=[Route("t", Format.ENVELOPE, "inlet", "ds")], linger_s=0.0).read(
        record_slice(0, values)
    )
    made = b'{"header":{"datasetId":"ds"},"body":{}}'

    assert 2 * 600 + sum(map(len, values)) + len(values[0]) + len(made) + len(values[1]) == pytest.approx(
        bench.used
    )
