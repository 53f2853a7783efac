"""Faults of AEP: what it answers, whether it answers at all, and what its token endpoint does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bridge.simulator import Rule
from tests.chaos.harness import AEP, REPLICAS, Fault, Harness
from tests.chaos.timeline import FaultWindow

TOKEN_INTERVAL_S = 11.0
"""Seconds between two revocations, after which the bridge drops a refused token at once."""
MAX_ALONE_S = 3.0
"""Seconds that a lasting fault lasts at most where it is alone."""


def _fault_seconds(harness: Harness, window: FaultWindow) -> float:
    return min(MAX_ALONE_S, harness.plan.fault_s) if window.alone else harness.plan.fault_s


def ruled(kind: str, *, backlog_s: float = 0, **fields: Any) -> Fault:
    """Return a fault that is one rule of the simulator.

    What AEP accepts under the rule without a good response may be repeated: each of these messages once. AEP
    is first down for `backlog_s`, so that full batches follow.
    """
    rule = Rule(**fields)

    def fault(harness: Harness) -> FaultWindow:
        simulator, accounting = harness.simulator, harness.accounting
        with harness.journal.fault_window(kind) as window:
            down = simulator.fault(Rule(action="status", status=503)) if backlog_s else 0
            number = simulator.fault(rule)
            window.rule = number if rule.accepts else None
            time.sleep(backlog_s)
            simulator.faults.clear(down)
            seconds = _fault_seconds(harness, window)
            window.hits = harness.wait_for_hit(seconds, lambda: len(accounting.under_rule(number)))
            simulator.faults.clear(number)
            if window.alone:
                harness.wait_until_calm()
        if rule.accepts:
            requests = accounting.under_rule(number)
            window.allowed_duplicates = sum(request.messages for request in requests)
        return window

    fault.__doc__ = f"{kind}: {fields}"
    return fault


def outage(harness: Harness) -> FaultWindow:
    """Stop AEP, so that nothing listens on its port, and start it again."""
    allowed = harness.max_lost_responses(0, 2 * REPLICAS)
    with harness.journal.fault_window(
        "AEP outage", loses_responses=True, allowed_duplicates=allowed
    ) as window:
        before = harness.network.failed_connects(AEP)
        harness.simulator.stop()
        seconds = harness.plan.outage_s
        window.hits = harness.wait_for_hit(seconds, lambda: harness.network.failed_connects(AEP) - before)
        harness.simulator.start()
    return window


def token_revoked(harness: Harness) -> FaultWindow:
    """Refuse every token from now on; new ones are issued."""
    _wait_for_token_interval(harness)
    with harness.journal.fault_window("token revoked") as window:
        before = harness.accounting.count("401")
        harness.revoke_tokens()
        window.hits = harness.wait_for_hit(1, lambda: harness.accounting.count("401") - before)
        if window.alone:
            harness.wait_until_calm()
    return window


def _wait_for_token_interval(harness: Harness) -> None:
    time.sleep(max(0.0, harness.tokens_revoked_at + TOKEN_INTERVAL_S - time.time()))


def tokens_down(harness: Harness) -> FaultWindow:
    """Refuse every token while the token endpoint is down."""
    _wait_for_token_interval(harness)
    with harness.journal.fault_window("token endpoint down") as window:
        number = harness.simulator.fault(Rule(action="status", status=503, endpoint="token"))
        harness.revoke_tokens()
        seconds = _fault_seconds(harness, window)
        window.hits = harness.wait_for_hit(seconds, lambda: len(harness.accounting.under_rule(number)))
        harness.simulator.faults.clear(number)
    return window


def secret_rotated(harness: Harness) -> FaultWindow:
    """Refuse the old client secret and all tokens; change the mounted file once a replica was refused."""
    _wait_for_token_interval(harness)
    secret = f"secret-{harness.rng.randrange(1 << 30):x}"
    with harness.journal.fault_window("secret rotated") as window:
        refused = harness.token_count("refused")
        harness.simulator.configure({"client_secrets": [secret]})
        harness.revoke_tokens()
        window.hits = harness.wait_for_hit(1, lambda: harness.token_count("refused") - refused)
        harness.secret.write_text(secret + "\n")
        issued = harness.token_count("issued")
        window.detail["issued"] = harness.wait_for_hit(0.5, lambda: harness.token_count("issued") - issued)
        if window.alone:
            harness.wait_until_calm()
    return window


AEP_FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "outage": outage,
        "throttled": ruled("429 storm", action="status", status=429, retry_after_s=2),
        "unavailable": ruled("503 for everything", action="status", status=503),
        "refusing": ruled("400 for everything", action="status", status=400),
        "hang": ruled("hang", action="hang"),
        "reset_before": ruled("reset before acceptance", action="reset"),
        "reset_after": ruled("reset after acceptance", action="reset", accepted=True, every=3),
        "gateway": ruled("504 after acceptance", action="status", status=504, accepted=True, every=3),
        "half": ruled("half an answer", action="half", every=3),
        "not_json": ruled("answer without JSON", action="not_json", every=3),
        "garbage": ruled("garbage", action="garbage"),
        "drip": ruled("slow drip", action="drip", bytes_per_s=10, every=2),
        "messages": ruled("503 for single messages", action="messages", status=503, share=0.2),
        # The bridge learns the limit for the life of the process. Batches of calm traffic are smaller.
        "lower_limit": ruled("lower size limit", action="limit", max_bytes=20_000, backlog_s=2),
        "token_revoked": token_revoked,
        "tokens_down": tokens_down,
        "secret_rotated": secret_rotated,
    }
)
"""Faults of AEP, of which one goes on at a time. The schedule of a seed depends on this order."""
