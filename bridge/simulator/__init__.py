"""A local Adobe Experience Platform: streaming ingestion over real HTTP and TLS, faults included.

    client ── connection ── routing ─┬─ collection ── messages (judged), response_bodies (spelled)
              (reads HTTP)           ├─ tokens
                   │                 └─ admin (switches, and what was recorded)
              transmission                 │
              (writes HTTP)             state: config, accounting, faults, rate_limits

It behaves as Adobe's documents and production logs say; where they contradict each other, both behaviours
are an option. `simulator` runs it in a thread or a process. A fault rule (`fault_rules`, armed in `faults`)
replaces the usual response (`fault_responses`) or changes how it is put on the connection. The service
imports nothing from here.
"""

from bridge.simulator.accounting import Accounting, RequestSummary
from bridge.simulator.config import DEFAULT_INLET, DEFAULT_ORG, DEFAULT_PORT, DEFAULT_RAW_INLET, Config, Shape
from bridge.simulator.fault_rules import Rule
from bridge.simulator.simulator import Simulator, run

__all__ = [
    "DEFAULT_INLET",
    "DEFAULT_ORG",
    "DEFAULT_PORT",
    "DEFAULT_RAW_INLET",
    "Accounting",
    "Config",
    "RequestSummary",
    "Rule",
    "Shape",
    "Simulator",
    "run",
]
