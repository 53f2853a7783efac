"""How large requests are: the rate, 429, 413 and time-outs make them smaller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from bridge.model import BatchRequest, BatchResponse, Fault
from tests.support.dispatcher_driver import Driver, play
from tests.support.engine_values import batch, inlet, pieces
from tests.support.scripted_aep import (
    all_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    no_response,
    request_refused,
)


def test_413_is_learned() -> None:
    """The next batches fit, for as long as the process lives; nobody is dead-lettered for a proxy's limit."""
    driver = Driver(
        lambda request, _: (
            request_refused(413)
            if sum(map(len, request.pieces)) > 300_000
            else all_accepted(len(request.pieces))
        )
    )
    driver.start(batch([b'{"x":"%b"}' % (b"x" * 990)] * 900))
    driver.run()

    assert (driver.accepted, driver.dead_letters) == (900, [])
    assert 200_000 < driver.inlet.max_bytes <= 300_000


def test_a_single_record_that_is_too_large_for_aep_is_convicted_and_teaches_nothing() -> None:
    """Its size is not the limit of a batch."""
    big = b'{"x":"%b"}' % (b"x" * 50_000)
    driver = play(
        lambda request, _: (
            request_refused(413) if big in request.pieces else all_accepted(len(request.pieces))
        ),
        [big, *pieces(1)],
    )

    assert driver.dead_lettered == [big]
    assert driver.accepted == 1


@pytest.mark.parametrize("ordered", [False, True])
def test_what_is_too_large_for_the_rate_goes_in_parts(ordered: bool) -> None:
    """A batch that was made before the rate sank: in the order of its records, all of them once."""
    one = inlet(ordered=ordered)
    one.rate.configured = 100.0
    driver = Driver(healthy_aep, one)
    driver.start(batch(pieces(105, bad=[50])))
    driver.run()

    assert driver.sizes == [21] * 5
    assert pieces(105, bad=[50]) == [piece for request in driver.log for piece in request.pieces]
    assert (driver.accepted, len(driver.dead_letters)) == (104, 1)


def test_what_is_not_twice_as_large_goes_as_it_is() -> None:
    """A rate moves a little all the time."""
    one = inlet()
    one.rate.configured = 100.0
    driver = Driver(healthy_aep, one)
    driver.start(batch(pieces(39)))
    driver.run()

    assert driver.sizes == [39]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_batch_that_never_fits_into_the_bucket_gets_smaller(ordered: bool) -> None:
    """While the inlet is held, each 429 halves the next probe, down to about ten messages. Nothing is lost,
    and where order is kept no record overtakes another one.
    """
    driver = Driver(
        lambda request, _: healthy_aep(request) if len(request.pieces) <= 60 else request_refused(429),
        inlet(ordered=ordered),
    )
    driver.start(batch(pieces(400)))
    driver.run()
    sent = [piece for request in driver.log if len(request.pieces) <= 60 for piece in request.pieces]

    assert sorted(sent) == sorted(pieces(400))
    assert sent == pieces(400) or not ordered
    assert (driver.accepted, driver.dead_letters) == (400, [])
    assert len(driver.log) < 40


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    "refusal",
    [
        lambda _: request_refused(429),
        lambda request: multi_status(*(entry_refused(429) for _ in request.pieces)),
    ],
    ids=["whole", "each"],
)
def test_after_an_hour_of_429_batches_are_sent_whole(
    refusal: Callable[[BatchRequest], BatchResponse], ordered: bool
) -> None:
    """The part that probed without success is merged again with the remainder that it was split from: ten
    messages are accepted first, and the rest follows as one request. Where order is kept no record overtakes
    another one.
    """
    driver = Driver(
        lambda request, now: healthy_aep(request) if now > 3600 else refusal(request), inlet(ordered=ordered)
    )
    for name in "ab":
        driver.start(batch(pieces(80, name=name)))
    driver.run()
    after = [len(request.pieces) for request in driver.log if request.at > 3600]
    sent = [piece for request in driver.log if request.at > 3600 for piece in request.pieces]

    assert sorted(after) == [10, 70, 80]
    assert sorted(sent) == sorted([*pieces(80, name="a"), *pieces(80, name="b")])
    assert not ordered or all(
        [*filter(set(pieces(80, name=name)).__contains__, sent)] == pieces(80, name=name) for name in "ab"
    )


def test_an_hour_of_429_makes_no_tiny_requests() -> None:
    """An hour of 429 leaves requests of ten messages or more; other outages leave them as they are."""
    for status, least in ((429, 10), (503, 80)):
        driver = play(
            lambda request, now, status=status: (
                healthy_aep(request) if now > 3600 else request_refused(status)
            ),
            pieces(80),
        )

        assert min(driver.sizes) == least
        assert driver.accepted == 80


def test_two_timeouts_halve_and_double() -> None:
    """A line too slow for a megabyte gets less at a time, and longer: up to 300 s."""
    driver = Driver(
        lambda request, _: no_response(Fault.TIMEOUT) if len(request.pieces) > 1 else healthy_aep(request),
        inlet(request_timeout_s=30.0),
    )
    driver.start(batch(pieces(16)))
    driver.run()
    by_size = {len(request.pieces): request.timeout_s for request in driver.log}

    assert by_size == {16: 30.0, 8: 60.0, 4: 120.0, 2: 240.0, 1: 300.0}
    assert Counter(driver.sizes) == {16: 2, 8: 4, 4: 8, 2: 16, 1: 16}
    assert driver.accepted == 16


def test_timeouts_of_a_lone_record_go_on() -> None:
    """Nothing to halve: longer time-outs, no conviction."""
    driver = play(lambda request, now: no_response(Fault.TIMEOUT), pieces(1), until=7200.0)

    assert driver.log[-1].timeout_s == 300.0
    assert driver.dead_letters == []
