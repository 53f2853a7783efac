"""The faults of AEP and of the network: each a function of the stage that begins one, waits until it has hit something, and heals it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bridge.simulator import Rule
from tests.chaos.copies import SESSION_S
from tests.chaos.faults import Fault
from tests.chaos.network import Cut
from tests.chaos.stage import AEP, REPLICAS, Stage
from tests.chaos.timeline import Window

TOKEN_S = 11.0
ALONE_S = 3.0
"""Of a fault that lasts, where it is alone."""


def _lasting(stage: Stage) -> float:
    return min(ALONE_S, stage.plan.fault_s) if stage.alone else stage.plan.fault_s


def ruled(kind: str, *, backlog_s: float = 0, **fields: Any) -> Fault:
    """A fault made of one rule. What AEP accepts under it without a good answer may be repeated: each of these messages once.

    `backlog_s`: AEP is first down for so long, so that full batches follow.
    """
    rule = Rule(**fields)

    def fault(stage: Stage) -> Window:
        with stage.fault(kind) as window:
            down = stage.sim.fault(Rule(action="status", status=503)) if backlog_s else 0
            number = stage.sim.fault(rule)
            window.rule = number if rule.accepts else None
            time.sleep(backlog_s)
            stage.sim.faults.clear(down)
            window.hits = stage.last(_lasting(stage), lambda: len(stage.accounting.answered(number)))
            stage.sim.faults.clear(number)
            if stage.alone:
                stage.calm()
        if rule.accepts:
            window.repeats = sum(seen.messages for seen in stage.accounting.answered(number))
        return window

    fault.__doc__ = f"{kind}: {fields}"
    return fault


def outage(stage: Stage) -> Window:
    """Nothing listens where AEP was."""
    with stage.fault("AEP outage", answers=True, repeats=stage.under_way(0, 2 * REPLICAS)) as window:
        before = stage.network.unanswered(*AEP)
        stage.sim.stop()
        window.hits = stage.last(stage.plan.outage_s, lambda: stage.network.unanswered(*AEP) - before)
        stage.sim.start()
    return window


def token_revoked(stage: Stage) -> Window:
    """Every token is refused from now on; new ones are issued."""
    _apart(stage)
    with stage.fault("token revoked") as window:
        before = stage.accounting.count("401")
        stage.revoke()
        window.hits = stage.last(1, lambda: stage.accounting.count("401") - before)
        if stage.alone:
            stage.calm()
    return window


def _apart(stage: Stage) -> None:
    """Waits until a token that is refused is replaced at once."""
    time.sleep(max(0.0, stage.revoked + TOKEN_S - time.time()))


def tokens_down(stage: Stage) -> Window:
    """Every token is refused and the token endpoint is down."""
    _apart(stage)
    with stage.fault("token endpoint down") as window:
        number = stage.sim.fault(Rule(action="status", status=503, endpoint="token"))
        stage.revoke()
        window.hits = stage.last(_lasting(stage), lambda: len(stage.accounting.answered(number)))
        stage.sim.faults.clear(number)
    return window


def secret_rotated(stage: Stage) -> Window:
    """A new client secret; the old one and all tokens are refused until somebody has noticed, and only then the mounted file changes."""
    _apart(stage)
    secret = f"secret-{stage.rng.randrange(1 << 30):x}"
    with stage.fault("secret rotated") as window:
        before = stage.tokens("refused")
        stage.sim.configure({"client_secrets": [secret]})
        stage.revoke()
        window.hits = stage.last(1, lambda: stage.tokens("refused") - before)
        stage.secret.write_text(secret + "\n")
        issued = stage.tokens("issued")
        window.detail["issued"] = stage.last(0.5, lambda: stage.tokens("issued") - issued)
        if stage.alone:
            stage.calm()
    return window


def cut(kind: str, how: Cut, side: str) -> Fault:
    """The network between the replicas and AEP or the brokers."""

    def fault(stage: Stage) -> Window:
        names = AEP if side == "aep" else stage.brokers
        seconds = (
            0.5
            if how == "reset"
            else stage.plan.fault_s + (SESSION_S if how == "freeze" and side != "aep" else 0)
        )
        reach: dict[str, Any] = (
            {"answers": True} if side == "aep" else {"lanes": True, "commits": True, "letters": True}
        )
        with stage.fault(kind, **reach) as window:
            window.detail["connections"] = stage.last(0, lambda: stage.network.connections(*names))
            before = stage.network.hits(*names)
            stage.network.cut(how, *names)
            window.hits = stage.last(seconds, lambda: stage.network.hits(*names) - before)
            stage.network.heal(*names)
            time.sleep(0.5)
        if side == "aep":
            window.repeats = stage.under_way(window.end - window.start, 2 * REPLICAS)
        return window

    fault.__doc__ = f"{how} of every connection to {side}"
    return fault


def one_broker_cut(stage: Stage) -> Window:
    """One broker can't be reached, though the cluster has it."""
    name = stage.rng.choice(stage.brokers)
    with stage.fault(
        "one broker out of reach", lanes=True, commits=True, letters=True, detail={"broker": name}
    ) as window:
        before = stage.network.hits(name)
        stage.network.cut("freeze", name)
        window.hits = stage.last(stage.plan.fault_s, lambda: stage.network.hits(name) - before)
        stage.network.heal(name)
    return window


def isolated(stage: Stage) -> Window:
    """One replica is cut off from all brokers for longer than the session time-out, and goes on delivering to AEP."""
    replica = stage.pick()
    with stage.fault(
        "replica isolated", lanes=True, commits=True, letters=True, replica=replica.name
    ) as window:
        before = stage.network.hits(*stage.brokers)
        stage.network.isolate(replica.pid, *stage.brokers)
        window.hits = stage.last(SESSION_S + 3, lambda: stage.network.hits(*stage.brokers) - before)
        stage.network.heal(*stage.brokers)
        time.sleep(0.5)
    return window


NEIGHBOURS: Mapping[str, Fault] = MappingProxyType(
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
        # The bridge learns it for the life of the process. Batches of calm traffic are smaller.
        "lower_limit": ruled("lower size limit", action="limit", max_bytes=20_000, backlog_s=2),
        "token_revoked": token_revoked,
        "tokens_down": tokens_down,
        "secret_rotated": secret_rotated,
        "aep_frozen": cut("AEP frozen", "freeze", "aep"),
        "aep_refused": cut("AEP refused", "refuse", "aep"),
        "aep_reset": cut("AEP connections reset", "reset", "aep"),
        "brokers_frozen": cut("brokers frozen", "freeze", "brokers"),
        "brokers_refused": cut("brokers refused", "refuse", "brokers"),
        "brokers_reset": cut("broker connections reset", "reset", "brokers"),
        "one_broker_cut": one_broker_cut,
        "isolated": isolated,
    }
)
"""Faults of AEP and of the network: one at a time, beside those of replicas and cluster."""
