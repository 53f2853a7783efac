"""The list of fault rules: which request meets which fault, how often and for how long."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bridge.simulator.config import Shape
from bridge.simulator.http import Request

Action = Literal[
    "status", "delay", "messages", "poison", "shape", "limit", "hang", "reset", "half", "garbage", "drip",
    "endless", "huge", "empty", "not_json", "nothing", "no_responses", "close", "drop",
]  # fmt: skip
Endpoint = Literal["ingest", "token"]

_ACCOMPANYING = frozenset({"delay", "messages", "poison", "shape"})
"""These change the usual answer; every other action is the answer, and the first that matches wins."""
_AFTER_ACCEPTANCE = frozenset(
    {"half", "drip", "endless", "huge", "empty", "not_json", "nothing", "no_responses", "close", "drop"}
)

_EARLY = frozenset({"status", "hang", "reset", "garbage"})


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault: a match, a scope and an action. Rules are tried in the order in which they were added."""

    action: Action

    # The match: every condition that is given must hold.
    endpoint: Endpoint = "ingest"
    inlet: str | None = None
    dataset: str | None = None
    """The dataset's quoted id is in the body, or is the `x-adobe-dataset-id` header."""
    contains: str | None = None
    """A text in the body."""
    every: int = 1
    """Every Nth request that matches otherwise."""
    after: int = 0
    """Lets so many matching requests pass first."""
    probability: float = 1.0
    seed: int = 0
    """Of `probability` and `share`."""
    early: bool = False
    """Decided on the headers alone, while the body is still being sent. For `status`, `hang`, `reset` and `garbage` of requests to an inlet."""

    # The scope: until cleared, where neither is given.
    times: int | None = None
    """So many requests. A rule about messages spends one where it hit a message."""
    seconds: float | None = None
    """From when it was added."""

    # Which messages, for `messages` and `poison`; all of them where nothing is given.
    ids: tuple[str, ...] | None = None
    """The entity's `_id` is one of these."""
    marker: str | None = None
    """A text in the message's own bytes."""
    share: float | None = None
    """Such a share of the messages, drawn at random."""
    times_each: int | None = None
    """So many times for each id; then that message passes."""

    # The action's details.
    status: int | None = None
    """Of `status` (default 503), `messages` and `poison` (default 400)."""
    headers: dict[str, str] = {}
    body: str | None = None
    """The answer's body, or the text of a message's refusal."""
    retry_after_s: float | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"
    accepted: bool | None = None
    """Whether the messages (or the token) count although the answer is spoilt. Default: not for `status`, `hang`, `reset`, `garbage` and
    `limit`; yes for answers that are merely badly delivered."""
    delay_s: float = 0.0
    """Of `delay`, and before any other action."""
    bytes_per_s: float = 100.0
    """Of `drip`."""
    size: int = 100_000_000
    """Of `huge`, in bytes."""
    max_bytes: int = 500_000
    """Of `limit`: a body larger than this is answered 413."""
    shape: Shape | None = None
    """Of `shape`: how this request's answer is spelled."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for a rule that could never work."""
        if self.every < 1 or self.bytes_per_s <= 0 or not 0 <= self.probability <= 1:
            raise ValueError(
                "`every` is at least 1, `bytes_per_s` is more than 0, `probability` is between 0 and 1"
            )
        if self.early and (
            self.endpoint != "ingest"
            or self.action not in _EARLY
            or self.accepted
            or self.contains is not None
        ):
            raise ValueError(
                f"`early` goes with the endpoint `ingest` and the actions {', '.join(sorted(_EARLY))}; nothing is accepted, no body is read"
            )

    @property
    def accepts(self) -> bool:
        """Whether what was sent counts as accepted."""
        return self.action in _AFTER_ACCEPTANCE if self.accepted is None else self.accepted


