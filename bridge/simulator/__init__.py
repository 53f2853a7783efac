"""A local Adobe Experience Platform: the streaming ingestion that the bridge talks to, faults included, over real HTTP and TLS.

    client ─ server.Connection ─ simulator ─┬─ collection ─ messages (judged) ─ answers (spelled) ─┐
               (HTTP in)                    ├─ ims (tokens)                                        ├─ mischief (spoilt) ─ wire (out)
                                            └─ admin (switches, the truth)      faults (rules) ────┘
                                                                                accounting (what was accepted)

It behaves as Adobe's documents and logs say, contradictions as options. Nothing here is imported by the service.
"""

from bridge.simulator.accounting import Accounting, Seen
from bridge.simulator.config import DEFAULT_INLET, DEFAULT_ORG, DEFAULT_PORT, DEFAULT_RAW_INLET, Config, Shape
from bridge.simulator.faults import Rule
from bridge.simulator.simulator import Simulator, run

__all__ = [
    "DEFAULT_INLET",
    "DEFAULT_ORG",
    "DEFAULT_PORT",
    "DEFAULT_RAW_INLET",
    "Accounting",
    "Config",
    "Rule",
    "Seen",
    "Shape",
    "Simulator",
    "run",
]
