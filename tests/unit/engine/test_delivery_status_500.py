"""A 500 waits like a 503; it convicts a record only after a long series while others pass."""

from __future__ import annotations

from itertools import pairwise

from bridge.engine.delivery import SUSPECT_ATTEMPTS, SUSPECT_S
from tests.support.dispatcher_driver import Driver, add_other_batches
from tests.support.engine_values import batch, pieces
from tests.support.scripted_aep import (
    entry_accepted,
    entry_refused,
    healthy_aep,
    multi_status,
    request_refused,
    strict_aep,
)


def test_a_500_waits_like_a_503() -> None:
    """No halving, no conviction, while nobody passes."""
    driver = Driver(lambda request, now: request_refused(500) if now < 3600 else healthy_aep(request))
    driver.start(batch(pieces(10)))
    driver.run()

    assert set(driver.sizes) == {10}
    assert (driver.accepted, driver.dead_letters) == (10, [])


def test_a_record_that_is_answered_500_while_others_pass_is_convicted_after_a_long_series() -> None:
    """At least 8 attempts over at least 5 minutes, another record accepted between every two."""
    content = pieces(4, bad=[2])
    driver = Driver(strict_aep(500))
    driver.start(batch(content, name="poison"))
    add_other_batches(driver, 3000.0)
    driver.run()

    assert driver.dead_lettered == [content[2]]
    alone = [request for request in driver.log if request.pieces == (content[2],)]
    good = [request.at for request in driver.log if request.response.status == 207]
    counted = [
        request.at for before, request in pairwise(alone) if any(before.at < at < request.at for at in good)
    ]
    assert len(alone) >= SUSPECT_ATTEMPTS
    assert len(counted) >= SUSPECT_ATTEMPTS - 1
    assert alone[-1].at - alone[0].at >= SUSPECT_S
    assert driver.accepted == 603


def test_a_500_for_one_message_needs_the_same_series() -> None:
    """In a 207 it is no more certain."""
    content = pieces(3, bad=[1])
    driver = Driver(
        lambda request, _: multi_status(
            *(
                entry_refused(500) if b"bad" in piece else entry_accepted(at)
                for at, piece in enumerate(request.pieces)
            )
        )
    )
    driver.start(batch(content))
    add_other_batches(driver, 3000.0)
    driver.run()

    assert driver.dead_lettered == [content[1]]
    alone = [request for request in driver.log if request.pieces == (content[1],)]
    assert len(alone) >= SUSPECT_ATTEMPTS - 1
    assert alone[-1].at >= SUSPECT_S


def test_without_acceptances_between_a_500_convicts_nobody() -> None:
    """One acceptance at the beginning is not one between every two."""
    driver = Driver(strict_aep(500))
    driver.start(batch(pieces(1, bad=[0])))
    driver.start(batch(pieces(1), name="other"))
    driver.run(until=7200.0)

    assert (driver.accepted, driver.dead_letters) == (1, [])
    assert len(driver.log) > SUSPECT_ATTEMPTS
