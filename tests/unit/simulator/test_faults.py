"""Which request meets which fault rule."""

from __future__ import annotations

from bridge.simulator import Rule
from bridge.simulator.faults import Faults, RequestFaults
from bridge.simulator.http import HttpRequest


def next_faults(faults: Faults, body: bytes = b"{}") -> RequestFaults:
    """The faults of one more request to an inlet."""
    return faults.for_request("ingest", None, HttpRequest("POST", "/", "", {}, body, len(body)))


def is_replaced(faults: Faults, body: bytes = b"{}") -> bool:
    """Whether a rule replaces the response to one more request."""
    return next_faults(faults, body).response_rule is not None


def test_every_counts_matching_requests_only() -> None:
    """`every` and `after` count requests that meet the other conditions, so a test can aim at one."""
    faults = Faults()
    number = faults.add(Rule(action="status", contains="x", after=1, every=2))
    bodies = [b"x", b"y", b"x", b"x", b"y", b"x", b"x"]
    replaced = [is_replaced(faults, body) for body in bodies]

    assert replaced == [False, False, False, True, False, False, True]
    assert faults.fired(number) == 2


def test_rules_with_times_queue_up() -> None:
    """A test writes a sequence of faults as a list of rules: the first one that is not spent is used."""
    faults = Faults()
    faults.add(Rule(action="status", status=500, times=1))
    faults.add(Rule(action="hang", times=1))
    rules = [next_faults(faults).response_rule for _ in range(3)]

    assert [armed and armed.rule.action for armed in rules] == ["status", "hang", None]


def test_probability_is_seeded() -> None:
    """The same seed chooses the same requests, so that a failure can be repeated."""

    def chosen() -> list[bool]:
        faults = Faults()
        faults.add(Rule(action="status", probability=0.3, seed=7))
        return [is_replaced(faults) for _ in range(200)]

    assert chosen() == chosen()
    assert 30 < sum(chosen()) < 90


def test_delays_add_up_and_leave_the_response_to_another_rule() -> None:
    """A slow failure is two rules, or one rule with `delay_s`."""
    faults = Faults()
    faults.add(Rule(action="delay", delay_s=0.5))
    faults.add(Rule(action="reset", delay_s=0.25))
    found = next_faults(faults)

    assert found.delay_s == 0.75
    assert found.response_rule is not None
    assert found.response_rule.rule.action == "reset"
