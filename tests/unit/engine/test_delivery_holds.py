"""Refused credentials and wrong addresses hold the inlet, and dead-letter nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bridge.model import BatchResponse, Fault
from tests.support.dispatcher_driver import Driver, play
from tests.support.engine_values import batch, pieces
from tests.support.scripted_aep import healthy_aep, no_response, request_refused, scripted_aep


@pytest.mark.parametrize("status", [401, 403])
def test_a_good_token_that_is_refused_now_is_refreshed_at_once(status: int) -> None:
    """The request goes out again without a wait, and without a hold."""
    driver = play(scripted_aep(BatchResponse(status, token_was_good=True)), pieces(2))

    assert [request.at for request in driver.log] == [0.0, 0.05]
    assert driver.accepted == 2
    assert driver.waits == []


@pytest.mark.parametrize(
    "refusal",
    [request_refused(401), BatchResponse(403), no_response(Fault.CREDENTIALS)],
    ids=["401", "403", "no token"],
)
def test_fresh_credentials_that_are_refused_hold_the_inlet(refusal: BatchResponse) -> None:
    """It probes at least once a minute, with one request, and nothing is dead-lettered."""
    driver = Driver(lambda request, now: refusal if now < 3600 else healthy_aep(request))
    for number in range(5):
        driver.start(batch(pieces(2), name=f"b-{number}"))
    driver.run(until=3590.0)

    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "credentials"
    late = [request.at for request in driver.log if request.at > 300]
    assert all(0 < after - before <= 60.1 for before, after in pairwise(late))
    assert set(driver.sizes) == {2}
    driver.run()
    assert (driver.accepted, driver.dead_letters) == (10, [])


@pytest.mark.parametrize("status", [301, 302, 307, 402, 404, 405, 407, 409, 410, 415, 451])
def test_an_address_that_is_wrong_holds_the_inlet(status: int) -> None:
    """Never halved, never dead-lettered; it recovers when somebody corrects it."""
    driver = Driver(lambda request, now: request_refused(status) if now < 3600 else healthy_aep(request))
    for number in range(5):
        driver.start(batch(pieces(4), name=f"b-{number}"))
    driver.run(until=3500.0)

    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "address"
    assert str(status) in driver.inlet.hold.detail
    assert set(driver.sizes) == {4}
    assert len(driver.log) < 300
    driver.run()
    assert (driver.accepted, driver.dead_letters) == (20, [])
