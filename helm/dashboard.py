"""The Grafana dashboard, as Python values: rows of panels, each with its queries."""

from __future__ import annotations

from typing import Any

BY = 'namespace="$namespace",job="$job",pod=~"$pod"'
"""One release: each monitor of the chart is a job of its own."""
WINDOW = "$__rate_interval"

Query = tuple[str, str]
"""Expression (with `BY` for the release's pods and `WINDOW` for rates) and legend."""


def q(expression: str, legend: str) -> Query:
    """A query; `{}` in the expression stands for the pods' selector."""
    return expression.replace("{}", "{" + BY + "}").replace("{,", "{" + BY + ","), legend


ROWS: list[tuple[str, list[tuple[str, str, str, list[Query]]]]] = [
    (
        "At a glance",
        [
            ("Lag", "stat", "short", [q("sum(aep_bridge_consumer_lag{})", "records")]),
            (
                "Accepted",
                "stat",
                "cps",
                [q(f"sum(rate(aep_bridge_records_accepted_total{{}}[{WINDOW}]))", "records/s")],
            ),
            (
                "Oldest unsettled record",
                "stat",
                "s",
                [q("max(aep_bridge_oldest_unsettled_seconds{})", "age")],
            ),
            ("Inlets held", "stat", "short", [q("sum(aep_bridge_inlet_held{})", "held")]),
            (
                "Dead letters, last hour",
                "stat",
                "short",
                [q("sum(increase(aep_bridge_records_dead_lettered_total{}[1h])) or vector(0)", "records")],
            ),
            ("Pods", "stat", "short", [q("count(aep_bridge_build_info{})", "pods")]),
        ],
    ),
    (
        "Records",
        [
            (
                "Read, accepted, dead-lettered, skipped",
                "timeseries",
                "cps",
                [
                    q(f"sum(rate(aep_bridge_records_{what}_total{{}}[{WINDOW}]))", what)
                    for what in ("read", "accepted", "dead_lettered", "skipped")
                ],
            ),
            (
                "Accepted by topic",
                "timeseries",
                "cps",
                [q(f"sum by (topic) (rate(aep_bridge_records_accepted_total{{}}[{WINDOW}]))", "{{topic}}")],
            ),
            (
                "Lag by topic",
                "timeseries",
                "short",
                [q("sum by (topic) (aep_bridge_consumer_lag{})", "{{topic}}")],
            ),
            (
                "Watermark age by topic",
                "timeseries",
                "s",
                [q("max by (topic) (aep_bridge_watermark_age_seconds{})", "{{topic}}")],
            ),
            (
                "Dead letters by topic and reason",
                "timeseries",
                "cps",
                [
                    q(
                        f"sum by (topic, reason) (rate(aep_bridge_records_dead_lettered_total{{}}[{WINDOW}]))",
                        "{{topic}} {{reason}}",
                    )
                ],
            ),
            (
                "Trouble: dead letters not taken, events too large for Profile, possible loss",
                "timeseries",
                "cps",
                [
                    q(
                        f"sum by (topic) (rate(aep_bridge_dead_letter_failures_total{{}}[{WINDOW}]))",
                        "not taken {{topic}}",
                    ),
                    q(
                        f"sum by (topic) (rate(aep_bridge_oversize_for_profile_total{{}}[{WINDOW}]))",
                        "above 10 kB {{topic}}",
                    ),
                    q(
                        f"sum by (topic) (rate(aep_bridge_possible_loss_total{{}}[{WINDOW}]))",
                        "possible loss {{topic}}",
                    ),
                    q(
                        f"sum by (topic) (rate(aep_bridge_rewinds_total{{}}[{WINDOW}]))",
                        "began anew {{topic}}",
                    ),
                ],
            ),
        ],
    ),
    (
        "Requests to AEP",
        [
            (
                "Requests by status",
                "timeseries",
                "reqps",
                [
                    q(
                        f"sum by (inlet, status) (rate(aep_bridge_requests_total{{}}[{WINDOW}]))",
                        "{{inlet}} {{status}}",
                    )
                ],
            ),
            (
                "Seconds to an answer",
                "timeseries",
                "s",
                [
                    q(
                        f"histogram_quantile({share}, sum by (le, inlet) (rate(aep_bridge_request_seconds_bucket{{}}[{WINDOW}])))",
                        f"p{int(share * 100)} {{{{inlet}}}}",
                    )
                    for share in (0.5, 0.95, 0.99)
                ],
            ),
            (
                "In flight, and the learned limit",
                "timeseries",
                "short",
                [
                    q("sum by (inlet) (aep_bridge_in_flight{})", "in flight {{inlet}}"),
                    q("sum by (inlet) (aep_bridge_in_flight_limit{})", "limit {{inlet}}"),
                ],
            ),
            (
                "Learned rate (none: no limit)",
                "timeseries",
                "cps",
                [q("sum by (inlet) (aep_bridge_rate_limit{}) < Inf", "{{inlet}}")],
            ),
            (
                "Retries by reason",
                "timeseries",
                "cps",
                [
                    q(
                        f"sum by (inlet, reason) (rate(aep_bridge_retries_total{{}}[{WINDOW}]))",
                        "{{inlet}} {{reason}}",
                    )
                ],
            ),
            (
                "Holds",
                "timeseries",
                "short",
                [
                    q("max by (inlet, reason) (aep_bridge_inlet_held{})", "held {{inlet}} {{reason}}"),
                    q(
                        "sum by (inlet, reason) (increase(aep_bridge_holds_total{}[1h]))",
                        "in the last hour {{inlet}} {{reason}}",
                    ),
                ],
            ),
            (
                "Batch size",
                "timeseries",
                "bytes",
                [
                    q(
                        f"histogram_quantile(0.5, sum by (le) (rate(aep_bridge_batch_bytes_bucket{{}}[{WINDOW}])))",
                        "p50",
                    ),
                    q(
                        f"histogram_quantile(0.95, sum by (le) (rate(aep_bridge_batch_bytes_bucket{{}}[{WINDOW}])))",
                        "p95",
                    ),
                ],
            ),
            (
                "Messages in a batch",
                "timeseries",
                "short",
                [
                    q(
                        f"histogram_quantile(0.5, sum by (le) (rate(aep_bridge_batch_records_bucket{{}}[{WINDOW}])))",
                        "p50",
                    )
                ],
            ),
            (
                "Tokens",
                "timeseries",
                "s",
                [
                    q("max by (inlet) (aep_bridge_token_age_seconds{})", "age {{inlet}}"),
                    q(
                        "sum by (inlet) (increase(aep_bridge_token_refresh_failures_total{}[1h]))",
                        "failures in the last hour {{inlet}}",
                    ),
                ],
            ),
        ],
    ),
    (
        "Group and process",
        [
            (
                "Partitions by pod",
                "timeseries",
                "short",
                [q("max by (pod) (aep_bridge_assigned_partitions{})", "{{pod}}")],
            ),
            (
                "Rebalances in 15 minutes",
                "timeseries",
                "short",
                [q("sum by (kind) (increase(aep_bridge_rebalances_total{}[15m]))", "{{kind}}")],
            ),
            (
                "Commits",
                "timeseries",
                "s",
                [
                    q("max by (pod) (aep_bridge_commit_age_seconds{})", "age {{pod}}"),
                    q(
                        "sum by (pod) (increase(aep_bridge_commit_failures_total{}[15m]))",
                        "failures in 15 min {{pod}}",
                    ),
                ],
            ),
            (
                "Memory, and its ceiling",
                "timeseries",
                "bytes",
                [
                    q("max by (pod) (process_resident_memory_bytes{})", "{{pod}}"),
                    q("max(aep_bridge_memory_ceiling_bytes{})", "ceiling"),
                    q("sum by (inlet) (aep_bridge_window_bytes{})", "window {{inlet}}"),
                ],
            ),
            (
                "CPU",
                "timeseries",
                "short",
                [q(f"sum by (pod) (rate(process_cpu_seconds_total{{}}[{WINDOW}]))", "{{pod}}")],
            ),
            (
                "Versions",
                "timeseries",
                "short",
                [q("count by (version) (aep_bridge_build_info{})", "{{version}}")],
            ),
        ],
    ),
]


