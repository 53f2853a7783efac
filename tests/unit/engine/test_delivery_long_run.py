"""Long and random troubles: every good record is accepted, and only bad ones are dead-lettered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import BatchRequest, BatchResponse, Fault
from tests.support.dispatcher_driver import Driver, add_other_batches, play
from tests.support.engine_values import batch, inlet, pieces
from tests.support.scripted_aep import (
    Aep,
    entry_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    no_response,
    request_refused,
    strict_aep,
)

HOUR = 3600.0
STORMS: dict[str, Aep] = {
    "500": lambda request, now: request_refused(500),
    "404": lambda request, now: request_refused(404),
    "400": lambda request, now: request_refused(400),
    "413": lambda request, now: request_refused(413),
    "422": lambda request, now: request_refused(422),
    "401": lambda request, now: request_refused(401),
    "503": lambda request, now: request_refused(503),
    "429": lambda request, now: request_refused(429, retry_after="2"),
    "each 500": lambda request, now: multi_status(*(entry_refused(500) for _ in request.pieces)),
    "each 503": lambda request, now: multi_status(*(entry_refused(503) for _ in request.pieces)),
    "garbage": lambda request, now: BatchResponse(200, {}, b"<html>"),
    "time-outs": lambda request, now: no_response(),
    "resets": lambda request, now: no_response(Fault.CONNECTION),
}


@pytest.mark.parametrize("storm", STORMS)
def test_an_hour_of_trouble_that_hits_everything_dead_letters_nothing_healthy(storm: str) -> None:
    """Batches come all the time, with an hour of trouble in the middle: every good record is accepted, and
    only the bad ones are dead-lettered.
    """

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        return STORMS[storm](request, now) if 300 <= now < 300 + HOUR else healthy_aep(request, now)

    driver = Driver(aep, inlet(max_in_flight=8))
    total = 0
    for number in range(150):
        bad = [1] if number % 7 == 0 else []
        content = pieces(6, bad=bad, name=f"{number}-")
        total += 6 - len(bad)
        driver.at(
            number * 30.0,
            lambda content=content, number=number: driver.start(batch(content, name=f"b-{number}")),
        )
    driver.run(until=300 + 2 * HOUR)

    assert driver.open == []
    assert driver.accepted == total
    assert all(b"bad" in value for value in driver.dead_lettered)
    assert len(driver.dead_lettered) == 22
    assert driver.inlet.hold is None
    storming = [request.at for request in driver.log if 600 <= request.at < 300 + HOUR]
    assert len(storming) <= (9000 if "each" in storm else 2500), (
        "it does not hammer; messages that are refused one by one back off one by one"
    )


PASSING = ["503", "429", "reset", "garbage", "one 503", "one unknown", "short", "500"]


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(PASSING), max_size=40), st.sets(st.integers(0, 39), max_size=6), st.booleans()
)
def test_through_any_passing_faults_only_the_bad_records_are_dead_lettered(
    faults: list[str], bad: set[int], ordered: bool
) -> None:
    """Each record is settled once: accepted, or dead-lettered for what it is."""
    left = list(faults)

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        entries = [
            entry_refused() if b"bad" in piece else entry_accepted(at)
            for at, piece in enumerate(request.pieces)
        ]
        match left.pop(0) if left else None:
            case "503":
                return request_refused(503)
            case "500":
                return request_refused(500)
            case "429":
                return request_refused(429, retry_after="1")
            case "reset":
                return no_response(Fault.CONNECTION)
            case "garbage":
                return BatchResponse(207, {}, b"{}")
            case "one 503":
                entries[-1] = entry_refused(503)
            case "one unknown":
                entries[0] = {}
            case "short":
                entries = [entry_refused(), *entries][:-2]
        return multi_status(*entries)

    content = pieces(40, bad=bad)
    driver = play(aep, *(content[at : at + 8] for at in range(0, 40, 8)), ordered=ordered)

    assert driver.open == []
    assert {content[at] for at in bad} == set(driver.dead_lettered)
    assert len(bad) == len(driver.dead_letters)
    assert 40 - len(bad) == driver.accepted


@settings(max_examples=60)
@given(
    st.sets(st.integers(0, 31), max_size=8),
    st.sampled_from([400, 413, 422]),
    st.booleans(),
    st.integers(0, 100),
)
def test_an_aep_that_refuses_whole_requests_convicts_just_the_bad_records(
    bad: set[int], status: int, ordered: bool, seed: int
) -> None:
    """Whatever they are, with other batches of the inlet passing meanwhile."""
    content = pieces(32, bad=bad)
    driver = Driver(strict_aep(status), inlet(seed=seed, ordered=ordered, max_in_flight=4))
    for at in range(0, 32, 8):
        driver.start(batch(content[at : at + 8], name=f"b-{at}"))
    add_other_batches(driver, 600.0)
    driver.run(until=6000.0)

    assert driver.open == []
    assert {content[at] for at in bad} == set(driver.dead_lettered)
    assert len(bad) == len(driver.dead_letters)
    assert 32 - len(bad) + 120 == driver.accepted
