"""What was accepted, refused and seen: the truth that tests compare a bridge with. Safe to call from any thread."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, in short."""

    at: float
    """Seconds since the epoch, when its answer was decided."""
    path: str
    outcome: str
    """The status, or the manner where the answer was spoilt (`reset`, `hang`, …)."""
    size: int
    messages: int
    rule: int | None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One accepted message."""

    event_id: str
    """Empty where the entity has no `_id`."""
    message: bytes | None = None
    """As it was sent, where bytes are kept."""
    key: str | None = None
    """The value of the ordering key, where an order is kept."""


class Accounting:
    """Counts per event id, and what else was seen. What is handed out is a copy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forgets everything, but for the requests that are under way."""
        with self._lock:
            self._accepted: Counter[str] = Counter()
            self._messages = self._without_id = self._unauthenticated = 0
            self._refused: Counter[tuple[str, int]] = Counter()
            self._bytes: dict[str, bytes] = {}
            self._differing: set[str] = set()
            self._order: dict[str, list[str]] = {}
            self._requests: deque[Seen] = deque(maxlen=10_000)
            self._outcomes: Counter[str] = Counter()
            self._tokens: Counter[str] = Counter()
            self._max_bytes = self._max_messages = 0
            self._ingest_requests = 0
            self._abandoned = 0
            self._in_flight_max = 0
            self._in_flight = getattr(self, "_in_flight", 0)
            self._headers: Mapping[str, str] = {}

    # What the endpoints tell.

    def accept(self, acceptances: Sequence[Acceptance], *, authenticated: bool) -> None:
        """Records accepted messages, in order."""
        with self._lock:
            self._messages += len(acceptances)
            self._unauthenticated += 0 if authenticated else len(acceptances)
            for one in acceptances:
                if not one.event_id:
                    self._without_id += 1
                else:
                    self._accepted[one.event_id] += 1
                if (
                    one.message is not None
                    and self._bytes.setdefault(one.event_id, one.message) != one.message
                ):
                    self._differing.add(one.event_id)
                if one.key is not None:
                    self._order.setdefault(one.key, []).append(one.event_id)

    def accept_uncounted(self, messages: int, *, authenticated: bool) -> None:
        """Records how many were accepted, without ids."""
        with self._lock:
            self._messages += messages
            self._unauthenticated += 0 if authenticated else messages

    def refuse(self, refusals: Iterable[tuple[str, int]]) -> None:
        """Records messages that were refused by themselves: id and status."""
        with self._lock:
            self._refused.update(refusals)

    def saw(self, seen: Seen, headers: Mapping[str, str], *, ingest: bool) -> None:
        """Records a request and what it was answered."""
        with self._lock:
            self._requests.append(seen)
            self._outcomes[seen.outcome] += 1
            if ingest:
                self._ingest_requests += 1
                self._headers = headers
                self._max_bytes = max(self._max_bytes, seen.size)
                self._max_messages = max(self._max_messages, seen.messages)

    def token(self, event: str) -> None:
        """Counts what happened at the token endpoint: `issued`, `refused`, `throttled`."""
        with self._lock:
            self._tokens[event] += 1

    def begun(self) -> None:
        """A request is read whole."""
        with self._lock:
            self._in_flight += 1
            self._in_flight_max = max(self._in_flight_max, self._in_flight)

    def ended(self, *, delivered: bool) -> None:
        """A request is answered, or its client has left."""
        with self._lock:
            self._in_flight -= 1
            self._abandoned += 0 if delivered else 1

    # What tests ask.

    @property
    def accepted(self) -> Counter[str]:
        """Event id → how often it was accepted."""
        with self._lock:
            return self._accepted.copy()

    @property
    def duplicates(self) -> Counter[str]:
        """Event id → how often it was accepted, for those accepted more than once."""
        with self._lock:
            return Counter({event_id: count for event_id, count in self._accepted.items() if count > 1})

    @property
    def refused(self) -> Counter[tuple[str, int]]:
        """(event id, status) → how often that message was refused by itself."""
        with self._lock:
            return self._refused.copy()

    @property
    def requests(self) -> list[Seen]:
        """The last 10,000 requests, administration left out."""
        with self._lock:
            return list(self._requests)

    @property
    def outcomes(self) -> Counter[str]:
        """Status or manner → requests."""
        with self._lock:
            return self._outcomes.copy()

    @property
    def order(self) -> dict[str, list[str]]:
        """Value of the ordering key → event ids, in order of acceptance."""
        with self._lock:
            return {key: list(ids) for key, ids in self._order.items()}

    @property
    def differing(self) -> set[str]:
        """Ids whose message came a second time with other bytes."""
        with self._lock:
            return set(self._differing)

    @property
    def last_headers(self) -> dict[str, str]:
        """Of the last request to an inlet; names in lower case."""
        with self._lock:
            return dict(self._headers)

    def message(self, event_id: str) -> bytes | None:
        """The message as it was sent first, where bytes are kept."""
        with self._lock:
            return self._bytes.get(event_id)

    def stats(self) -> dict[str, Any]:
        """Everything that is a number."""
        with self._lock:
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
                "last_headers": {
                    name: value for name, value in self._headers.items() if name != "authorization"
                },
            }
