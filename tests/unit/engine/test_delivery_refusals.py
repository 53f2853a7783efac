"""A request refused as a whole: bisection finds the bad records, and a later acceptance convicts them."""

from __future__ import annotations

import pytest

from bridge.engine.delivery import SECOND_LOOK_S
from bridge.model import BatchRequest, BatchResponse
from tests.support.dispatcher_driver import Driver, play
from tests.support.engine_values import batch, inlet, pieces
from tests.support.scripted_aep import all_accepted, healthy_aep, request_refused, strict_aep


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("bad", range(8))
def test_halving_finds_the_one_record(status: int, bad: int) -> None:
    """Only it is dead-lettered, after a second look while others passed; in at most 2n requests."""
    content = pieces(8, bad=[bad])
    driver = play(strict_aep(status), content)

    assert driver.dead_lettered == [content[bad]]
    assert driver.accepted == 7
    assert driver.open == []
    alone = [request.at for request in driver.log if request.pieces == (content[bad],)]
    assert len(alone) >= 2
    assert alone[-1] - alone[0] >= SECOND_LOOK_S
    assert len(driver.log) <= 16
    assert driver.dead_letters[0].refusal.status == status
    assert driver.inlet.bisecting is None
    assert driver.inlet.hold is None


def test_several_bad_records_are_all_found() -> None:
    """And nothing else."""
    bad = [0, 3, 4, 15]
    content = pieces(16, bad=bad)
    driver = play(strict_aep(), content)

    assert {content[at] for at in bad} == set(driver.dead_lettered)
    assert driver.accepted == 12


def test_a_lone_record_is_not_convicted_before_another_one_is_accepted() -> None:
    """Nobody can tell its fault from the inlet's; with the first acceptance of another batch one can."""
    driver = Driver(strict_aep())
    driver.start(batch(pieces(1, bad=[0]), name="lone"))
    driver.run(until=3600.0)
    assert driver.dead_letters == []
    assert len(driver.log) < 200, "probes with back-off"
    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "refuses everything"

    driver.start(batch(pieces(1), name="other"))
    driver.run()
    assert len(driver.dead_letters) == 1
    assert driver.accepted == 1


def test_an_acceptance_that_was_under_way_proves_nothing() -> None:
    """The other request went out before the first refusal: it says nothing about the time since."""
    driver = Driver(
        lambda request, now: all_accepted(1) if b"other" in request.pieces[0] else request_refused(400)
    )
    driver.start(batch(pieces(1, name="other-")))
    driver.start(batch(pieces(1, bad=[0])))
    driver.run(until=60.0)

    assert driver.accepted == 1
    assert driver.dead_letters == []


def test_an_acceptance_before_others_were_refused_too_is_not_enough() -> None:
    """Where the inlet began to refuse other records after this one stood alone, only an acceptance since then
    is evidence.
    """
    content = pieces(2, bad=[1])
    driver = Driver(strict_aep())
    driver.start(batch(content))
    driver.at(0.5, lambda: driver.inlet.note_refusal(second_look=True))
    driver.run(until=60.0)
    assert driver.accepted == 1
    assert driver.dead_letters == []

    driver.start(batch(pieces(1), name="other"))
    driver.run()
    assert driver.dead_lettered == [content[1]]


def test_where_every_half_fails_the_inlet_is_at_fault() -> None:
    """It holds, loudly, and probes; when it is well again everything is accepted."""
    driver = Driver(lambda request, now: request_refused(400) if now < 3600 else healthy_aep(request))
    for number in range(20):
        driver.start(batch(pieces(50, name=f"{number}-"), name=f"b-{number}"))
    driver.run(until=3599.0)

    assert driver.inlet.hold is not None
    assert driver.inlet.hold.reason == "refuses everything"
    assert len(driver.log) < 300
    driver.run()
    assert (driver.accepted, driver.dead_letters) == (1000, [])
    assert driver.inlet.hold is None


def test_one_bisection_at_a_time() -> None:
    """A full one costs 2n-1 requests; the others of the inlet wait for their turn, and take it."""
    driver = Driver(strict_aep(), inlet(max_in_flight=8))
    contents = [pieces(8, bad=[number], name=f"{number}-") for number in range(4)]
    for number, content in enumerate(contents):
        driver.start(batch(content, name=f"b-{number}"))
    driver.run()
    small = [request.batch for request in driver.log if len(request.pieces) < 8]
    turns = [name for at, name in enumerate(small) if at == 0 or small[at - 1] != name]

    assert {content[number] for number, content in enumerate(contents)} == set(driver.dead_lettered)
    assert driver.accepted == 28
    assert "another batch is being bisected" in driver.reasons()
    assert len(turns) <= 12


@pytest.mark.parametrize("passing", [1, 2, 3])
def test_an_inlet_that_begins_to_refuse_everything_in_mid_bisection_convicts_nobody(passing: int) -> None:
    """The batch is alone in its inlet: some of it is accepted, then everything is refused for a minute. All
    of it arrives.
    """
    asked = 0

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        nonlocal asked
        if now < 60:
            if len(request.pieces) > 2:
                return request_refused(400)
            asked += 1
            if asked > passing:
                return request_refused(400)
        return all_accepted(len(request.pieces))

    driver = Driver(aep)
    driver.start(batch(pieces(8)))
    driver.run()

    assert driver.dead_letters == []
    assert driver.accepted == 8
