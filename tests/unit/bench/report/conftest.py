"""Results of an invented run, with simple numbers."""

from __future__ import annotations

import pytest

from bench.measurements.quota_scenarios import scenarios
from bench.programs.bridge_with_timers import PARTS
from bench.report.results import Results
from bench.report.tables_profile import RUNS
from bench.report.tables_throughput import STEP_NAMES

MACHINE = {
    "date": "2026-01-02 03:04 UTC",
    "cpu": "CPU",
    "cores": 2,
    "memory_gb": 8,
    "kernel": "6",
    "python": "3",
    "confluent_kafka": "2",
    "librdkafka": "2",
    "revision": "abc",
}


def throughput_run(cpu: float) -> dict[str, object]:
    """What one throughput step brings at so many CPU µs per event."""
    return {
        "cpu_s_per_million": cpu,
        "split_us": {"client": cpu / 4, "main": cpu / 2, "others": cpu / 4},
        "events_per_s": 1e6 / cpu,
        "mb_per_s": 100.0,
        "requests": 500,
        "most_in_flight": 8,
        "peak_mb": 120.0,
        "ceiling_mb": 278.0,
        "sink_cores": 0.1,
    }


def _quota_run(
    replicas: int, *, raised_at: int | None = None, configured: float | None = None
) -> dict[str, object]:
    """All replicas use the same share of the quota at once; ten requests in the first second are refused."""
    samples, total = [], 0.0
    for second in range(100):
        quota = 15_000 if raised_at is not None and second >= raised_at else 10_000
        total += (min(quota, configured or quota)) / replicas if second else 0
        replica = [total, total / 1000, min(second, 1) * 10.0, 9000.0, 8.0]
        sample = [list(replica) for _ in range(replicas)]
        samples.append({"s": float(second), "quota": quota, "replicas": sample})
    return {
        "latency_ms": 30,
        "limit": 10_000,
        "raised_at": raised_at,
        "configured": configured,
        "samples": samples,
    }


@pytest.fixture
def results() -> Results:
    throughput = {step: [throughput_run(cpu) for cpu in (4.0, 5.0, 4.5)] for step in STEP_NAMES}
    throughput["read"] = [throughput_run(cpu) for cpu in (1.0, 1.5, 1.0)]
    throughput["tls-100kb"] = [throughput_run(8.0), None, throughput_run(8.0)]
    throughput["sink-http"] = [{"events_per_s": 4e6, "sink_cores": 0.7}] * 3
    throughput["sink-tls"] = [{"events_per_s": 7e5, "sink_cores": 0.5}] * 3
    timed = {
        "parts_us": dict.fromkeys(PARTS, 0.2),
        "split_us": {"client": 0.5, "main": 2.0, "others": 1.5},
        "cpu_us": 4.0,
    }
    perf = {"libraries_us": {"main/msgspec": 1.0, "others/OpenSSL": 0.5}, "samples": 900, "cpu_us": 4.0}
    quota = {}
    for each in scenarios(100):
        raised_at = 80 if each.raise_at else None
        quota[each.name] = [_quota_run(each.replicas, raised_at=raised_at, configured=each.configured)]
    parts = {
        "throughput": throughput,
        "latency": {"linger-0": [{"p50": 1.0, "p99": 30.0, "p999": 40.0}]},
        "scaling": {
            "1": [{"events_per_s": 100.0, "cpu_s_per_million": 40.0}],
            "2": [{"events_per_s": 190.0, "cpu_s_per_million": 41.0}],
        },
        "startup": {"first 207": [{"s": 1.5}], "first 207, delayed": [{"s": 4.5}]},
        "steady": {"1000": [{"cpu_m": 12.4, "events_per_s": 1000.0, "requests": 10}]},
        "profile": {**{run: [timed] for run in RUNS}, "perf": [perf]},
        "quota": quota,
    }
    return {
        part: {"machine": MACHINE, "command": "make bench", "took_s": 60.0, "runs": runs}
        for part, runs in parts.items()
    }
