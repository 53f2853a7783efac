"""The Grafana dashboard of the chart: its rows of panels, each with its queries."""

from __future__ import annotations

from grafana import Row, graph, stat
from promql import count, highest, increase, metric, per_second, quantile, total

GLANCE = Row(
    "At a glance",
    (
        stat("Lag", "short", total(metric("aep_bridge_consumer_lag")), "records"),
        stat("Accepted", "cps", total(per_second("aep_bridge_records_accepted_total")), "records/s"),
        stat("Oldest unsettled record", "s", highest(metric("aep_bridge_oldest_unsettled_seconds")), "age"),
        stat("Inlets held", "short", total(metric("aep_bridge_inlet_held")), "held"),
        stat(
            "Dead letters, last hour",
            "short",
            total(increase("aep_bridge_records_dead_lettered_total", "1h")) + " or vector(0)",
            "records",
        ),
        stat("Pods", "short", count(metric("aep_bridge_build_info")), "pods"),
    ),
)
RECORDS = Row(
    "Records",
    (
        graph(
            "Read, accepted, dead-lettered, skipped",
            "cps",
            *(
                (total(per_second(f"aep_bridge_records_{what}_total")), what)
                for what in ("read", "accepted", "dead_lettered", "skipped")
            ),
        ),
        graph(
            "Accepted by topic",
            "cps",
            (total(per_second("aep_bridge_records_accepted_total"), by="topic"), "{{topic}}"),
        ),
        graph("Lag by topic", "short", (total(metric("aep_bridge_consumer_lag"), by="topic"), "{{topic}}")),
        graph(
            "Watermark age by topic",
            "s",
            (highest(metric("aep_bridge_watermark_age_seconds"), by="topic"), "{{topic}}"),
        ),
        graph(
            "Dead letters by topic and reason",
            "cps",
            (
                total(per_second("aep_bridge_records_dead_lettered_total"), by="topic, reason"),
                "{{topic}} {{reason}}",
            ),
        ),
        graph(
            "Trouble: dead letters not taken, events too large for Profile, possible loss",
            "cps",
            *(
                (total(per_second(f"aep_bridge_{name}_total"), by="topic"), f"{legend} {{{{topic}}}}")
                for name, legend in (
                    ("dead_letter_failures", "not taken"),
                    ("oversize_for_profile", "above 10 kB"),
                    ("possible_loss", "possible loss"),
                    ("rewinds", "began anew"),
                )
            ),
        ),
    ),
)
REQUESTS = Row(
    "Requests to AEP",
    (
        graph(
            "Requests by status",
            "reqps",
            (total(per_second("aep_bridge_requests_total"), by="inlet, status"), "{{inlet}} {{status}}"),
        ),
        graph(
            "Seconds to an answer",
            "s",
            *(
                (
                    quantile(share, "aep_bridge_request_seconds", by="inlet"),
                    f"p{int(share * 100)} {{{{inlet}}}}",
                )
                for share in (0.5, 0.95, 0.99)
            ),
        ),
        graph(
            "In flight, and the learned limit",
            "short",
            (total(metric("aep_bridge_in_flight"), by="inlet"), "in flight {{inlet}}"),
            (total(metric("aep_bridge_in_flight_limit"), by="inlet"), "limit {{inlet}}"),
        ),
        graph(
            "Learned rate (none: no limit)",
            "cps",
            (total(metric("aep_bridge_rate_limit"), by="inlet") + " < Inf", "{{inlet}}"),
        ),
        graph(
            "Retries by reason",
            "cps",
            (total(per_second("aep_bridge_retries_total"), by="inlet, reason"), "{{inlet}} {{reason}}"),
        ),
        graph(
            "Holds",
            "short",
            (highest(metric("aep_bridge_inlet_held"), by="inlet, reason"), "held {{inlet}} {{reason}}"),
            (
                total(increase("aep_bridge_holds_total", "1h"), by="inlet, reason"),
                "in the last hour {{inlet}} {{reason}}",
            ),
        ),
        graph(
            "Batch size",
            "bytes",
            (quantile(0.5, "aep_bridge_batch_bytes"), "p50"),
            (quantile(0.95, "aep_bridge_batch_bytes"), "p95"),
        ),
        graph("Messages in a batch", "short", (quantile(0.5, "aep_bridge_batch_records"), "p50")),
        graph(
            "Tokens",
            "s",
            (highest(metric("aep_bridge_token_age_seconds"), by="inlet"), "age {{inlet}}"),
            (
                total(increase("aep_bridge_token_refresh_failures_total", "1h"), by="inlet"),
                "failures in the last hour {{inlet}}",
            ),
        ),
    ),
)
GROUP = Row(
    "Group and process",
    (
        graph(
            "Partitions by pod",
            "short",
            (highest(metric("aep_bridge_assigned_partitions"), by="pod"), "{{pod}}"),
        ),
        graph(
            "Rebalances in 15 minutes",
            "short",
            (total(increase("aep_bridge_rebalances_total", "15m"), by="kind"), "{{kind}}"),
        ),
        graph(
            "Commits",
            "s",
            (highest(metric("aep_bridge_commit_age_seconds"), by="pod"), "age {{pod}}"),
            (
                total(increase("aep_bridge_commit_failures_total", "15m"), by="pod"),
                "failures in 15 min {{pod}}",
            ),
        ),
        graph(
            "Memory, and its ceiling",
            "bytes",
            (highest(metric("process_resident_memory_bytes"), by="pod"), "{{pod}}"),
            (highest(metric("aep_bridge_memory_ceiling_bytes")), "ceiling"),
            (total(metric("aep_bridge_window_bytes"), by="inlet"), "window {{inlet}}"),
        ),
        graph("CPU", "short", (total(per_second("process_cpu_seconds_total"), by="pod"), "{{pod}}")),
        graph("Versions", "short", (count(metric("aep_bridge_build_info"), by="version"), "{{version}}")),
    ),
)
ROWS = [GLANCE, RECORDS, REQUESTS, GROUP]
