"""The gauges: values at the moment of a scrape, computed from the engine's snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bridge.engine.snapshot import lag
from bridge.model import TopicPartition

PARTITION = ("topic", "partition")


class Gauges(Collector):
    """Reads the snapshot, the end offsets, and the ages of tokens and commits at each scrape."""

    def __init__(
        self,
        status: Callable[[], Mapping[str, Any]],
        ends: Callable[[], Mapping[TopicPartition, int]],
        token_ages: Callable[[], Mapping[str, float]],
        commit_age: Callable[[], float],
    ) -> None:
        self._status, self._ends, self._token_ages, self._commit_age = status, ends, token_ages, commit_age

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing. Otherwise the gauges would be collected when they are registered, before there is a
        snapshot.
        """
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges of the process, its partitions, inlets and tokens."""
        status = self._status()
        partitions = status.get("partitions", [])
        yield _single(
            "commit_age_seconds",
            "Seconds that stored offsets have waited for their commit.",
            self._commit_age(),
        )
        yield _single("assigned_partitions", "Partitions that this member has.", len(partitions))
        yield from self._of_partitions(partitions)
        yield from _of_inlets(status.get("inlets", []))
        tokens = _family("token_age_seconds", "Seconds since the access token was got.", "inlet")
        for inlet, seconds in self._token_ages().items():
            tokens.add_metric([inlet], seconds)
        yield tokens

    def _of_partitions(self, partitions: Iterable[Mapping[str, Any]]) -> Iterator[GaugeMetricFamily]:
        text = "Records between the watermark and the end of the partition, which brokers are asked for."
        lags = _family("consumer_lag", text, *PARTITION)
        text = "Age of the oldest record that is read and not settled."
        oldest = _family("oldest_unsettled_seconds", text, *PARTITION)
        text = "Seconds since the watermark moved, while something is unsettled."
        age = _family("watermark_age_seconds", text, *PARTITION)
        ends = self._ends()
        for entry in partitions:
            labels = [entry["topic"], str(entry["partition"])]
            records = lag(entry, ends.get(TopicPartition(entry["topic"], entry["partition"])))
            if records is not None:
                lags.add_metric(labels, records)
            oldest.add_metric(labels, entry["oldest_unsettled_s"])
            age.add_metric(labels, entry["watermark_age_s"])
        yield from (lags, oldest, age)


def _of_inlets(inlets: Iterable[Mapping[str, Any]]) -> Iterator[GaugeMetricFamily]:
    in_flight = _family("in_flight", "Requests under way.", "inlet")
    limit = _family("in_flight_limit", "Requests at once, as learned.", "inlet")
    text = "Messages a second, as learned or configured; infinite where nothing limits."
    rate = _family("rate_limit", text, "inlet")
    window = _family("window_bytes", "Bytes read and not settled.", "inlet")
    held = _family("inlet_held", "1 while the inlet only probes.", "inlet", "reason")
    for entry in inlets:
        name, hold, per_s = entry["name"], entry["held"], entry["messages_per_s_limit"]
        in_flight.add_metric([name], entry["in_flight"])
        limit.add_metric([name], entry["in_flight_limit"])
        rate.add_metric([name], float("inf") if per_s is None else per_s)
        window.add_metric([name], entry["used_bytes"])
        held.add_metric([name, hold["reason"] if hold else "none"], 1 if hold else 0)
        if entry["flooded"]:
            held.add_metric([name, "flood guard"], 1)
    yield from (in_flight, limit, rate, window, held)


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"aep_bridge_{name}", text, labels=labels)


def _single(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"aep_bridge_{name}", text, value=value)
