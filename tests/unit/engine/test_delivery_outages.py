"""Outages are retried without limit, with growing waits; Retry-After is honoured up to its cap."""

from __future__ import annotations

import pytest

from bridge.model import BatchResponse, Fault
from tests.support.dispatcher_driver import Driver, play
from tests.support.engine_values import batch, inlet, pieces
from tests.support.scripted_aep import (
    entry_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    no_response,
    request_refused,
    scripted_aep,
)

OUTAGES = [request_refused(status) for status in (408, 425, 429, 501, 502, 503, 504, 520)] + [
    no_response(Fault.CONNECTION),
    no_response(Fault.CREDENTIALS),
]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda response: str(response.status or response.fault))
def test_an_outage_is_retried_without_limit(outage: BatchResponse) -> None:
    """Two hours of it: the same request, with growing waits, and in the end it is accepted."""
    driver = Driver(lambda request, now: outage if now < 7200 else healthy_aep(request))
    driver.start(batch(pieces(3)))
    driver.run()

    assert set(driver.sizes) == {3}
    assert (driver.accepted, driver.dead_letters) == (3, [])
    assert 20 < len(driver.log) < 1000
    assert driver.now < 7200 + 180


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry_after": "86400"}, 300.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_up_to_its_cap(headers: dict[str, str], seconds: float, status: int) -> None:
    """By the other batches of the inlet as well."""
    driver = Driver(scripted_aep(request_refused(status, **headers)), inlet(retry_after_max_s=300.0))
    driver.start(batch(pieces(2), name="first"))
    driver.at(1.0, lambda: driver.start(batch(pieces(2), name="second")))
    driver.run()

    assert 0.05 + seconds <= driver.log[1].at <= 0.05 + seconds + min(1.0, seconds / 10)
    assert driver.log[2].at >= 0.05 + seconds
    assert (driver.accepted, driver.dead_letters) == (4, [])


def test_retry_after_of_a_multi_status_answer_is_honoured() -> None:
    """For the messages that it concerns."""
    driver = play(
        scripted_aep(multi_status(entry_accepted(0), entry_refused(503), headers={"retry-after": "9"})),
        pieces(2),
    )

    assert 9.05 <= driver.log[1].at <= 9.95


@pytest.mark.parametrize(
    "response",
    [
        request_refused(429, retry_after="0"),
        request_refused(503, retry_after="0"),
        multi_status(entry_refused(503), headers={"retry-after": "0"}),
    ],
)
def test_retry_after_0_is_no_reason_to_hurry(response: BatchResponse) -> None:
    """Back-off goes on as without it: ten minutes of such answers cost a few dozen requests."""
    driver = Driver(lambda request, now: response if now < 600 else healthy_aep(request))
    driver.start(batch(pieces(1)))
    driver.run()

    assert driver.accepted == 1
    assert 10 < len(driver.log) < 100


def test_waits_end_early_when_the_inlet_accepts_again() -> None:
    """A minute's back-off need not be waited out after the outage."""
    driver = Driver(lambda request, now: request_refused(503) if now < 600 else healthy_aep(request))
    for number in range(30):
        driver.start(batch(pieces(1), name=f"b-{number}"))
    driver.run()

    assert driver.accepted == 30
    assert driver.now < 600 + 62
