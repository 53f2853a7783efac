"""An inlet that changes its mind: a lower size limit, some acceptances, then 400 for everything.

The fault campaign found this case.
"""

from __future__ import annotations

import pytest

from bridge.model import BatchRequest, BatchResponse
from tests.support.dispatcher_driver import Driver
from tests.support.engine_values import batch, pieces
from tests.support.scripted_aep import all_accepted, request_refused


@pytest.mark.parametrize("passing", [1, 2, 3])
def test_a_413_is_no_evidence_for_a_400(passing: int) -> None:
    """A batch is halved for its size, a part or two pass, and then everything is refused for a minute.

    Nothing is dead-lettered: no record was refused for itself. The batch is alone in its inlet.
    """
    small_requests = 0

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        nonlocal small_requests
        if now < 60:
            if len(request.pieces) > 2:
                return request_refused(413)
            small_requests += 1
            if small_requests > passing:
                return request_refused(400)
        return all_accepted(len(request.pieces))

    driver = Driver(aep)
    driver.start(batch(pieces(8)))
    driver.run()

    assert driver.accepted == 8
    assert driver.dead_letters == []
