"""What was accepted, refused and received: the truth that tests compare a bridge with."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """One request in short."""

    at: float
    """Seconds since the epoch when its response was decided."""
    path: str
    outcome: str
    """The status, or how the response was transmitted if not in the plain way (`reset`, `hang`, …)."""
    size: int
    """Bytes of the body."""
    messages: int
    rule: int | None
    """Number of the fault rule that it met."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One accepted message."""

    event_id: str
    """Empty if the entity has no `_id`."""
    message: bytes | None = None
    """The message as it was sent, if messages are kept."""
    key: str | None = None
    """The value of the ordering key, if an order is kept."""


class Accounting:
    """Counts acceptances of each event, requests and tokens. Returns copies. Safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything but the requests that are under way."""
        with self._lock:
            self._accepted: Counter[str] = Counter()
            self._messages = self._without_id = self._unauthenticated = 0
            self._refused: Counter[tuple[str, int]] = Counter()
            self._first_bytes: dict[str, bytes] = {}
            self._changed_ids: set[str] = set()
            self._order: dict[str, list[str]] = {}
            self._requests: deque[RequestSummary] = deque(maxlen=10_000)
            self._outcomes: Counter[str] = Counter()
            self._tokens: Counter[str] = Counter()
            self._max_bytes = self._max_messages = 0
            self._ingest_requests = 0
            self._abandoned = 0
            self._in_flight_max = 0
            self._last_headers: Mapping[str, str] = {}

    # The endpoints call these.

    def record_accepted(self, acceptances: Sequence[Acceptance], *, authenticated: bool) -> None:
        """Record accepted messages in the order of their request."""
        with self._lock:
            self._messages += len(acceptances)
            self._unauthenticated += 0 if authenticated else len(acceptances)
            for acceptance in acceptances:
                event_id, message = acceptance.event_id, acceptance.message
                if event_id:
                    self._accepted[event_id] += 1
                else:
                    self._without_id += 1
                if message is not None and self._first_bytes.setdefault(event_id, message) != message:
                    self._changed_ids.add(event_id)
                if acceptance.key is not None:
                    self._order.setdefault(acceptance.key, []).append(event_id)

    def record_accepted_count(self, messages: int, *, authenticated: bool) -> None:
        """Record how many messages were accepted, without their ids."""
        with self._lock:
            self._messages += messages
            self._unauthenticated += 0 if authenticated else messages

    def record_refused(self, refusals: Iterable[tuple[str, int]]) -> None:
        """Record messages (event id and status) that were refused by themselves."""
        with self._lock:
            self._refused.update(refusals)

    def record_request(self, summary: RequestSummary, headers: Mapping[str, str], *, ingest: bool) -> None:
        """Record a request and its outcome; `ingest` says that it went to an inlet."""
        with self._lock:
            self._requests.append(summary)
            self._outcomes[summary.outcome] += 1
            if ingest:
                self._ingest_requests += 1
                self._last_headers = headers
                self._max_bytes = max(self._max_bytes, summary.size)
                self._max_messages = max(self._max_messages, summary.messages)

    def record_token_outcome(self, outcome: str) -> None:
        """Count a token request: `issued`, `refused` or `throttled`."""
        with self._lock:
            self._tokens[outcome] += 1

    def request_started(self) -> None:
        """Count a request that was read completely."""
        with self._lock:
            self._in_flight += 1
            self._in_flight_max = max(self._in_flight_max, self._in_flight)

    def request_ended(self, *, delivered: bool) -> None:
        """Count a request that has its response, or whose client has left."""
        with self._lock:
            self._in_flight -= 1
            self._abandoned += 0 if delivered else 1

    # Tests call these.

    @property
    def accepted(self) -> Counter[str]:
        """Event id → how often it was accepted."""
        with self._lock:
            return self._accepted.copy()

    @property
    def duplicates(self) -> Counter[str]:
        """Event id → how often it was accepted, for events that were accepted more than once."""
        with self._lock:
            return Counter({event_id: count for event_id, count in self._accepted.items() if count > 1})

    @property
    def refused(self) -> Counter[tuple[str, int]]:
        """(event id, status) → how often that message was refused by itself."""
        with self._lock:
            return self._refused.copy()

    @property
    def requests(self) -> list[RequestSummary]:
        """The last 10,000 requests, without those of the administration."""
        with self._lock:
            return list(self._requests)

    @property
    def outcomes(self) -> Counter[str]:
        """Outcome (see `RequestSummary`) → requests."""
        with self._lock:
            return self._outcomes.copy()

    @property
    def order(self) -> dict[str, list[str]]:
        """Value of the ordering key → event ids in the order of acceptance."""
        with self._lock:
            return {key: list(ids) for key, ids in self._order.items()}

    @property
    def ids_with_changed_bytes(self) -> set[str]:
        """Ids of events that came again with other bytes, if messages are kept."""
        with self._lock:
            return set(self._changed_ids)

    @property
    def last_headers(self) -> dict[str, str]:
        """The headers of the last request to an inlet, with their names in lower case."""
        with self._lock:
            return dict(self._last_headers)

    def message(self, event_id: str) -> bytes | None:
        """Return an event's message as it was sent first, if messages are kept."""
        with self._lock:
            return self._first_bytes.get(event_id)

    def stats(self) -> dict[str, Any]:
        """Return every number, and the last headers without the credentials."""
        with self._lock:
            headers = {name: value for name, value in self._last_headers.items() if name != "authorization"}
            return {
                "messages_accepted": self._messages,
                "events_unique": len(self._accepted),
                "events_duplicated": sum(1 for count in self._accepted.values() if count > 1),
                "extra_copies": self._accepted.total() - len(self._accepted),
                "without_id": self._without_id,
                "unauthenticated": self._unauthenticated,
                "messages_refused": self._refused.total(),
                "requests": dict(self._outcomes),
                "ingest_requests": self._ingest_requests,
                "tokens": dict(self._tokens),
                "max_request_bytes": self._max_bytes,
                "max_request_messages": self._max_messages,
                "in_flight": self._in_flight,
                "in_flight_max": self._in_flight_max,
                "abandoned": self._abandoned,
                "last_headers": headers,
            }