def queries() -> list[str]:
    """Every expression of the dashboard, with its variables left in."""
    return [expression for _, panels in ROWS for *_, targets in panels for expression, _ in targets]


def dashboard() -> dict[str, Any]:
    """What Grafana imports."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                "panels": [],
            }
        )
        y += 1
        width, height = (4, 4) if row[0][1] == "stat" else (12, 8)
        for number, (name, kind, unit, targets) in enumerate(row):
            across = 24 // width
            panels.append(
                {
                    "id": len(panels) + 1,
                    "type": kind,
                    "title": name,
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "gridPos": {
                        "x": number % across * width,
                        "y": y + number // across * height,
                        "w": width,
                        "h": height,
                    },
                    "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                    "targets": [
                        {"refId": chr(65 + index), "expr": expression, "legendFormat": legend}
                        for index, (expression, legend) in enumerate(targets)
                    ],
                }
            )
        y += -(-len(row) // (24 // width)) * height
    return {
        "uid": "aep-bridge",
        "title": "aep-bridge",
        "tags": ["aep-bridge", "kafka"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                _variable("namespace", "label_values(aep_bridge_build_info, namespace)"),
                _variable("job", 'label_values(aep_bridge_build_info{namespace="$namespace"}, job)'),
                _variable(
                    "pod", 'label_values(aep_bridge_build_info{namespace="$namespace",job="$job"}, pod)'
                )
                | {
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": panels,
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": name},
        "refresh": 2,
    }
