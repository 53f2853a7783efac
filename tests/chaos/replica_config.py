"""The configuration of a campaign's replicas, and the times and bounds that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MAX_IN_FLIGHT = 4
BATCH_MESSAGES = 100
MAX_UNCOMMITTED_RECORDS = 500
SESSION_TIMEOUT_S = 6.0
REQUEST_TIMEOUT_S = 5.0
DRAIN_TIMEOUT_S = 10.0
REVOKE_TIMEOUT_S = 5.0
COMMIT_INTERVAL_S = 0.5

AFTERMATH_S = SESSION_TIMEOUT_S + REQUEST_TIMEOUT_S + DRAIN_TIMEOUT_S
"""Seconds after its end in which a fault may still move a partition."""
IN_TRANSIT_S = 1.5
"""The longest time from AEP's acceptance until the replica has read the response.

Also the longest time from the end of a cut until the last bytes that it held up have arrived.
"""
END_TIMEOUT_S = DRAIN_TIMEOUT_S + 20
"""How long a replica may take to end after a SIGTERM."""


def replica_config(
    *,
    bootstrap_servers: str,
    group: str,
    topic: str,
    aep_url: str,
    inlet: str,
    org: str,
    client_id: str,
    secret: Path,
) -> dict[str, Any]:
    """Return what all replicas have in common: AEP and the brokers are reached through the gateways."""
    properties = {
        "session.timeout.ms": int(SESSION_TIMEOUT_S * 1000),
        "heartbeat.interval.ms": 2000,
        "topic.metadata.refresh.interval.ms": 3000,
        "reconnect.backoff.max.ms": 1000,
    }
    auth = {
        "token_url": f"{aep_url}/ims/token/v3",
        "client_id": client_id,
        "client_secret_file": str(secret),
        "scope": "openid",
    }
    return {
        "kafka": {"bootstrap_servers": bootstrap_servers, "group_id": group, "properties": properties},
        "aep": {"inlet_url": f"{aep_url}/collection/{inlet}", "ims_org_id": org, "auth": auth},
        "topics": [{"topic": topic}],
        "batch": {"linger_ms": 100, "max_messages": BATCH_MESSAGES},
        "delivery": {
            "max_in_flight": MAX_IN_FLIGHT,
            "max_uncommitted_records": MAX_UNCOMMITTED_RECORDS,
            "request_timeout_s": REQUEST_TIMEOUT_S,
            "drain_timeout_s": DRAIN_TIMEOUT_S,
            "revoke_timeout_s": REVOKE_TIMEOUT_S,
            "backoff_max_s": 2,
        },
        "logging": {"format": "json"},
    }
