"""Where order is kept, no record overtakes another one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import BatchRequest, BatchResponse
from tests.support.dispatcher_driver import play
from tests.support.engine_values import pieces
from tests.support.scripted_aep import (
    entry_accepted,
    entry_refused,
    multi_status,
    no_response,
    request_refused,
    scripted_aep,
    strict_aep,
)


def test_with_order_everything_from_the_first_retryable_message_on_is_sent_again() -> None:
    """Not what came before it: that is settled."""
    content = pieces(5, bad=[0, 3])
    responses = multi_status(
        entry_refused(), entry_accepted(1), entry_refused(503), entry_refused(), entry_accepted(4)
    )
    driver = play(scripted_aep(responses), content, ordered=True)

    assert [request.pieces for request in driver.log] == [tuple(content), tuple(content[2:])]
    assert driver.dead_lettered == [content[0], content[3]]
    assert driver.accepted == 3


def test_with_order_halves_go_in_order() -> None:
    """A record never arrives before one that stood before it."""
    content = pieces(8, bad=[5])
    driver = play(strict_aep(), content, ordered=True)
    arrived = [piece for request in driver.log if request.response.status == 207 for piece in request.pieces]

    assert [piece for piece in content if b"good" in piece] == arrived
    assert driver.dead_lettered == [content[5]]


def test_with_order_a_half_that_must_wait_is_not_overtaken() -> None:
    """Two time-outs halve the batch; the first half meets a 503, and the second one waits for it."""
    content = pieces(8)
    driver = play(scripted_aep(no_response(), no_response(), request_refused(503)), content, ordered=True)

    assert [request.pieces for request in driver.log[2:]] == [
        tuple(content[:4]),
        tuple(content[:4]),
        tuple(content[4:]),
    ]


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(["ok", "503", "unknown", "whole", "timeout"]), max_size=12),
    st.sets(st.integers(0, 7), max_size=3),
)
def test_with_order_nothing_overtakes(faults: list[str], bad: set[int]) -> None:
    """Through any faults, the last arrival of each record comes in the order of the records."""
    content = pieces(8, bad=bad)
    left = list(faults)
    arrived: list[bytes] = []

    def aep(request: BatchRequest, now: float) -> BatchResponse:
        entries = [
            entry_refused() if b"bad" in piece else entry_accepted(at)
            for at, piece in enumerate(request.pieces)
        ]
        fault = left.pop(0) if left else "ok"
        if fault == "timeout":
            return no_response()
        if fault == "whole":
            return request_refused(503)
        middle = len(entries) // 2
        if fault != "ok":
            entries[middle] = entry_refused(503) if fault == "503" else {}
        arrived.extend(
            piece
            for at, piece in enumerate(request.pieces)
            if b"good" in piece and (fault == "ok" or at != middle)
        )
        return multi_status(*entries)

    driver = play(aep, content, ordered=True)
    last = [piece for at, piece in enumerate(arrived) if piece not in arrived[at + 1 :]]

    assert [piece for piece in content if b"good" in piece] == last
    assert {content[at] for at in bad} == set(driver.dead_lettered)
