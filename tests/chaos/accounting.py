"""The simulator's account of events, with the time, the sender and the fault of every acceptance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.simulator.accounting import Acceptance, Accounting, RequestSummary
from tests.chaos.timeline import Arrival

REPLICA_HEADER = "x-replica"
"""The request header that names the replica."""


class TimedAccounting(Accounting):
    """Also notes when each event was accepted, from whom and under which fault, and keeps every request."""

    def __init__(self) -> None:
        self.arrivals: dict[str, list[Arrival]] = {}
        self.all_requests: list[RequestSummary] = []
        self._last_accepted: list[str] = []
        super().__init__()

    def record_accepted(self, acceptances: Sequence[Acceptance], *, authenticated: bool) -> None:
        super().record_accepted(acceptances, authenticated=authenticated)
        self._last_accepted = [acceptance.event_id for acceptance in acceptances]

    def record_request(self, summary: RequestSummary, headers: Mapping[str, str], *, ingest: bool) -> None:
        """Note the request whose messages were accepted just now.

        The simulator serves with one thread, which calls `record_accepted` before this.
        """
        super().record_request(summary, headers, ingest=ingest)
        events, self._last_accepted = self._last_accepted, []
        arrival = Arrival(summary.at, headers.get(REPLICA_HEADER), summary.rule)
        for event in events:
            self.arrivals.setdefault(event, []).append(arrival)
        self.all_requests.append(summary)

    def under_rule(self, number: int) -> list[RequestSummary]:
        """Return the requests that met a rule of the simulator."""
        return [summary for summary in self.all_requests if summary.rule == number]

    def count(self, outcome: str) -> int:
        """Return how many requests had this outcome so far."""
        return self.outcomes[outcome]
