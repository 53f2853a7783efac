"""The gauges, which are computed at each scrape."""

from __future__ import annotations

import pytest
from prometheus_client.core import GaugeMetricFamily

from bridge.engine.snapshot import lag
from bridge.model import TopicPartition
from bridge.ops.telemetry import Telemetry


@pytest.mark.parametrize(
    ("watermark", "stored", "end", "expected"),
    [
        (5, 3, 10, 5),
        (None, 3, 10, 7),
        (None, None, 10, None),
        (0, None, 10, 10),
        (5, 5, None, None),
        (12, 12, 10, 0),
    ],
)
def test_the_lag_of_an_unread_partition_counts_from_its_committed_offset(
    watermark: int | None, stored: int | None, end: int | None, expected: int | None
) -> None:
    """A partition starts paused if its inlet is full. Status and metric must show its lag even then."""
    entry = {
        "topic": "t",
        "partition": 0,
        "watermark": watermark,
        "stored": stored,
        "oldest_unsettled_s": 0.0,
        "watermark_age_s": 0.0,
    }
    ends = {} if end is None else {TopicPartition("t", 0): end}
    telemetry = Telemetry()
    telemetry.watch(lambda: {"partitions": [entry]}, lambda: ends, dict)

    families = [each for each in telemetry.registry.collect() if isinstance(each, GaugeMetricFamily)]
    [family] = [each for each in families if each.name == "aep_bridge_consumer_lag"]

    assert lag(entry, end) == expected
    assert [sample.value for sample in family.samples] == ([] if expected is None else [expected])
