"""What the endpoints and the administration share: configuration, accounting, faults, tokens."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from bridge.simulator.accounting import Accounting
from bridge.simulator.config import Config, changed
from bridge.simulator.faults import Faults
from bridge.simulator.rate_limits import RateLimits
from bridge.simulator.response_bodies import ResponseBodies
from bridge.simulator.tokens import TokenEndpoint


class SimulatorState:
    """The parts, with the switches that change them. Safe to call from any thread."""

    def __init__(self, config: Config, accounting: Accounting) -> None:
        self.config = config
        self.accounting = accounting
        self.faults = Faults()
        self.tokens = TokenEndpoint(accounting)
        self._start_anew()

    def _start_anew(self) -> None:
        self.rate_limits = RateLimits()
        self.bodies = ResponseBodies(self.config.seed)
        self._jitter = random.Random(self.config.seed)

    def configure(self, changes: Mapping[str, Any]) -> Config:
        """Replace some keys of the configuration. Raises `ValueError` for an unknown key."""
        self.config = changed(self.config, dict(changes))
        return self.config

    def reset(self) -> None:
        """Forget what was accepted and received, clear the faults, and restart rate limits and random
        choices.

        Tokens and configuration stay.
        """
        self.accounting.clear()
        self.faults.clear()
        self._start_anew()

    def latency_s(self) -> float:
        """Return how long the next response waits, drawn from the configured latency and jitter."""
        config = self.config
        if not config.latency_ms and not config.jitter_ms:
            return 0.0
        return (config.latency_ms + self._jitter.random() * config.jitter_ms) / 1000