class Armed:
    """A rule in the list, with what it has done so far."""

    def __init__(self, number: int, rule: Rule) -> None:
        self.number = number
        self.rule = rule
        self.fired = 0
        self._seen = 0
        self._random = random.Random(rule.seed)
        self._ends = None if rule.seconds is None else time.monotonic() + rule.seconds
        self._ids = None if rule.ids is None else frozenset(rule.ids)
        self._marker = None if rule.marker is None else rule.marker.encode()
        self._each: dict[str, int] = {}

    @property
    def spent(self) -> bool:
        """Past its number of requests or its time."""
        return (self.rule.times is not None and self.fired >= self.rule.times) or (
            self._ends is not None and time.monotonic() >= self._ends
        )

    def meets(self, endpoint: Endpoint, inlet: str | None, request: Request) -> bool:
        """Whether this request falls under the rule; counts it for `every` and `after`."""
        rule = self.rule
        if self.spent or rule.endpoint != endpoint or (rule.inlet is not None and rule.inlet != inlet):
            return False
        if rule.action == "limit" and request.size <= rule.max_bytes:
            return False
        if rule.contains is not None and rule.contains.encode() not in request.body:
            return False
        if (
            rule.dataset is not None
            and f'"{rule.dataset}"'.encode() not in request.body
            and request.headers.get("x-adobe-dataset-id") != rule.dataset
        ):
            return False
        self._seen += 1
        if self._seen <= rule.after or (self._seen - rule.after) % rule.every:
            return False
        return rule.probability >= 1 or self._random.random() < rule.probability

    def picks(self, event_id: str, message: bytes | memoryview | msgspec.Raw) -> bool:
        """Whether a message is meant; counts it for `times_each`."""
        if self._ids is not None and event_id not in self._ids:
            return False
        if self._marker is not None and self._marker not in bytes(message):
            return False
        if self.rule.share is not None and self._random.random() >= self.rule.share:
            return False
        if self.rule.times_each is not None:
            count = self._each.get(event_id, 0)
            if count >= self.rule.times_each:
                return False
            self._each[event_id] = count + 1
        return True


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one request meets."""

    answer: Armed | None
    """The rule that is the answer."""
    picky: tuple[Armed, ...]
    """The rules about single messages."""
    shape: Shape | None
    delay_s: float


class Faults:
    """The armed rules. Safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Armed] = []
        self._last = 0

    def add(self, rule: Rule) -> int:
        """Arms a rule and returns its number."""
        with self._lock:
            self._last += 1
            self._armed.append(Armed(self._last, rule))
            return self._last

    def clear(self, number: int | None = None) -> None:
        """Takes away one rule, or all."""
        with self._lock:
            self._armed = [] if number is None else [armed for armed in self._armed if armed.number != number]

    def fired(self, number: int) -> int:
        """How often a rule fired; 0 for one that was cleared."""
        with self._lock:
            return next((armed.fired for armed in self._armed if armed.number == number), 0)

    def describe(self) -> list[dict[str, Any]]:
        """Every rule, spent ones included, with its number and what it did."""
        with self._lock:
            return [
                {
                    "id": armed.number,
                    "fired": armed.fired,
                    "spent": armed.spent,
                    "rule": msgspec.to_builtins(armed.rule),
                }
                for armed in self._armed
            ]

    def choose(
        self, endpoint: Endpoint, inlet: str | None, request: Request, *, early: bool = False
    ) -> Chosen:
        """What this request meets, or its headers (`early`). Rules about messages are spent by the caller, once they hit one."""
        answer: Armed | None = None
        picky: list[Armed] = []
        shape: Shape | None = None
        delay_s = 0.0
        with self._lock:
            for armed in self._armed:
                rule = armed.rule
                if (
                    rule.early is not early
                    or (answer is not None and rule.action not in _ACCOMPANYING)
                    or not armed.meets(endpoint, inlet, request)
                ):
                    continue
                delay_s += rule.delay_s
                if rule.action in ("messages", "poison"):
                    picky.append(armed)
                    continue
                armed.fired += 1
                if rule.action == "shape":
                    shape = shape or rule.shape
                elif rule.action != "delay":
                    answer = armed
        return Chosen(answer, tuple(picky), shape, delay_s)
