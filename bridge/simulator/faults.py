"""The rules that are armed: which request meets which fault, how often, and for how long."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from bridge.simulator.config import Shape
from bridge.simulator.fault_rules import ACCOMPANYING_ACTIONS, MESSAGE_ACTIONS, Endpoint, Rule
from bridge.simulator.http import HttpRequest


class ArmedRule:
    """A rule in the list, with what it has done so far."""

    def __init__(self, number: int, rule: Rule) -> None:
        self.number = number
        self.rule = rule
        self.fired = 0
        """Requests that it changed."""
        self._matched = 0
        self._random = random.Random(rule.seed)
        self._ends_at = None if rule.seconds is None else time.monotonic() + rule.seconds
        self._ids = None if rule.ids is None else frozenset(rule.ids)
        self._marker = None if rule.marker is None else rule.marker.encode()
        self._times_by_id: dict[str, int] = {}

    @property
    def spent(self) -> bool:
        """Whether its number of requests or its time is over."""
        if self.rule.times is not None and self.fired >= self.rule.times:
            return True
        return self._ends_at is not None and time.monotonic() >= self._ends_at

    def fire(self) -> None:
        """Count a request that it changed."""
        self.fired += 1

    def applies_to(self, endpoint: Endpoint, inlet: str | None, request: HttpRequest) -> bool:
        """Return whether a request falls under the rule, and count the request for `every` and `after`."""
        rule = self.rule
        if self.spent or rule.endpoint != endpoint or (rule.inlet is not None and rule.inlet != inlet):
            return False
        if rule.action == "limit" and request.size <= rule.max_bytes:
            return False
        if rule.contains is not None and rule.contains.encode() not in request.body:
            return False
        if rule.dataset is not None and not _names_dataset(request, rule.dataset):
            return False
        self._matched += 1
        if self._matched <= rule.after or (self._matched - rule.after) % rule.every:
            return False
        return rule.probability >= 1 or self._random.random() < rule.probability

    def selects(self, event_id: str, message: bytes | memoryview | msgspec.Raw) -> bool:
        """Return whether a message falls under the rule, and count the message for `times_each`."""
        if self._ids is not None and event_id not in self._ids:
            return False
        if self._marker is not None and self._marker not in bytes(message):
            return False
        if self.rule.share is not None and self._random.random() >= self.rule.share:
            return False
        if self.rule.times_each is not None:
            times = self._times_by_id.get(event_id, 0)
            if times >= self.rule.times_each:
                return False
            self._times_by_id[event_id] = times + 1
        return True


def _names_dataset(request: HttpRequest, dataset: str) -> bool:
    return f'"{dataset}"'.encode() in request.body or request.headers.get("x-adobe-dataset-id") == dataset


@dataclass(frozen=True, slots=True)
class RequestFaults:
    """The faults that one request meets."""

    response_rule: ArmedRule | None
    """The rule that replaces the usual response."""
    message_rules: tuple[ArmedRule, ...]
    """The rules about single messages."""
    shape: Shape | None
    delay_s: float


class Faults:
    """The armed rules. Safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[ArmedRule] = []
        self._last_number = 0

    def add(self, rule: Rule) -> int:
        """Arm a rule and return its number."""
        with self._lock:
            self._last_number += 1
            self._armed.append(ArmedRule(self._last_number, rule))
            return self._last_number

    def clear(self, number: int | None = None) -> None:
        """Remove one rule, or all."""
        with self._lock:
            self._armed = [] if number is None else [armed for armed in self._armed if armed.number != number]

    def fired(self, number: int) -> int:
        """Return how many requests a rule changed; 0 for a rule that was cleared."""
        with self._lock:
            return next((armed.fired for armed in self._armed if armed.number == number), 0)

    def describe(self) -> list[dict[str, Any]]:
        """Return every rule with its number and what it did, spent rules included."""
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

    def for_request(
        self, endpoint: Endpoint, inlet: str | None, request: HttpRequest, *, early: bool = False
    ) -> RequestFaults:
        """Return the faults of a request, or with `early` those of its headers, and count them.

        Rules about messages are not counted here: the caller fires them once they change a message.
        """
        response_rule: ArmedRule | None = None
        message_rules: list[ArmedRule] = []
        shape: Shape | None = None
        delay_s = 0.0
        with self._lock:
            for armed in self._armed:
                rule = armed.rule
                if (
                    rule.early is not early
                    or (response_rule is not None and rule.action not in ACCOMPANYING_ACTIONS)
                    or not armed.applies_to(endpoint, inlet, request)
                ):
                    continue
                delay_s += rule.delay_s
                if rule.action in MESSAGE_ACTIONS:
                    message_rules.append(armed)
                    continue
                armed.fire()
                if rule.action == "shape":
                    shape = shape or rule.shape
                elif rule.action != "delay":
                    response_rule = armed
        return RequestFaults(response_rule, tuple(message_rules), shape, delay_s)
