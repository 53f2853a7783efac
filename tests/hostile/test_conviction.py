"""An inlet that changes its mind, found by a campaign: a lower size limit, some acceptances, then 400 for everything."""

from __future__ import annotations

import pytest

from bridge.model import BatchRequest, BatchResponse
from tests.support.engine import Driver, accepted, batch, pieces, whole


@pytest.mark.parametrize("passing", [1, 2, 3])
def test_a_413_is_no_evidence_for_a_400(passing: int) -> None:
    """A batch alone in its inlet is halved for its size, a half or two pass, and then everything is refused for a minute: nothing is convicted."""
    asked = 0

    def aep(post: BatchRequest, now: float) -> BatchResponse:
        nonlocal asked
        if now < 60:
            if len(post.pieces) > 2:
                return whole(413)
            asked += 1
            if asked > passing:
                return whole(400)
        return accepted(len(post.pieces))

    driver = Driver(aep)
    driver.start(batch(pieces(8)))
    driver.run()

    assert (8, []) == (driver.accepted, driver.letters)
